"""Predictions made again from stored weights: those of finished folds to the last byte, those of files and texts that are given."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.__main__ import main
from core.base.errors import InputError, StateError
from core.blend.ensemble import make_spec, predict_source, save_blend
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.contest.table import load_table
from core.folds import save_folds
from core.jobs.engine import Engine
from core.jobs.launch import launch_run
from core.predictions.again import Rows, read_given, rows_of_test
from core.predictions.oof import load_test_prob
from core.predictions.source import source_of
from core.specs.folds import FoldsSpec
from core.specs.recipe import Recipe
from core.store.contests import Contest, get_contest
from core.store.runs import Run, get_run
from core.submission.write import prepare
from core.workspace import Workspace, open_workspace
from tests.training.small_tasks import TEXT

OLD = Path(__file__).parents[1] / "inputs" / "workspace-0.1.tar.xz"


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace of version 0.1, whose folds kept their weights without a word on what they are."""
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(OLD) as archive:
        archive.extractall(folder, filter="data")
    return open_workspace(folder)


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, write_headlines: Callable[[Path], Path]
) -> tuple[Workspace, Contest, tuple[Run, ...]]:
    """Two runs over two folds of headlines, trained by workers."""
    workspace = open_workspace(tmp_path_factory.mktemp("trained") / "workspace")
    contest = add_contest(workspace, inspect_path(write_headlines(workspace.root / "headlines")).draft)
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=2))
    runs = [
        launch_run(workspace, contest, folds, Recipe.model_validate({**TEXT, "name": f"run-{seed}", "train": {"epochs": 1, "seed": seed}}))
        for seed in (0, 1)
    ]
    engine = Engine(workspace, ("cpu",))
    while engine.run_next():
        pass
    return workspace, contest, tuple(get_run(workspace.store, run.id) for run in runs)


@pytest.mark.slow
@pytest.mark.parametrize("ref", ["r1", "r2", "r3", "r4"])
def test_networks_of_an_earlier_version_predict_again_what_they_predicted(old: Workspace, ref: str) -> None:
    run = get_run(old.store, ref)
    contest = get_contest(old.store, run.contest_id)
    prob = predict_source(source_of(old, run), rows_of_test(load_table(old, contest)))
    np.testing.assert_allclose(prob, load_test_prob(old, run), atol=1e-6)


@pytest.mark.slow
def test_a_run_and_a_blend_predict_the_test_set_again_to_the_last_byte(
    trained: tuple[Workspace, Contest, tuple[Run, ...]], tmp_path: Path
) -> None:
    workspace, contest, runs = trained
    blend = save_blend(workspace, contest, make_spec([run.id for run in runs], [3, 1], mean="logit"), name="both")
    rows = rows_of_test(load_table(workspace, contest))
    assert predict_source(source_of(workspace, runs[0]), rows).tobytes() == load_test_prob(workspace, runs[0]).tobytes()
    assert predict_source(source_of(workspace, blend), rows).tobytes() == source_of(workspace, blend).test().tobytes()
    for source in (runs[0], blend):
        output = tmp_path / f"{source.ref}.csv"
        assert main(["predict", source.ref, "--output", str(output), "--workspace", str(workspace.root)]) == 0
        assert output.read_bytes() == prepare(source_of(workspace, source)).data
    raw = tmp_path / "raw.parquet"
    assert main(["predict", runs[1].ref, "--raw", "--output", str(raw), "--workspace", str(workspace.root)]) == 0
    table = pd.read_parquet(raw)
    assert table["id"].tolist() == list(rows.ids)
    assert table[list(contest.spec.classes)].to_numpy(np.float32).tobytes() == load_test_prob(workspace, runs[1]).tobytes()


@pytest.mark.slow
def test_a_text_and_a_file_are_predicted_by_name(
    trained: tuple[Workspace, Contest, tuple[Run, ...]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace, contest, (run, _) = trained
    table = load_table(workspace, contest)
    text = str(table.test["input"][3])
    assert main(["predict", run.ref, "--text", text, "--json", "--workspace", str(workspace.root)]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    alone = predict_source(source_of(workspace, run), Rows(["text"], [text]))
    assert {each["class"]: each["probability"] for each in row["classes"]} == dict(
        zip(contest.spec.classes, alone[0].tolist(), strict=True)
    )
    assert main(["predict", run.ref, "--input", str(Path(contest.spec.root) / "test.csv"), "--workspace", str(workspace.root)]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in table.test["id"]) and f"12 rows by {run.name} ({run.ref})" in said


@pytest.mark.slow
def test_a_fold_without_its_network_says_so(trained: tuple[Workspace, Contest, tuple[Run, ...]], old: Workspace) -> None:
    imported = get_run(old.store, "r5")
    assert imported.is_imported
    with pytest.raises(StateError, match="has no network") as caught:
        predict_source(source_of(old, imported), Rows(["text"], ["words"]))
    assert "imported" in caught.value.why


def test_given_files_are_read_as_the_contests_own_rows(old: Workspace, tmp_path: Path) -> None:
    spec = next(get_contest(old.store, name).spec for name in ("moods",))
    column = spec.input_columns[0]
    pd.DataFrame({spec.id_column or "id": ["x", "y"], column: ["좋다", None]}).to_parquet(tmp_path / "rows.parquet")
    rows = read_given([tmp_path / "rows.parquet"], spec)
    assert list(rows.inputs) == ["좋다", ""]
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"other\.csv has not the contest's columns") as caught:
        read_given([tmp_path / "other.csv"], spec)
    assert column in caught.value.why and "a, b" in caught.value.why
    images = get_contest(old.store, "colours")
    table = load_table(old, images)
    folder = tmp_path / "images"
    folder.mkdir()
    for name in table.test["input"][:2]:
        shutil.copy(table.image_path(name), folder)
    found = read_given([folder], images.spec)
    assert len(found.ids) == 2 and all(isinstance(path, Path) and path.is_file() for path in found.inputs)
    with pytest.raises(InputError, match="cannot be predicted"):
        read_given([tmp_path / "nothing"], images.spec)
