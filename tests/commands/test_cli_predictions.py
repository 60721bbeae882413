"""`predictions import` and `export`: out and back, and what an import could not check."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.exchange.doubts import DOUBTS
from tests.commands.conftest import Terminal
from tests.emotions import finish_emotions


def test_predictions_leave_and_come_back_as_a_run(finished: Terminal, tmp_path: Path) -> None:
    oof, test = str(tmp_path / "minsu.csv"), str(tmp_path / "minsu-test.parquet")
    finished.read("predictions", "export", "good", "--oof", oof, "--test", test)
    run = finished.read("predictions", "import", "headlines", oof, test, "--name", "minsu")
    good = finished.read("show", "good")
    assert (run["run"], run["state"], run["backbone"]) == ("minsu", "done", None) and run["imported"]["oof_file"] == "minsu.csv"
    assert run["fold_scores"] == pytest.approx(good["fold_scores"])
    assert "imported" in finished.run("runs", "headlines")[1] and "minsu.csv" in finished.run("show", "minsu")[1]
    assert finished.refused("predictions", "import", "headlines", test, test)["type"] == "AlignmentError"
    assert finished.refused("predictions", "export", "good")["type"] == "InputError"
    assert finished.read("blend", "headlines", "good", "minsu")["run"] == ["good", "minsu"]


def test_an_import_says_what_it_could_not_check_and_what_is_suspect(finished: Terminal, tmp_path: Path) -> None:
    oof, test = tmp_path / "oof.npy", tmp_path / "test.parquet"
    finished.read("predictions", "export", "good", "--oof", str(oof), "--test", str(test))
    open_questions = [DOUBTS["rows"], DOUBTS["folds"]]
    assert finished.read("predictions", "import", "headlines", str(oof), str(test))["warnings"] == open_questions
    np.save(oof, np.load(oof)[:, ::-1])
    code, out, err = finished.run("predictions", "import", "headlines", str(oof), str(test))
    assert code == 0 and "warning" not in out
    assert err.splitlines() == [f"warning: {doubt}" for doubt in (DOUBTS["frequent"], *open_questions)]
    finished.read("predictions", "export", "good", "--oof", str(tmp_path / "oof.csv"))
    assert finished.read("predictions", "import", "headlines", str(tmp_path / "oof.csv"), str(test))["warnings"] == []
    frame = pd.read_csv(tmp_path / "oof.csv").drop(columns="fold")
    frame.to_csv(tmp_path / "oof.csv", index=False)
    assert finished.read("predictions", "import", "headlines", str(tmp_path / "oof.csv"), str(test))["warnings"] == [DOUBTS["folds"]]


def test_the_order_of_an_array_s_classes_is_read_from_a_file(finished: Terminal, tmp_path: Path) -> None:
    oof, test, order = tmp_path / "oof.npy", tmp_path / "test.npy", tmp_path / "classes.txt"
    finished.read("predictions", "export", "good", "--oof", str(oof), "--test", str(test))
    order.write_bytes("politik\r\n스포츠\r\n".encode("cp949"))
    run = finished.read("predictions", "import", "headlines", str(oof), str(test), "--classes", str(order))
    assert run["fold_scores"] == pytest.approx(finished.read("show", "good")["fold_scores"])
    order.write_text("politik\nsport\n", encoding="utf-8")
    assert "1 unknown: sport" in finished.refused("predictions", "import", "headlines", str(oof), str(test), "--classes", str(order))["why"]
    assert finished.refused("predictions", "import", "headlines", str(oof), str(test), "--classes", "gone.txt")["type"] == "InputError"


def test_rows_with_several_labels_are_submitted_and_exchanged(terminal: Terminal, tmp_path: Path) -> None:
    finish_emotions(terminal.workspace, tmp_path / "emotions", layout="cells")
    out, oof, test = (tmp_path / name for name in ("s.csv", "oof.csv", "test.npy"))
    record = terminal.read("submit", "roberta", "-o", str(out))
    lines = out.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "ID,labels" and len(lines) == 61 and record["n_rows"] == 60
    assert all(re.fullmatch(r'te\d{4},([0-5]?|"[0-5](,[0-5])+")', line) for line in lines[1:]), lines[1:]
    terminal.read("predictions", "export", "roberta", "--oof", str(oof), "--test", str(test))
    back = terminal.read("predictions", "import", "emotions", str(oof), str(test), "--name", "back")
    assert (back["run"], back["cv_score"]) == ("back", pytest.approx(terminal.read("show", "roberta")["cv_score"]))
    terminal.read("submit", "back", "-o", str(tmp_path / "again.csv"))
    assert (tmp_path / "again.csv").read_bytes() == out.read_bytes()
    oof.write_text(re.sub(r",0\.\d+\n", ",1.5\n", oof.read_text(encoding="utf-8"), count=1), encoding="utf-8")
    refusal = terminal.refused("predictions", "import", "emotions", str(oof), str(test))
    assert refusal["type"] == "InputError" and "sigmoid" in refusal["fix"] and "tr0000" in refusal["where"]


def test_strengths_over_a_column_are_printed_and_written(terminal: Terminal, tmp_path: Path) -> None:
    finish_emotions(terminal.workspace, tmp_path / "emotions")
    file = tmp_path / "texts.csv"
    groups = terminal.read("strengths", "roberta", "--by", "text", "--at-most", "1", "--apart", "지루함", "-o", str(file))
    written = pd.read_csv(file)
    assert written["group"].tolist() == [group["group"] for group in groups] and written.columns[-1] == "지루함"
    assert set(written["rows_taken"]) == {1} and 0 <= written["기쁨"].min() <= written["기쁨"].max() <= 1
    assert "지루함" not in set(written["strongest"])
    assert "the columns" in terminal.refused("strengths", "roberta", "--by", "film")["fix"]
    assert terminal.refused("strengths", "roberta", "--by", "text", "--apart", "joy")["where"] == "--apart"
    assert len(terminal.read("strengths", "roberta", "--by", "text", "--oof")) > len(groups)
