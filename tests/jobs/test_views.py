"""Views and the probe of a run that a worker has trained: kept view by view, gone on with after a stop, and a choice of them as a run."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from core.analysis.probe import find_probe, probe_run, said_of
from core.analysis.views import compare_views, find_choice
from core.artefacts import load_manifest
from core.base.errors import InputError, OutOfMemory, StateError
from core.blend.ensemble import make_spec, save_blend
from core.contest.register import add_contest
from core.contest.table import load_table
from core.folds import save_folds
from core.jobs import predict
from core.jobs.launch import launch_probe, launch_run, launch_views
from core.jobs.reporter import Reporter
from core.jobs.worker import Stop, attempt
from core.predictions.again import predict_run, rows_of_test
from core.predictions.oof import load_oof, load_test_prob
from core.predictions.source import source_of
from core.predictions.views import kept_views, pieces_of, predict_pieces, run_in_view
from core.specs.contest import ContestSpec
from core.specs.folds import FoldsSpec
from core.specs.progress import Interrupted
from core.specs.recipe import Recipe
from core.store import attempts
from core.store.contests import Contest
from core.store.jobs import BESIDE, Job, get_job
from core.store.runs import Run, get_run, list_runs
from core.submission.write import make_lineage
from core.workspace import Workspace, open_workspace
from tests.finished_workspace import finish_headlines

OWNER = {"engine": None, "host": "here", "worker": None}
CLASSES = ("above", "below", "middle")
N_TRAIN, N_TEST = 90, 9


@dataclass
class Trained:
    """A contest of bars that lie above, below or in the middle of an image, and a run over two folds: turned upside down, two classes change."""

    workspace: Workspace
    contest: Contest
    run: Run

    def oof(self, view: str) -> NDArray[np.float32]:
        return load_oof(self.workspace, run_in_view(self.workspace, self.contest, self.run, view), self.contest)

    def test(self, view: str) -> NDArray[np.float32]:
        return load_test_prob(self.workspace, run_in_view(self.workspace, self.contest, self.run, view, "test"))

    def work(self) -> None:
        """Everything that waits, by the worker's shell in this process."""
        for device in (BESIDE, "cpu"):
            while job := attempts.claim(self.workspace.store, owner=OWNER, device=device, now=time.time()):
                assert attempt(self.workspace, job, Stop(), lambda: None) == 0

    def done(self, job: Job) -> Job:
        self.work()
        found = get_job(self.workspace.store, job.id)
        assert found.state == "done", found.error
        return found


