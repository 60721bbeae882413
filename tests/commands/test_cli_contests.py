"""`contest` and `folds`: what was understood of a folder, how it is corrected, and the splits of its rows."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

from tests.commands.conftest import Terminal
from tests.contest.contest_folders import write_csv
from tests.emotions import write_emotions


def test_a_folder_becomes_a_contest_and_says_what_was_understood(
    terminal: Terminal, tmp_path: Path, write_headlines: Callable[[Path], Path]
) -> None:
    folder = write_headlines(tmp_path / "headlines")
    code, out, _ = terminal.run("contest", "add", str(folder), "--dry-run")
    assert code == 0 and "text" in out
    assert terminal.read("contest", "list") == []
    record = terminal.read("contest", "add", str(folder), "--name", "뉴스", "--set", "metric=macro_f1")
    assert (record["contest"], record["metric"], record["n_train"], record["n_test"]) == ("뉴스", "macro_f1", 48, 12)
    assert record["classes"] == ["politik", "스포츠"]
    assert [each["contest"] for each in terminal.read("contest", "list")] == ["뉴스"]
    assert terminal.refused("contest", "add", str(folder), "--name", "뉴스")["type"] == "StateError"


def test_rows_with_several_classes_are_understood_and_can_be_corrected(terminal: Terminal, tmp_path: Path) -> None:
    folder = write_emotions(tmp_path / "kote")
    code, out, _ = terminal.run("contest", "add", str(folder), "--dry-run")
    assert code == 0 and "several" in out and "1.20 labels per row" in " ".join(out.split())
    draft = terminal.read("contest", "add", str(folder), "--dry-run", "--set", "label_separator=space")["spec"]
    assert (draft["labels"], draft["label_separator"]) == ("several", " ")
    code, out, _ = terminal.run("contest", "add", str(folder), "--dry-run", "--json", "--set", "labels=one")
    assert code == 2 and json.loads(out)["spec"]["labels"] == "one"  # rows without a label
    record = terminal.read("contest", "add", str(folder))
    assert (record["labels"], record["n_classes"], record["metric"]) == ("several", 6, "macro_f1")
    _, out, _ = terminal.run("contest", "list")
    assert "6, several" in out


def test_folds_make_follows_what_the_contest_says(terminal: Terminal, tmp_path: Path) -> None:
    rows = [(row, f"words {row}", "c" if row == 1 else "ab"[row % 2], f"u{row % 8}", 1 + row % 4) for row in range(40)]
    write_csv(tmp_path / "reviews" / "train.csv", ("id", "text", "label", "user", "part"), rows)
    terminal.read("contest", "add", str(tmp_path / "reviews"), "--set", "label_column=label")
    found = terminal.read("folds", "make", "reviews", "--n", "4")
    assert found["kind"] == "stratified" and "fewer rows than folds: c (1)" in found["remarks"][0]
    assert terminal.read("folds", "make", "reviews", "--n", "4", "--group", "user")["kind"] == "stratified_group"
    assert terminal.read("folds", "make", "reviews", "--column", "part")["parts"] == ["1", "2", "3", "4"]
    assert "ignored" in terminal.refused("folds", "make", "reviews", "--kind", "kfold", "--group", "user")["why"]
    terminal.read(
        "contest", "add", str(tmp_path / "reviews"), "--name", "grouped", "--set", "label_column=label", "--set", "group_column=user"
    )
    own = terminal.read("folds", "make", "grouped", "--n", "4")
    assert (own["kind"], own["group_column"]) == ("stratified_group", "user")
    assert "8 of 8 groups" in terminal.refused("folds", "make", "grouped", "--n", "4", "--kind", "stratified")["why"]


def test_a_dry_run_says_what_was_found_and_ends_as_registration_would(
    terminal: Terminal, tmp_path: Path, write_headlines: Callable[[Path], Path]
) -> None:
    folder = write_headlines(tmp_path / "headlines")
    answer = terminal.read("contest", "add", f"file://{folder}", "--dry-run")
    assert answer["spec"]["name"] == "headlines"
    assert {"level": "note", "what": "metric"} in [{key: found[key] for key in ("level", "what")} for found in answer["findings"]]
    assert all(found.keys() == {"level", "what", "value", "detail"} for found in answer["findings"])
    train = folder / "train.csv"
    train.write_text(train.read_text().replace("politik", "", 1))
    code, out, err = terminal.run("contest", "add", str(folder), "--dry-run", "--json")
    assert code == 2 and json.loads(out)["spec"]["name"] == "headlines"
    assert "the label is empty" in json.loads(err)["error"]["what"]


def test_an_advised_correction_is_a_command_that_can_be_pasted(terminal: Terminal, tmp_path: Path) -> None:
    folder = tmp_path / "my contest"
    folder.mkdir()
    (folder / "train.csv").write_bytes("id,text,label\n1,这部电影非常好看,a\n2,服务态度太差了,b\n".encode("gb18030"))
    fix = terminal.refused("contest", "add", str(folder), "--dry-run")["fix"]
    command = shlex.split(fix.partition("as a command: ")[2])
    assert command[:3] == ["python", "-m", "core"]
    assert terminal.read(*command[3:])["n_train"] == 2


def test_equal_folds_are_made_once(headlines: Terminal) -> None:
    again = headlines.read("folds", "make", "headlines", "--n", "3")
    other = headlines.read("folds", "make", "headlines", "--n", "3", "--seed", "1")
    assert [each["folds"] for each in headlines.read("folds", "list", "headlines")] == [other["folds"], again["folds"]]
    assert headlines.refused("folds", "make", "headlines", "--n", "99")["type"] == "RecipeError"


def test_rows_are_added_beside_a_contests_own_listed_and_trained_on(terminal: Terminal, tmp_path: Path) -> None:
    write_csv(tmp_path / "notes" / "train.csv", ("id", "text", "label"), [(n, f"note {n % 2} {n}", "ab"[n % 2]) for n in range(24)])
    write_csv(tmp_path / "more.csv", ("source", "text"), [(n, f"again {n}") for n in (0, 2, 4)])
    terminal.read("contest", "add", str(tmp_path / "notes"), "--set", "metric=accuracy", "--set", "id_column=id")
    terminal.read("folds", "make", "notes", "--n", "2")
    added = terminal.read("contest", "rows", "add", "notes", str(tmp_path / "more.csv"), "--kind", "augmented", "--origin", "by hand")
    assert added["classes"] == {"a": [12, 3], "b": [12, 0]} and added["name"] == "more"
    assert [rows["origin"] for rows in terminal.read("contest", "rows", "list", "notes")] == ["by hand"]
