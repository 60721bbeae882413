"""Labels in a table of their own are joined, labelled validation rows are trained on too: said, and each can be corrected."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.base.errors import InputError
from core.base.messages import corrections
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.contest.table import load_table, load_truth
from core.folds import save_folds
from core.specs.contest import ContestSpec
from core.specs.folds import FoldsSpec
from core.workspace import Workspace
from tests.contest.contest_folders import registered, write_csv, write_image

NAMES = ("bad", "good")


def texts(prefix: str, n_rows: int) -> list[tuple[str, str]]:
    return [(f"{prefix}{number}", f"text {prefix} {number}") for number in range(n_rows)]


def labelled(rows: list[tuple[str, str]]) -> list[tuple[str, str, str]]:
    return [(*row, NAMES[number % 2]) for number, row in enumerate(rows)]


def class_folders(root: Path, *parts: str, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    for number, (part, name) in enumerate((part, name) for part in parts for name in classes):
        for image in range(3):
            write_image(root / part / name / f"{image}.png", 10 * number + image)
    return root


@pytest.mark.parametrize(
    ("inputs", "labels"),
    [
        ("train_features", "train_labels"),
        ("train_values", "train_labels"),
        ("x_train", "y_train"),
        ("train", "labels"),
        ("학습데이터", "학습_정답"),
    ],
)
def test_labels_of_another_table_are_joined_by_their_ids(workspace: Workspace, tmp_path: Path, inputs: str, labels: str) -> None:
    root = tmp_path / "c"
    write_csv(root / f"{inputs}.csv", ("id", "text"), texts("t", 6))
    write_csv(root / f"{labels}.csv", ("id", "label"), [(row[0], row[2]) for row in reversed(labelled(texts("t", 6)))])
    write_csv(root / "test.csv", ("id", "text"), texts("s", 2))
    contest, inspection = registered(workspace, root)
    assert (inspection.draft.train, inspection.draft.train_labels) == (f"{inputs}.csv", f"{labels}.csv")
    assert [check.key for check in inspection.checks if "joined to it" in check.detail] == ["train_labels"]
    assert load_truth(workspace, contest).labels.tolist() == [0, 1] * 3
    assert "label" in inspection.columns


def test_problems_of_labels_name_their_own_table(workspace: Workspace, tmp_path: Path) -> None:
    root = tmp_path / "c"
    write_csv(root / "train.csv", ("id", "text"), texts("t", 3))
    write_csv(root / "labels.csv", ("id", "label"), [("t2", "good"), ("t1", ""), ("t0", "bad")])
    write_csv(root / "test.csv", ("id", "text"), texts("s", 2))
    with pytest.raises(InputError, match="the label is empty") as caught:
        add_contest(workspace, inspect_path(root).draft)
    assert caught.value.where == "labels.csv line 3, column 'label'"


def test_labels_that_do_not_belong_to_every_row_are_not_joined(tmp_path: Path) -> None:
    root = tmp_path / "c"
    write_csv(root / "train.csv", ("id", "text"), texts("t", 6))
    write_csv(root / "labels.csv", ("id", "label"), [(row[0], row[2]) for row in labelled(texts("t", 5))])
    write_csv(root / "test.csv", ("id", "text"), texts("s", 2))
    with pytest.raises(InputError, match="the labels cannot be joined"):
        inspect_path(root, sets=["train_labels=labels.csv"])
    with pytest.raises(InputError):
        inspect_path(root)


@pytest.mark.parametrize(("train", "valid"), [("train", "val"), ("train", "validation"), ("학습", "검증"), ("data/train", "data/dev")])
def test_class_folders_for_validation_are_trained_on_and_told_apart(workspace: Workspace, tmp_path: Path, train: str, valid: str) -> None:
    root = class_folders(tmp_path / "c", train, valid)
    class_folders(tmp_path / "c", "data/test" if "data" in train else "test")
    contest, inspection = registered(workspace, root)
    assert [check.level for check in inspection.checks if check.key == "valid"] == ["warning"]
    assert "6 rows per class" in [check.detail for check in inspection.checks if check.key == "classes"]
    rows = load_table(workspace, contest).train
    came_from = rows["col.came_from"].tolist()
    assert [name.rpartition("/")[2] for name in came_from] == [train.rpartition("/")[2]] * 6 + [valid.rpartition("/")[2]] * 6
    assert rows["id"].is_unique and load_truth(workspace, contest).labels.tolist() == [0] * 3 + [1] * 3 + [0] * 3 + [1] * 3
    folds = save_folds(workspace, contest, FoldsSpec(kind="group", n_folds=2, group_column="came_from"))
    assert folds.n_folds == 2
    assert inspect_path(root, sets=["valid="]).n_train == 6


def test_a_table_for_validation_is_trained_on_and_told_apart(workspace: Workspace, tmp_path: Path) -> None:
    root = tmp_path / "c"
    write_csv(root / "train.csv", ("id", "text", "label"), labelled(texts("t", 6)))
    write_csv(root / "dev.csv", ("id", "text", "label", "rater"), [(f"t{row[0][1:]}", *row[1:], "x") for row in labelled(texts("d", 4))])
    write_csv(root / "test.csv", ("id", "text"), texts("s", 2))
    contest, _ = registered(workspace, root)
    rows = load_table(workspace, contest).train
    assert rows["col.came_from"].tolist() == ["train.csv"] * 6 + ["dev.csv"] * 4
    assert rows["col.rater"].tolist() == [""] * 6 + ["x"] * 4
    assert rows["id"].tolist() == [f"t{number}" for number in range(6)] + [f"t{number} (2)" for number in range(4)]
    write_csv(root / "dev.csv", ("id", "text", "label"), labelled(texts("t", 4)))
    assert inspect_path(root).n_train == 6  # a part of the training table
    write_csv(root / "dev.csv", ("id", "text"), texts("d", 2))
    inspection = inspect_path(root)
    assert (inspection.draft.valid, inspection.n_train) == ("", 6)
    assert any("left out" in check.detail for check in inspection.checks if check.key == "valid")


@pytest.mark.parametrize("separator", ["", "|"])
def test_a_class_that_only_rows_for_validation_have_is_a_class(workspace: Workspace, tmp_path: Path, separator: str) -> None:
    root = tmp_path / "c"
    cells = [separator.join(("bad", "good")[: 1 + number % 2]) if separator else NAMES[number % 2] for number in range(6)]
    write_csv(root / "train.csv", ("id", "text", "label"), [(*row, cell) for row, cell in zip(texts("t", 6), cells, strict=True)])
    write_csv(
        root / "dev.csv", ("id", "text", "label"), [*labelled(texts("d", 2)), ("d9", "text", f"odd{separator}bad" if separator else "odd ")]
    )
    write_csv(root / "test.csv", ("id", "text"), texts("s", 2))
    contest, inspection = registered(workspace, root, *([f"label_separator={separator}"] if separator else []))
    assert inspection.draft.classes == ("bad", "good", "odd")
    assert [check.detail.rpartition(": ")[2] for check in inspection.checks if "only these rows" in check.detail] == ["odd"]
    truth = load_truth(workspace, contest).labels
    assert truth[-1].tolist() == ([1, 0, 1] if separator else 2)


def test_a_class_folder_that_only_validation_has_is_a_class(workspace: Workspace, tmp_path: Path) -> None:
    root = class_folders(class_folders(tmp_path / "c", "train"), "val", classes=("bird", "cat", "dog"))
    class_folders(root, "test")
    contest, inspection = registered(workspace, root)
    assert inspection.class_counts == {"bird": 3, "cat": 6, "dog": 6}
    assert load_truth(workspace, contest).labels.tolist() == [1] * 3 + [2] * 3 + [0] * 3 + [1] * 3 + [2] * 3
    assert [check.detail.rpartition(": ")[2] for check in inspection.checks if "only these rows" in check.detail] == ["bird"]


@pytest.mark.parametrize(
    ("folders", "train", "test", "classes"),
    [
        (("chelonia", "emys", "testudo"), ".", "", ("chelonia", "emys", "testudo")),
        (("evaluable", "training_shoe", "devil"), ".", "", ("devil", "evaluable")),
        (("valid", "invalid"), ".", "", ("invalid", "valid")),
        (("train/valid", "train/invalid", "test"), "train", "test", ("invalid", "valid")),
        (("train/car", "train/train", "test"), "train", "test", ("car", "train")),
        (("train/test", "train/train", "train/val", "test"), "train", "test", ("test", "train", "val")),
        (("cat", "dog", "test"), ".", "test", ("cat", "dog")),
        (("TrainImages/cat", "TrainImages/dog", "TestImages"), "TrainImages", "TestImages", ("cat", "dog")),
        (("학습데이터/개", "학습데이터/고양이", "평가데이터"), "학습데이터", "평가데이터", ("개", "고양이")),
    ],
)
def test_a_class_is_not_taken_for_a_part(tmp_path: Path, folders: tuple[str, ...], train: str, test: str, classes: tuple[str, ...]) -> None:
    for number, folder in enumerate(folders):
        for image in range(3):
            write_image(tmp_path / "c" / folder / f"{image}.png", 10 * number + image)
    inspection = inspect_path(tmp_path / "c")
    assert (inspection.draft.train, inspection.draft.test) == (train, test)
    assert set(classes) <= set(inspection.draft.classes)
    among = [check for check in inspection.checks if "among the class folders" in check.detail]
    assert bool(among) == (train == "." and test != "")
    if among:
        assert inspect_path(tmp_path / "c", sets=["test="]).draft.classes == ("cat", "dog", "test")


@pytest.mark.parametrize(
    "names",
    [
        ("Train.csv", "Test.csv", "SampleSubmission.csv"),
        ("TRAIN.CSV", "TEST.CSV", "SAMPLE_SUBMISSION.CSV"),
        ("train_set.csv", "testset.csv", "samplesubmission.csv"),
        ("학습데이터.csv", "평가데이터.csv", "제출양식.csv"),
        ("훈련용.csv", "평가용.csv", "제출_예시.csv"),
        ("학습/data.csv", "테스트/data.csv", "제출샘플.csv"),
        ("training.csv", "evaluation.csv", "submission_format.csv"),
        ("train_sample.csv", "test_sample.csv", "sample.csv"),
    ],
)
def test_usual_names_of_tables_are_known(tmp_path: Path, names: tuple[str, str, str]) -> None:
    root = tmp_path / "c"
    write_csv(root / names[0], ("id", "text", "label"), labelled(texts("t", 6)))
    write_csv(root / names[1], ("id", "text"), texts("s", 2))
    write_csv(root / names[2], ("id", "label"), [("s0", "bad"), ("s1", "bad")])
    draft = inspect_path(root).draft
    assert (draft.train, draft.test, draft.sample_submission) == names


@pytest.mark.parametrize(("n_parts", "way_out"), [(2, ["--set valid=train_2.csv"]), (3, [])])
def test_rows_in_several_tables_of_one_kind_are_said(workspace: Workspace, tmp_path: Path, n_parts: int, way_out: list[str]) -> None:
    root = tmp_path / "c"
    for part in range(1, n_parts + 1):
        write_csv(root / f"train_{part}.csv", ("id", "text", "label"), labelled(texts(f"t{part}", 4)))
    write_csv(root / "test.csv", ("id", "text"), texts("s", 2))
    (check,) = [check for check in inspect_path(root).checks if check.key == "valid"]
    assert check.level == "warning" and "train_2.csv" in check.detail
    assert corrections(check.detail, ContestSpec.model_fields) == way_out
    if way_out:
        assert inspect_path(root, sets=[way_out[0].removeprefix("--set ")]).n_train == 8
