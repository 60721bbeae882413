"""The ways back on the command line: every command that a message advises can be pasted."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from core.__main__ import main
from core.base.errors import StateError
from core.jobs.launch import launch_job
from core.store.contests import list_contests
from core.store.jobs import PREDICT, list_jobs
from core.store.runs import list_runs
from core.workspace import Workspace
from tests.finished_workspace import finish_headlines


@pytest.fixture
def prepared(workspace: Workspace, write_headlines: Callable[[Path], Path], tmp_path: Path) -> Workspace:
    finish_headlines(workspace, write_headlines(tmp_path / "my clips"), {"a": 3.0, "b c": 2.0}, n_folds=2)
    return workspace


@pytest.fixture
def call(prepared: Workspace, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(line: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["--workspace", str(prepared.root), *shlex.split(line)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


Call = Callable[[str], tuple[int, str, str]]


def test_what_goes_along_is_said_and_nothing_is_deleted_without_a_yes(prepared: Workspace, call: Call) -> None:
    code, _, err = call("contest delete 'my clips'")
    assert code == 2 and "contest my clips goes into the trash, and with it 1 set of folds, 2 runs" in err and "--yes" in err
    assert len(list_contests(prepared.store)) == 1
    code, out, _ = call("contest delete 'my clips' --yes")
    assert code == 0 and list_contests(prepared.store) == ()
    advised = re.search(r"python -m core (trash restore t\d+)", out)
    assert advised and call("trash list")[1].count("my clips") == 1
    assert call(advised[1])[0] == 0 and len(list_runs(prepared.store)) == 2


def test_several_are_deleted_at_once_and_removed_for_good(prepared: Workspace, call: Call) -> None:
    code, out, _ = call("run delete a 'b c' --yes --json")
    assert code == 0 and [item["ref"] for item in json.loads(out)["items"]] == ["r1", "r2"]
    assert json.loads(call("trash list --json")[1])[0]["n_bytes"] > 0
    assert call("trash empty")[0] == 2 and call("trash empty --yes")[0] == 0
    assert "by hand" in call("trash list")[1] and call("trash restore t1")[0] == 2
    assert call("folds delete 1 --yes")[0] == 0 and call("trash restore t2")[0] == 0


def test_names_and_notes_are_changed(prepared: Workspace, call: Call) -> None:
    assert call("contest rename 'my clips' '클립 2'")[0] == 0
    assert call("run rename r1 'first try'")[0] == 0 and call("run note 'first try' 'with 384 px'")[0] == 0
    assert json.loads(call("runs '클립 2' --json")[1])[1]["note"] == "with 384 px"
    assert call("blend '클립 2' r1 r2 --name 'best of all'")[0] == 0 and call("blends rename 'best of all' mix")[0] == 0
    for refused in ("\udcff", "n" * 2001):  # the first is what Python makes of bytes that are not UTF-8
        assert call(f"run note r1 '{refused}'")[0] == 2
    code, _, err = call("contest rename '클립 2' 'a\u200bb'")
    assert code == 2 and "1 to 60 characters that can be seen" in err
    assert call("contest archive '클립 2'")[0] == 0 and "archived" in call("contest list")[1]
    assert call("contest archive '클립 2' --undo")[0] == 0 and "archived" not in call("contest list")[1]


def test_a_taken_name_is_refused_with_commands_that_work(prepared: Workspace, call: Call) -> None:
    root = list_contests(prepared.store)[0].spec.root
    code, _, err = call(f"contest add {shlex.quote(root)}")
    assert code == 2 and "already a contest named 'my clips'" in err
    advised = re.search(r"`python -m core (contest delete [^`]+)`", err)
    assert advised and call(f"{advised[1]} --yes")[0] == 0
    assert call(f"contest add {shlex.quote(root)}")[0] == 0


def test_what_is_in_the_trash_is_not_queued_again(prepared: Workspace, call: Call) -> None:
    contest, (run, _) = list_contests(prepared.store)[0], list_runs(prepared.store)
    job = launch_job(prepared.store, kind=PREDICT, contest_id=contest.id, run_id=run.id)
    assert call(f"run delete {run.ref} --yes")[0] == 0
    code, _, err = call(f"queue retry {job.ref}")
    assert code == 2 and "restore it from the trash" in err
    with pytest.raises(StateError, match="gone"):
        launch_job(prepared.store, kind=PREDICT, contest_id=contest.id, run_id=run.id)
    assert list_jobs(prepared.store, ("queued",)) == ()


def test_an_advised_command_takes_a_name_that_looks_like_an_option(prepared: Workspace, call: Call) -> None:
    assert call("contest rename -- 'my clips' --yes")[0] == 0
    advised = re.search(r"python -m core (contest archive .+)", call("contest archive -- --yes")[1])
    assert advised and call(advised[1])[0] == 0 and list_contests(prepared.store)[0].archived_at is None


def test_a_submission_is_listed_and_deleted(prepared: Workspace, call: Call, tmp_path: Path) -> None:
    assert call(f"submit a -o {shlex.quote(str(tmp_path / 'out.csv'))}")[0] == 0
    assert "s1" in call("submission list 'my clips'")[1]
    assert call("submission delete s1 --yes")[0] == 0 and "no submission yet" in call("submission list 'my clips'")[1]


def test_a_contest_is_corrected_after_what_depends_was_said(prepared: Workspace, call: Call) -> None:
    code, out, _ = call("contest correct 'my clips' --set metric=macro_f1 --dry-run")
    assert code == 0 and "metric: log_loss -> macro_f1" in out and "2 runs have the new score" in out
    assert call("contest correct 'my clips' --set metric=macro_f1")[0] == 2 and list_contests(prepared.store)[0].spec.metric == "log_loss"
    code, out, _ = call("contest correct 'my clips' --set metric=macro_f1 --yes --json")
    assert code == 0 and json.loads(out)["metric"] == "macro_f1" and json.loads(out)["in_place"]