def write_bars(root: Path) -> Path:
    (root / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows: list[tuple[int, str, str]] = []
    for number in range(N_TRAIN + N_TEST):
        pixels = rng.integers(0, 90, (32, 32, 3))
        top = (2, 24, 13)[number % 3] + rng.integers(-1, 2)
        pixels[top : top + 6, 4:28] += 150
        path = f"images/{number}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(root / path)
        rows.append((number, path, CLASSES[number % 3]))
    for name, chosen, width in (("train.csv", rows[:N_TRAIN], 3), ("test.csv", rows[N_TRAIN:], 2)):
        with (root / name).open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([("id", "path", "label")[:width], *(row[:width] for row in chosen)])
    return root


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    workspace = open_workspace(tmp_path_factory.mktemp("bars") / "workspace")
    spec = {"name": "bars", "root": str(write_bars(workspace.root / "bars")), "modality": "image", "layout": "csv", "train": "train.csv"}
    spec |= {"test": "test.csv", "id_column": "id", "input_columns": ("path",), "label_column": "label"}
    contest = add_contest(workspace, ContestSpec.model_validate({**spec, "classes": CLASSES, "metric": "log_loss"}))
    recipe = Recipe.model_validate(
        {
            "name": "bars",
            "modality": "image",
            "model": {"backbone": "test_resnet.r160_in1k", "pretrained": False},
            "input": {"size_px": 32},
            "augment": {"hflip": False, "min_crop": 1.0, "rotation_deg": 0, "jitter": 0},
            "optim": {"lr": 0.005},
            "train": {"epochs": 8, "batch_size": 15},
        }
    )
    run = launch_run(workspace, contest, save_folds(workspace, contest, FoldsSpec(n_folds=2)), recipe)
    made = Trained(workspace, contest, run)
    made.work()
    return Trained(workspace, contest, get_run(workspace.store, run.id))


@pytest.mark.slow
def test_the_plain_view_is_what_is_stored_and_a_harmful_view_is_refused(trained: Trained) -> None:
    workspace, contest, run = trained.workspace, trained.contest, trained.run
    trained.done(launch_views(workspace, run, ["hflip", "vflip"]))
    assert kept_views(workspace, contest, run) == ("plain", "mirror", "flip")
    assert trained.oof("plain").tobytes() == load_oof(workspace, run, contest).tobytes()
    assert not np.allclose(trained.oof("mirror"), trained.oof("plain"))
    choice = find_choice(workspace, contest, run)
    assert choice is not None and choice == compare_views(workspace, contest, run)
    (flip,) = (effect for effect in choice.effects if effect.view == "flip")
    assert flip.verdict == "harms" and "flip" not in choice.chosen and flip.n_broken > flip.n_mended


@pytest.mark.slow
def test_a_choice_of_views_is_a_run_like_any_other(trained: Trained) -> None:
    workspace, contest, run = trained.workspace, trained.contest, trained.run
    trained.done(launch_views(workspace, run, ["plain", "mirror", "five_crop"], member="three views"))
    (made,) = (each for each in list_runs(workspace.store, contest.id) if each.name == "three views")
    views = ("plain", "mirror", "five_crop")
    assert made.imported and (made.imported.run, made.imported.views, made.state) == (run.ref, views, "done") and made.is_complete
    oof, test = load_oof(workspace, made, contest), load_test_prob(workspace, made)
    assert oof.tobytes() == np.mean([trained.oof(view) for view in views], axis=0, dtype=np.float64).astype(np.float32).tobytes()
    np.testing.assert_allclose(test, np.mean([trained.test(view) for view in views], axis=0), atol=1e-6)
    np.testing.assert_allclose(trained.test("plain"), load_test_prob(workspace, run), atol=1e-7)
    again = predict_run(workspace, contest, made, rows_of_test(load_table(workspace, contest)))
    np.testing.assert_allclose(again, test, atol=1e-6)
    assert made.recipe.predict.views == views and made.recipe.model == run.recipe.model
    blend = save_blend(workspace, contest, make_spec([run.id, made.id]), name="both")
    (one, other) = make_lineage(source_of(workspace, blend)).members
    assert other.imported == made.imported and other.licence == one.licence and other.recipe == made.recipe.fingerprint


@pytest.mark.slow
def test_what_was_stopped_goes_on_with_the_next_view(trained: Trained) -> None:
    workspace, contest, run = trained.workspace, trained.contest, trained.run
    job = launch_views(workspace, run, ["rotate90", "zoom_out"])
    pieces = pieces_of(workspace, contest, run, ["plain", "rotate90", "zoom_out"], "oof")

    def is_kept() -> list[Path]:
        return [piece.folder for piece in pieces if piece.is_kept and piece.view != "plain"]

    with pytest.raises(Interrupted):
        predict.run(workspace, job, Reporter(workspace.store, job), lambda: len(is_kept()) == 1)
    (first,) = is_kept()
    made_at = (first / "manifest.json").stat().st_mtime_ns
    trained.done(job)
    assert len(is_kept()) == 4 and (first / "manifest.json").stat().st_mtime_ns == made_at


@pytest.mark.slow
def test_where_memory_runs_out_fewer_rows_are_predicted_at_once(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.training import predictor

    whole = predictor.predict

    def small(*arguments: object, batch_size: int, **options: object) -> NDArray[np.float32]:
        if batch_size > 10:
            raise OutOfMemory("the device ran out of memory")
        return whole(*arguments, batch_size=batch_size, **options)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(predictor, "predict", small)
    workspace, contest, run = trained.workspace, trained.contest, trained.run
    pieces = pieces_of(workspace, contest, run, ["noise"], "oof")
    predict_pieces(workspace, contest, run, pieces, batch=40)
    assert [load_manifest(piece.folder).facts["batch_size"] for piece in pieces] == [10, 10]
    monkeypatch.undo()
    auto = pieces_of(workspace, contest, run, ["zoom_in"], "oof")
    predict_pieces(workspace, contest, run, auto, batch="auto")
    assert all(30 <= load_manifest(piece.folder).facts["batch_size"] <= 45 for piece in auto)


@pytest.mark.slow
def test_a_probe_finds_what_the_network_cannot_bear(trained: Trained) -> None:
    workspace, contest, run = trained.workspace, trained.contest, trained.run
    assert find_probe(workspace, contest, run, n_rows=60) is None
    trained.done(launch_probe(workspace, run, n_rows=60))
    probe = find_probe(workspace, contest, run, n_rows=60)
    assert probe is not None and probe == probe_run(workspace, contest, run, n_rows=60)
    assert (probe.n_rows, probe.n_validated, len(probe.scores)) == (60, N_TRAIN, 18)
    loss = {(score.kind, score.strength): score.loss for score in probe.scores}
    assert loss["shift", 16] > 5 * abs(loss["shift", 4]) and loss["shift", 16] > 0.1, "a bar that is moved far is another class"
    weakest = {score.kind: score for score in reversed(probe.scores)}
    assert probe.worst == max(weakest.values(), key=lambda score: score.loss)
    assert f"{probe.worst.kind} {probe.worst.strength:g}" in said_of(probe)


def test_texts_and_unknown_views_are_refused(workspace: Workspace, write_headlines: Callable[[Path], Path], tmp_path: Path) -> None:
    _, (run,) = finish_headlines(workspace, write_headlines(tmp_path / "headlines"), {"made": 2.0})
    for launch in (lambda: launch_views(workspace, run, ["mirror"]), lambda: launch_probe(workspace, run, n_rows=100)):
        with pytest.raises(InputError, match="texts have no views") as caught:
            launch()
        assert f"predict {run.ref} -o" in caught.value.fix


@pytest.mark.slow
def test_a_view_that_is_not_there_is_named(trained: Trained) -> None:
    with pytest.raises(InputError, match="no view named 'sideways'") as caught:
        launch_views(trained.workspace, trained.run, ["mirror", "sideways"])
    assert "vflip (flip)" in caught.value.why
    with pytest.raises(StateError, match="have not been predicted"):
        compare_views(trained.workspace, trained.contest, replace(trained.run, results=()))
