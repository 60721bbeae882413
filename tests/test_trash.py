"""The files of the trash: whose they are, and when it is emptied by itself."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from core.blend.ensemble import make_spec, save_blend
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.contest.uploads import open_source
from core.exchange.exchange import export_predictions, import_predictions
from core.predictions.source import source_of
from core.store.contests import Contest, list_contests
from core.store.folds import get_folds
from core.store.runs import Run, list_runs
from core.store.trash import KEPT_S, begin_emptying, list_trash, plan_removal, put_in_trash, restore
from core.submission.write import read_submission, write_submission
from core.trash import empty_old, empty_trash, entry_bytes, files_of, make_space
from core.workspace import Workspace
from tests.finished_workspace import finish_headlines, put_away

Prepared = tuple[Workspace, Contest, tuple[Run, ...]]


@pytest.fixture
def prepared(workspace: Workspace, write_headlines: Callable[[Path], Path], tmp_path: Path) -> Prepared:
    return workspace, *finish_headlines(workspace, write_headlines(tmp_path / "headlines"), {"a": 3.0, "b": 2.0}, n_folds=2)


def test_thirty_days_later_it_is_emptied_and_nothing_else(prepared: Prepared) -> None:
    workspace, _, (one, other) = prepared
    for run, now in ((one, 0.0), (other, 100.0)):
        put_in_trash(workspace.store, plan_removal(workspace.store, {"run": [run.id]}), now=now)
    assert empty_old(workspace, now=KEPT_S - 1) == ()
    assert [entry.ref for entry in empty_old(workspace, now=KEPT_S)] == ["t1"]
    assert not workspace.absolute(one.results[0].path).exists() and workspace.absolute(other.results[0].path).exists()
    assert restore(workspace.store, "t2").entry.ref == "t2" and list_runs(workspace.store) == (other,)


def test_of_an_imported_run_what_was_predicted_later_goes_too(prepared: Prepared, tmp_path: Path) -> None:
    workspace, contest, (one, _) = prepared
    export_predictions(source_of(workspace, one), oof=tmp_path / "oof.csv", test=tmp_path / "test.csv")
    run = import_predictions(
        workspace, contest, get_folds(workspace.store, one.folds_id), oof=tmp_path / "oof.csv", test=tmp_path / "test.csv"
    )
    later = workspace.answer_dir(contest.folder, run.id, 1, 1)
    later.mkdir(parents=True)
    put_away(workspace.store, "run", run.id)
    empty_trash(workspace)
    assert not later.exists() and not workspace.absolute(run.results[0].path).exists()


def test_space_is_made_oldest_first_and_only_as_much_as_is_needed(prepared: Prepared) -> None:
    workspace, _, (one, other) = prepared
    for run in (one, other):
        put_away(workspace.store, "run", run.id)

    def free(_: Path) -> int:
        return 100 * sum(not workspace.absolute(run.results[0].path).exists() for run in (one, other))

    assert make_space(workspace, 50, free) and [(entry.ref, entry.emptied_for) for entry in list_trash(workspace.store)] == [
        ("t2", None),
        ("t1", "space"),
    ]
    assert not make_space(workspace, 500, free) and all(entry.is_gone for entry in list_trash(workspace.store))


def test_what_others_stand_on_stays(prepared: Prepared) -> None:
    workspace, contest, runs = prepared
    spec = make_spec([run.id for run in runs])
    one, other = (save_blend(workspace, contest, spec, name=name) for name in ("one", "other"))
    before = write_submission(source_of(workspace, other))
    put_away(workspace.store, "blend", one.id)
    put_away(workspace.store, "submission", before.id)
    again = write_submission(source_of(workspace, other))
    assert one.path == other.path and before.path == again.path and before.id != again.id
    empty_trash(workspace)
    assert source_of(workspace, other).oof().shape[0] == contest.n_train and read_submission(workspace, again)


def test_an_upload_goes_with_its_last_contest_and_a_persons_folder_never(
    workspace: Workspace, write_headlines: Callable[[Path], Path], tmp_path: Path
) -> None:
    mine = write_headlines(tmp_path / "mine")
    with zipfile.ZipFile(tmp_path / "up.zip", "w") as archive:
        for path in mine.iterdir():
            archive.write(path, path.name)
    uploaded = open_source(workspace, tmp_path / "up.zip")
    for folder, name in ((mine, "mine"), (uploaded, "first"), (uploaded, "second")):
        add_contest(workspace, inspect_path(folder, name=name).draft)
    entry = put_away(workspace.store, "contest", 1, 2)
    assert entry_bytes(workspace, entry) > 1000 and all(path.is_relative_to(workspace.root) for path in files_of(workspace, entry))
    empty_trash(workspace)
    assert uploaded.exists() and mine.exists() and [contest.name for contest in list_contests(workspace.store)] == ["second"]
    put_away(workspace.store, "contest", 3)
    empty_trash(workspace)
    assert not uploaded.exists() and list(workspace.uploads_dir.iterdir()) == [] and list((workspace.root / "contests").iterdir()) == []


def test_what_was_begun_is_finished(prepared: Prepared) -> None:
    workspace, contest, _ = prepared
    begin_emptying(workspace.store, put_away(workspace.store, "contest", contest.id), "person", now=1.0)
    assert empty_old(workspace, now=2.0) == () and list_trash(workspace.store)[0].is_gone
    assert list((workspace.root / "contests").iterdir()) == []
