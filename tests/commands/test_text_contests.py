"""Four contests of texts in their own layouts go from their folder to a submission on the command line; what is a trap in each is looked at."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.contest.table import load_table
from core.store.contests import get_contest
from tests.commands.conftest import Terminal
from tests.inputs.text_contests import N_EMOTIONS, RELATIONS, write_klue, write_kote, write_nsmc, write_sentiment

pytestmark = pytest.mark.slow  # workers fit TF-IDF


def submitted(terminal: Terminal, folder: Path, least: float, *sets: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The submission of a TF-IDF run on the contest in a folder, as its texts, and what was said of it."""
    given = [part for each in sets for part in ("--set", each)]
    name = terminal.read("contest", "add", str(folder), *given)["contest"]
    terminal.read("folds", "make", name, "--n", "2", "--holdout")
    run = terminal.read("train", name, "--recipe", "text-tfidf", "--name", "baseline")
    (score,) = [score for score in (run[0] if isinstance(run, list) else run)["fold_scores"] if score is not None]
    assert score > least
    out = folder.parent / "out.csv"
    record = terminal.read("submit", "baseline", "--contest", name, "-o", str(out))
    sample = folder / "sample_submission.csv"
    if sample.exists():
        assert out.read_text("utf-8").splitlines()[0] == sample.read_text("utf-8").splitlines()[0]
    return pd.read_csv(out, dtype=str, keep_default_na=False), record


def test_nsmc_has_no_quoting_and_empty_documents(terminal: Terminal, tmp_path: Path) -> None:
    file, record = submitted(terminal, write_nsmc(tmp_path / "nsmc"), 0.85)
    table = load_table(terminal.workspace, get_contest(terminal.workspace.store, "nsmc"))
    written = (tmp_path / "nsmc" / "ratings_train.txt").read_text("utf-8").splitlines()[1:]
    assert table.train["input"].tolist() == [line.split("\t")[1] for line in written], "every quotation mark is part of its text"
    assert (table.train["input"] == "").sum() == 6
    assert file.columns.tolist() == ["id", "label"] and set(file["label"]) == {"0", "1"} and record["warnings"] == []


def test_kote_has_44_labels_and_a_first_line_is_asked_for(terminal: Terminal, tmp_path: Path) -> None:
    folder = write_kote(tmp_path / "kote")
    refusal = terminal.refused("contest", "add", str(folder))
    assert "no line of column names" in refusal["what"] and "first line" in refusal["fix"]
    for name, header in (("train", "id\ttext\tlabels"), ("test", "id\ttext")):
        path = folder / f"{name}.tsv"
        path.write_text(f"{header}\n{path.read_text('utf-8')}", encoding="utf-8")
    file, _ = submitted(terminal, folder, 0.2, "metric=macro_f1")
    prob = file.drop(columns="id").to_numpy(dtype=np.float32)
    assert file.columns.tolist() == ["id", *map(str, range(N_EMOTIONS))]
    assert prob.shape == (40, N_EMOTIONS) and prob.min() >= 0 and prob.max() <= 1 and prob.sum(axis=1).max() > 1.5


def test_klue_asks_for_a_label_and_a_list_in_an_order_of_its_own(terminal: Terminal, tmp_path: Path) -> None:
    folder = write_klue(tmp_path / "klue")
    file, record = submitted(terminal, folder, 0.9, f"classes={json.dumps(RELATIONS)}")
    lists = np.array([ast.literal_eval(cell) for cell in file["probs"]])
    assert record["warnings"] == [] and lists.shape == (40, 30) and np.allclose(lists.sum(axis=1), 1, atol=1e-5)
    assert file["pred_label"].tolist() == [RELATIONS[place] for place in lists.argmax(axis=1)]


def test_four_coded_classes_have_names_and_are_submitted_as_codes(terminal: Terminal, tmp_path: Path) -> None:
    file, record = submitted(terminal, write_sentiment(tmp_path / "sentiment"), 0.9)
    assert set(file["pred"]) == {"0", "1", "2", "3"} and record["warnings"] == []
    before = (tmp_path / "out.csv").read_bytes()
    shown = ["강한 부정", "약한 부정", "약한 긍정", "강한 긍정"]
    terminal.read("contest", "names", "sentiment", *(f"{code}={name}" for code, name in enumerate(shown)))
    again = terminal.read("submit", "baseline", "-o", str(tmp_path / "again.csv"))
    assert (tmp_path / "again.csv").read_bytes() == before and again["submission"] == record["submission"]
    _, said, _ = terminal.run("predict", "baseline", "--text", "최고예요 인생 영화")
    assert "강한 긍정" in said
