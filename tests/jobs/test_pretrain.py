"""A pretraining as a job: from the queue to runs that start from it, their lineage, and the trash."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Timer

import pytest

from core.__main__ import main
from core.artefacts import load_manifest
from core.base.errors import NotFoundError, RecipeError, StateError
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.jobs.kinds import kind_of
from core.jobs.launch import launch_pretraining, launch_runs
from core.jobs.queue import cancel_job, forget_job, pause_queue, retry_job
from core.jobs.worker import Stop, attempt
from core.predictions.source import source_of
from core.recipes.pretraining import make_pair, pretraining_recipe
from core.specs.folds import FoldsSpec
from core.specs.progress import Progress
from core.specs.recipe import Recipe
from core.store import attempts
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.jobs import Job, get_job, list_jobs
from core.store.pretrainings import Pretraining, get_pretraining, list_pretrainings
from core.store.queue import list_other_jobs
from core.store.runs import Run, get_run
from core.store.trash import plan_removal, put_in_trash, restore
from core.submission.write import make_lineage
from core.training.checkpoint import list_checkpoints
from core.trash import empty_trash
from core.workspace import Workspace
from tests.conftest import write_headlines_to
from tests.training.masked_bert import write_encoder

pytestmark = pytest.mark.slow  # small networks train here

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
OWNER = {"engine": None, "host": "here", "worker": None}


@dataclass
class Headlines:
    workspace: Workspace
    contest: Contest
    folds: Folds

    def queue(self, epochs: int = 2) -> Job:
        usual = pretraining_recipe(MINILM, Path())
        train = usual.train.model_copy(update={"epochs": epochs, "batch_size": 16, "precision": "fp32"})
        optim = usual.optim.model_copy(update={"lr": 3e-3})
        return launch_pretraining(self.workspace, self.contest, usual.model_copy(update={"train": train, "optim": optim}))

    def work(self, stop: Stop | None = None) -> None:
        """Everything that waits, by the worker's shell in this process; once where it is told to stop."""
        store = self.workspace.store
        while (job := attempts.claim(store, owner=OWNER, device="cpu", now=time.time())) is not None:
            assert attempt(self.workspace, job, stop or Stop(), partial(self._hand_back, job)) == 0
            if stop:
                return

    def _hand_back(self, job: Job) -> None:
        attempts.release(self.workspace.store, job.id, job.token, now=time.time())

    def adapted(self) -> Pretraining:
        job = self.queue()
        self.work()
        assert get_job(self.workspace.store, job.id).state == "done", get_job(self.workspace.store, job.id).error
        return get_pretraining(self.workspace.store, f"p{job.id}")

    def train(self, *recipes: Recipe) -> tuple[Run, ...]:
        runs = launch_runs(self.workspace, self.contest, self.folds, recipes)
        self.work()
        return tuple(get_run(self.workspace.store, run.id) for run in runs)


@pytest.fixture
def headlines(workspace: Workspace, tmp_path: Path) -> Headlines:
    contest = add_contest(workspace, inspect_path(write_headlines_to(tmp_path / "headlines")).draft)
    write_encoder(workspace.weights_dir / MINILM)
    return Headlines(workspace, contest, save_folds(workspace, contest, FoldsSpec(n_folds=2)))


def recipe_of(**model: object) -> Recipe:
    values = {
        "name": "bert",
        "modality": "text",
        "input": {"max_tokens": 16},
        "train": {"epochs": 1, "batch_size": 16, "precision": "fp32"},
    }
    return Recipe.model_validate({**values, "model": {"backbone": MINILM, **model}})


def test_runs_start_from_it_and_their_lineage_says_what_it_has_read(headlines: Headlines) -> None:
    made, store = headlines.adapted(), headlines.workspace.store
    assert made.losses[1] < made.losses[0] and [report.epoch for report in made.reports] == [0, 1, 2]
    assert made.facts["n_texts"] + made.facts["n_held_out"] == 60  # training and test rows
    without, adapted = headlines.train(*make_pair(recipe_of(), made.ref))
    assert (without.name, adapted.name) == ("bert", f"bert-{made.ref}") and (without.state, adapted.state) == ("done", "done")
    (further,) = headlines.train(recipe_of(start_from=adapted.ref))
    for run in (adapted, further):
        parents = load_manifest(headlines.workspace.absolute(run.results[0].path)).parents
        assert (parents["start"] == made.fingerprint) == (run is adapted)
        assert run.pretrained_on is not None and (run.pretrained_on.ref, run.pretrained_on.saw_test) == (made.ref, True)
        (member,) = make_lineage(source_of(headlines.workspace, run)).members
        assert member.pretrained_on is not None and member.pretrained_on.fingerprint == made.fingerprint
    assert adapted.results[0].facts["weights"] == f"pretraining: {made.ref}"
    assert make_lineage(source_of(headlines.workspace, without)).members[0].pretrained_on is None
    assert [result.scores for result in adapted.results] != [result.scores for result in without.results]

    put_in_trash(store, plan_removal(store, {"pretraining": [made.id]}))
    with pytest.raises(NotFoundError) as caught:
        headlines.train(recipe_of(start_from=made.ref))
    assert "trash" in caught.value.fix and get_run(store, adapted.id).is_complete
    restore(store, "t1")
    assert list_pretrainings(store) == (made,)
    folder = headlines.workspace.absolute(made.path)
    put_in_trash(store, plan_removal(store, {"pretraining": [made.id]}))
    empty_trash(headlines.workspace)
    assert not folder.parent.exists() and list_pretrainings(store, with_trash=True) == ()


def test_another_backbone_and_another_contest_do_not_start_from_it(headlines: Headlines, tmp_path: Path) -> None:
    made = headlines.adapted()
    with pytest.raises(RecipeError) as caught:
        launch_runs(headlines.workspace, headlines.contest, headlines.folds, [recipe_of(backbone="klue/bert-base", start_from=made.ref)])
    assert f"model.backbone={MINILM}" in caught.value.fix
    draft = inspect_path(write_headlines_to(tmp_path / "others")).draft
    other = add_contest(headlines.workspace, draft)
    with pytest.raises(NotFoundError):
        launch_runs(
            headlines.workspace, other, save_folds(headlines.workspace, other, FoldsSpec(n_folds=2)), [recipe_of(start_from=made.ref)]
        )


def test_it_is_canceled_and_goes_on_from_its_checkpoint(headlines: Headlines, monkeypatch: pytest.MonkeyPatch) -> None:
    calm, store = headlines.adapted(), headlines.workspace.store
    job, stop = headlines.queue(), Stop()
    assert [(each.id, owner) for each, owner in list_other_jobs(store)] == [(job.id, headlines.contest.name)]
    from core.jobs.reporter import Reporter

    report = Reporter.report

    def cancel_in_epoch_2(self: Reporter, said: Progress) -> None:
        report(self, said)
        if (said.phase, said.epoch) == ("training", 2):
            cancel_job(store, job.id)
            stop.set()

    monkeypatch.setattr(Reporter, "report", cancel_in_epoch_2)
    headlines.work(stop)
    monkeypatch.undo()
    assert get_job(store, job.id).state == "canceled"
    root = headlines.workspace.pretraining_dir(headlines.contest.folder, job.id)
    assert list_checkpoints(root / "checkpoints")[0].epoch == 2
    retry_job(store, job.id)
    headlines.work()
    again = get_pretraining(store, f"p{job.id}")
    assert (again.fingerprint, again.losses) == (calm.fingerprint, calm.losses) and again.name == f"{calm.name}-2"
    assert len(again.facts["resumed"]) == 1 and not list_checkpoints(root / "checkpoints")
    assert [path.name for path in root.iterdir()] == ["attempt-2"] and kind_of(job).needed_bytes(headlines.workspace, job) > 0


def test_one_that_was_canceled_is_removed_with_its_checkpoints_and_a_finished_one_is_not(headlines: Headlines) -> None:
    job, store = headlines.queue(), headlines.workspace.store
    with pytest.raises(StateError, match="this job stays"):
        forget_job(headlines.workspace, job.id)
    cancel_job(store, job.id)
    folder = headlines.workspace.pretraining_dir(headlines.contest.folder, job.id)
    (folder / "checkpoints").mkdir(parents=True)
    forget_job(headlines.workspace, job.id)
    assert not folder.exists() and list_other_jobs(store) == ()
    with pytest.raises(StateError, match="this job stays"):
        forget_job(headlines.workspace, headlines.adapted().id)


def test_the_command_line_goes_from_a_contest_to_what_was_gained(headlines: Headlines, capsys: pytest.CaptureFixture[str]) -> None:
    root, name = str(headlines.workspace.root), headlines.contest.name

    def answer(*arguments: str) -> object:
        assert main([*arguments, "--workspace", root, "--json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    more = headlines.workspace.root / "more.txt"
    more.write_text("골 넣고 이겼다 again\n\nvote wins\nvote wins\n", encoding="utf-16")
    small = ("--set", "train.epochs=1", "--set", "train.precision=fp32")
    queued = answer("tapt", name, "--backbone", MINILM, *small, "--name", "mine", "--texts", str(more), "--queue")
    headlines.work()
    made = answer("pretraining", "show", "mine")
    assert isinstance(queued, dict) and isinstance(made, dict) and made["ref"] == f"p{queued['job'][1:]}"
    assert made["n_texts"] + made["n_held_out"] == 62 and len(made["epochs"]) == 2 and made["pairs"] == []
    queued = answer("pretraining", "pair", made["ref"], "--recipe", "text-minilm", *small, "--queue")
    assert isinstance(queued, list) and [run["run"] for run in queued] == ["text-minilm", f"text-minilm-{made['ref']}"]
    headlines.work()
    shown = answer("pretraining", "show", made["ref"])
    assert isinstance(shown, dict) and {"gain", "gain_low", "gain_high", "verdict"} <= shown["pairs"][0].keys()
    assert answer("pretraining", "list", name) == [{key: made[key] for key in made if key not in ("epochs", "pairs", "recipe")}]
    assert main(["pretraining", "show", "mine", "--workspace", root]) == 0
    said = capsys.readouterr().out
    assert "held-out loss" in said and "against" in said
    assert main(["tapt", name, "--backbone", "tiny_transformer", "--workspace", root]) == 2
    assert "tiny_transformer has no pretraining that could go on" in capsys.readouterr().err
    assert main(["tapt", name, "--backbone", MINILM, "--texts", f"{more}x", "--workspace", root]) == 2
    assert "cannot read more.txtx" in capsys.readouterr().err
    answer("pretraining", "delete", "mine", "--yes")
    pause_queue(headlines.workspace.store)  # so that the engine, which it starts, takes nothing
    watch = Timer(1.0, lambda: cancel_job(headlines.workspace.store, list_jobs(headlines.workspace.store, ("queued",))[0].id))
    watch.start()
    assert main(["tapt", name, "--backbone", MINILM, "--workspace", root]) == 2
    assert "python -m core queue retry" in capsys.readouterr().err
    watch.join()
    assert answer("pretraining", "list", name) == []
