"""What is understood of a folder: the shapes contests have, the evidence, and corrections that carry through."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from core.base.errors import InputError
from core.contest.inspect.draft import Inspection, inspect_path
from core.submission.format import read_format
from core.workspace import Workspace
from tests.contest.contest_folders import CARS, folder_contest, image_contest, registered, text_contest, write_csv, write_image


def level_of(inspection: Inspection, key: str) -> set[str]:
    return {check.level for check in inspection.checks if check.key == key}


def detail_of(inspection: Inspection, key: str) -> str:
    return " | ".join(f"{check.value}: {check.detail}" for check in inspection.checks if check.key == key)


def test_images_named_in_a_csv_with_probabilities(tmp_path: Path) -> None:
    found = inspect_path(image_contest(tmp_path / "animals"))
    draft = found.draft
    assert (draft.name, draft.modality, draft.layout) == ("animals", "image", "csv")
    assert (draft.train, draft.test, draft.sample_submission) == ("train.csv", "test.csv", "sample_submission.csv")
    assert (draft.id_column, draft.input_columns, draft.label_column) == ("id", ("path",), "label")
    assert draft.classes == ("cat", "dog", "owl")
    assert (draft.submission, draft.metric) == ("probabilities", "log_loss")
    assert (found.n_train, found.n_test, found.class_counts) == (9, 4, {"cat": 3, "dog": 3, "owl": 3})
    assert found.problems == ()
    assert "guess" in detail_of(found, "metric")
    assert set(found.preview["label"][:3]) == {"cat", "dog", "owl"}


def test_class_folders_with_hangul_names(tmp_path: Path) -> None:
    found = inspect_path(folder_contest(tmp_path / "cars"))
    draft = found.draft
    assert (draft.layout, draft.train, draft.test) == ("folders", "train", "test.csv")
    assert draft.classes == CARS
    assert (draft.id_column, draft.input_columns) == ("ID", ("img_path",))
    assert (draft.submission, draft.metric) == ("probabilities", "log_loss")
    assert (found.n_train, found.n_test) == (9, 3)
    assert found.problems == ()


def test_names_in_the_form_of_macos_are_the_same_names(tmp_path: Path) -> None:
    root = tmp_path / "cars"
    nfd = [unicodedata.normalize("NFD", name) for name in CARS]
    folder_contest(root, classes=nfd)
    write_csv(root / "sample_submission.csv", ("ID", *CARS), [(f"TEST_{number:05d}", *["0"] * 3) for number in range(3)])
    found = inspect_path(root)
    assert found.draft.classes == CARS
    assert found.problems == ()


def test_a_csv_in_nfc_finds_files_in_nfd(tmp_path: Path) -> None:
    names = ["차", "고양이", "강아지", "집"]
    for number, name in enumerate(names):
        write_image(tmp_path / unicodedata.normalize("NFD", f"사진/{name}.png"), number)
    write_csv(tmp_path / "train.csv", ("file", "label"), [(f"사진/{name}.png", f"c{number % 2}") for number, name in enumerate(names)])
    found = inspect_path(tmp_path, name="nfd")
    assert found.problems == ()
    assert all((tmp_path / path).exists() for path in found.preview["input"])


def test_reviews_with_a_label_submission(tmp_path: Path) -> None:
    found = inspect_path(text_contest(tmp_path / "reviews"))
    draft = found.draft
    assert (draft.modality, draft.input_columns, draft.label_column) == ("text", ("review",), "label")
    assert (draft.submission, draft.metric) == ("label", "accuracy")
    assert draft.classes == ("0", "1", "2", "3")
    assert found.problems == ()


def test_tab_separated_reviews_whose_test_has_labels_too(tmp_path: Path) -> None:
    head = ("id", "document", "label")
    rows = [(str(9976970 + number), f'아 더빙.. "진짜 {number}', number % 2) for number in range(20)]
    lines = ["\t".join(map(str, row)) for row in (head, *rows)]
    (tmp_path / "ratings_train.txt").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "ratings_test.txt").write_text("\n".join(lines[:9]), encoding="utf-8")
    (tmp_path / "README.txt").write_text("reviews of films", encoding="utf-8")
    found = inspect_path(tmp_path, name="nsmc")
    draft = found.draft
    assert (draft.train, draft.test) == ("ratings_train.txt", "ratings_test.txt")
    assert (draft.id_column, draft.input_columns, draft.label_column) == ("id", ("document",), "label")
    assert draft.classes == ("0", "1")
    assert (found.n_train, found.n_test) == (20, 8)


def test_ids_without_suffix_are_found_in_the_folder_of_their_role(tmp_path: Path) -> None:
    for number in range(6):
        write_image(tmp_path / "train_images" / f"{number:04d}.jpg", number)
        write_image(tmp_path / "test_images" / f"{number:04d}.jpg", 50 + number)
    write_csv(tmp_path / "train.csv", ("image_id", "target"), [(f"{number:04d}", number % 2) for number in range(6)])
    write_csv(tmp_path / "sample_submission.csv", ("image_id", "target"), [(f"{number:04d}", 0) for number in range(6)])
    found = inspect_path(tmp_path, name="x")
    draft = found.draft
    assert draft.input_columns == ("image_id",)
    assert (draft.image_root, draft.test, draft.label_column) == ("train_images", "test_images", "target")
    assert found.problems == ()
    assert (found.n_train, found.n_test) == (6, 6)


def test_a_test_folder_takes_the_ids_of_the_sample(tmp_path: Path) -> None:
    root = folder_contest(tmp_path / "cars")
    (root / "test.csv").unlink()
    write_csv(root / "sample_submission.csv", ("ID", "label"), [(f"TEST_{number:05d}.jpg", "x") for number in (2, 0, 1)])
    found = inspect_path(root)
    assert found.draft.test == "test"
    assert found.test_ids == "file names in test"
    assert (found.draft.submission, found.problems) == ("label", ())


def test_class_folders_at_the_top_and_no_test(tmp_path: Path) -> None:
    for index, name in enumerate(("mask", "no_mask")):
        for number in range(4):
            write_image(tmp_path / name / f"{number}.png", 10 * index + number)
    found = inspect_path(tmp_path, name="masks")
    assert (found.draft.train, found.draft.classes, found.n_test) == (".", ("mask", "no_mask"), 0)
    assert level_of(found, "test") == {"note", "warning"}
    assert found.problems == ()


def test_one_wrapping_folder_is_taken_off(tmp_path: Path) -> None:
    image_contest(tmp_path / "upload" / "open" / "data")
    (tmp_path / "upload" / "__MACOSX").mkdir()
    (tmp_path / "upload" / ".DS_Store").write_bytes(b"x")
    found = inspect_path(tmp_path / "upload")
    assert found.draft.root == str((tmp_path / "upload" / "open" / "data").resolve())
    assert found.draft.name == "upload"


def test_a_training_csv_can_be_named_itself(tmp_path: Path) -> None:
    root = text_contest(tmp_path / "reviews")
    os.rename(root / "train.csv", root / "mine.csv")
    found = inspect_path(root / "mine.csv")
    assert (found.draft.train, found.draft.name) == ("mine.csv", "reviews")


def test_a_correction_carries_through_to_classes_and_submission(tmp_path: Path) -> None:
    rows = [(number, f"긴 문장이 여기 있다 {number}", "ab"[number % 2], "xyz"[number % 3]) for number in range(12)]
    write_csv(tmp_path / "train.csv", ("id", "sentence", "label", "ans"), rows)
    write_csv(tmp_path / "test.csv", ("id", "sentence"), [(number, "문장") for number in range(3)])
    write_csv(tmp_path / "sample_submission.csv", ("id", "x", "y", "z"), [(number, 0, 0, 0) for number in range(3)])
    assert inspect_path(tmp_path, name="x").draft.label_column == "ans"
    wrong = inspect_path(tmp_path, name="x", sets=["label_column=label"])
    assert wrong.draft.classes == ("a", "b")
    assert wrong.problems
    right = inspect_path(tmp_path, name="x", sets=["label_column=ans", "metric=macro_f1"])
    assert (right.draft.classes, right.draft.submission, right.draft.metric) == (("x", "y", "z"), "probabilities", "macro_f1")
    assert right.problems == ()


def test_columns_can_be_joined_and_named_by_numbers(tmp_path: Path) -> None:
    rows = [(f"title {number}", f"a much longer body text {number}", number % 2) for number in range(6)]
    write_csv(tmp_path / "train.csv", ("title", "body", "1"), rows)
    guessed = inspect_path(tmp_path, name="x")
    assert guessed.draft.input_columns == ("title", "body")
    assert "2 columns hold text, joined by a line break" in detail_of(guessed, "input_columns")
    assert "input_columns=[body]" in detail_of(guessed, "input_columns")
    assert level_of(guessed, "input_columns") == {"note"}
    assert guessed.preview["input"][0] == "title 0\na much longer body text 0"
    found = inspect_path(tmp_path, name="x", sets=["input_columns=[body, title]", "label_column=1"])
    assert found.draft.input_columns == ("body", "title")
    assert found.preview["input"][0] == "a much longer body text 0\ntitle 0"


@pytest.mark.parametrize(
    ("columns", "read"),
    [
        ({"name": "a lamp number {}", "what_it_is": "a small lamp of green glass, number {}"}, ("name", "what_it_is")),
        ({"premise": "p {}", "hypothesis": "h {}"}, ("premise", "hypothesis")),
        ({"question1": "who {}", "question2": "what {}"}, ("question1", "question2")),
        ({"review": "good film {}", "url": "https://example.org/a/long/address/{}", "at": "2024-01-01 10:20:{:02}"}, ("review",)),
        ({"text": "some words {}", "city": "the one and only town"}, ("text",)),
        ({"a": "one {}", "b": "word number {}"}, ("b",)),
        ({"sentence": "비틀즈 노래 {}", "entity": "{{'word': '비틀즈', 'start_idx': 0, 'end_idx': 2, 'n': {}}}"}, ("sentence",)),
    ],
)
def test_every_column_that_reads_like_text_is_proposed(tmp_path: Path, columns: dict[str, str], read: tuple[str, ...]) -> None:
    rows = [(*(text.format(number) for text in columns.values()), number % 2) for number in range(12)]
    write_csv(tmp_path / "train.csv", (*columns, "label"), rows)
    found = inspect_path(tmp_path, name="x")
    assert found.draft.input_columns == read
    assert ("entity holds dictionaries" in detail_of(found, "input_columns")) == ("entity" in columns)


@pytest.mark.parametrize(("other", "is_copy"), [("{'word': 'b'}", False), ("{'word': 'a'}", True)])
def test_one_sentence_with_other_entities_is_no_copy(tmp_path: Path, other: str, is_copy: bool) -> None:
    rows = [("a and b are here", "{'word': 'a'}", 0), ("a and b are here", other, 1), ("other words", "{'word': 'c'}", 0)]
    write_csv(tmp_path / "train.csv", ("sentence", "entity", "label"), rows)
    found = inspect_path(tmp_path, name="x")
    assert bool([check for check in found.checks if check.key == "copies"]) == is_copy


def test_ambiguity_is_said(tmp_path: Path) -> None:
    rows = [(number, f"some words {number}", number % 2, number % 3) for number in range(12)]
    write_csv(tmp_path / "train.csv", ("id", "text", "first", "second"), rows)
    write_csv(tmp_path / "train_extra.csv", ("id", "text", "first", "second"), rows)
    found = inspect_path(tmp_path, name="x")
    assert level_of(found, "label_column") == {"warning"}
    assert "also possible: first" in detail_of(found, "label_column")
    assert "also possible: train_extra.csv" in detail_of(found, "train")


def test_groups_are_noted_and_not_decided(tmp_path: Path) -> None:
    rows = []
    for number in range(12):
        path = f"images/{number // 3:06d}_female_Asian_45/{number % 3}.jpg"
        write_image(tmp_path / path, number)
        rows.append((path, f"patient{number // 4}", number % 2))
    write_csv(tmp_path / "train.csv", ("path", "patient_id", "label"), rows)
    found = inspect_path(tmp_path, name="x")
    assert found.draft.group_column == ""
    assert "patient_id (3 values)" in detail_of(found, "groups")
    assert "folder level 2 of the paths (4 names" in detail_of(found, "groups")


def test_class_folders_of_people_are_noted(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for person in range(3):
            for number in range(3):
                write_image(tmp_path / "train" / name / f"p{person}" / f"{number}.png", number)
    assert "folder level 3 of the paths (3 names" in detail_of(inspect_path(tmp_path, name="x"), "groups")


def test_what_is_odd_about_classes_is_said(tmp_path: Path) -> None:
    labels = ["cat", "Cat ", "dog", "dog", "dog", "dog,cat"]
    write_csv(tmp_path / "train.csv", ("id", "text", "label"), [(number, f"t {number}", label) for number, label in enumerate(labels)])
    found = inspect_path(tmp_path, name="x")
    said = detail_of(found, "classes")
    assert "one row only" in said
    assert "differ only in case, blanks" in said
    assert found.draft.labels == "one"
    assert level_of(found, "labels") == {"warning"}
    assert "several labels" in detail_of(found, "labels")


def test_empty_texts_are_kept_and_said(tmp_path: Path) -> None:
    write_csv(
        tmp_path / "train.csv", ("id", "text", "label"), [(number, "" if number == 3 else "words", number % 2) for number in range(8)]
    )
    found = inspect_path(tmp_path, name="x")
    assert found.problems == ()
    assert "1 empty text" in detail_of(found, "input_columns")


def test_unbalanced_labels_suggest_macro_f1(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", ("id", "text", "label"), [(number, "words", int(number == 0)) for number in range(20)])
    assert inspect_path(tmp_path, name="x").draft.metric == "macro_f1"


def test_the_name_of_a_folder_becomes_a_name(tmp_path: Path) -> None:
    root = text_contest(tmp_path / "2025 중고차 (final)!")
    assert inspect_path(root).draft.name == "2025 중고차 (final)!"
    assert inspect_path(root, name="cars").draft.name == "cars"
    with pytest.raises(InputError, match="cannot be used"):
        inspect_path(root, name="an\x1binvisible sign")


def small_contest(root: Path, train: str, test: str, sample: str = "") -> Path:
    """Tables of texts as they are typed here; `{n}` numbers the rows of each, six to train on and three to predict."""
    for name, text, n_rows in (("train", train, 6), ("test", test, 3), ("sample_submission", sample, 3)):
        header, _, row = text.partition("\n")
        root.mkdir(exist_ok=True)
        if text:
            lines = [row.format(n=number, label="good" if number % 2 else "bad", kind="uvw"[number % 3]) for number in range(n_rows)]
            (root / f"{name}.csv").write_text("\n".join([header, *lines]) + "\n")
    return root


@pytest.mark.parametrize(
    ("tables", "id_column", "label_column"),
    [
        ((",id,text,label\n{n},t{n},text {n},{label}", ",id,text\n{n},s{n},text {n}", ",id,label\n{n},s{n},bad"), "id", "label"),
        ((",id,text,label\n{n},t{n},text {n},{label}", ",id,text\n{n},s{n},text {n}"), "id", "label"),
        ((",text,label\n{n},text {n},{label}", ",text\n{n},text {n}", ",label\n{n},bad"), "Unnamed: 0", "label"),
        (("id,text,kind,Target\nt{n},text {n},{kind},{label}", "id,text\ns{n},text {n}", "id,target\ns{n},bad"), "id", "Target"),
        (("id,text,label\nt{n},text {n},{label}", "id,text\ns{n},text {n}", "ID,Target\ns{n},bad"), "id", "label"),
        (("id,text,label\nt{n},text {n},{label}", "id,text\ns{n},text {n}", "label,id\nbad,s{n}"), "id", "label"),
        (("Id,text,label\nt{n},text {n},{label}", "Id,row,text\n{n},s{n},text {n}", "name,label\ns{n},bad"), "row", "label"),
    ],
)
def test_ids_and_labels_are_known_by_the_sample_and_the_index_of_pandas_is_neither(
    workspace: Workspace, tmp_path: Path, tables: tuple[str, ...], id_column: str, label_column: str
) -> None:
    _, inspection = registered(workspace, small_contest(tmp_path / "c", *tables))
    assert (inspection.draft.id_column, inspection.draft.label_column) == (id_column, label_column)
    assert inspection.draft.classes == ("bad", "good")
    assert ("numbers the rows" in detail_of(inspection, "train")) == (tables[0].startswith(",id"))


def test_the_label_does_not_make_way_for_a_group(tmp_path: Path) -> None:
    root = small_contest(tmp_path / "c", "id,text,kind,label\nt{n},text {n},{kind},{label}", "id,text\ns{n},text {n}", "id,label\ns{n},bad")
    for sets in (["group_column=label"], ["group_column=kind", "label_column=kind"]):
        with pytest.raises(InputError, match="the group column is the label") as caught:
            inspect_path(root, sets=sets)
        assert "--set label_column=NAME" in caught.value.fix
    assert inspect_path(root, sets=["group_column=label", "label_column=kind"]).draft.group_column == "label"
    assert inspect_path(root, sets=["group_column=kind"]).draft.label_column == "label"


def test_a_table_in_another_encoding_is_read_when_a_person_says_which(workspace: Workspace, tmp_path: Path) -> None:
    root = small_contest(tmp_path / "c", "id,text,label\nt{n},很好看 {n},{label}", "id,text\ns{n},很好看 {n}", "id,label\ns{n},bad")
    for path in root.glob("*.csv"):
        path.write_bytes(path.read_text().encode("gb18030"))
    with pytest.raises(InputError, match="its encoding is not sure"):
        inspect_path(root)
    contest, inspection = registered(workspace, root, "encoding=gb18030")
    assert inspection.preview["input"].str.startswith("很好看").all()
    assert read_format(workspace, contest).ids == ("s0", "s1", "s2")


def test_a_folder_of_workbooks_is_told_how_to_be_read(tmp_path: Path) -> None:
    (tmp_path / "train.xlsx").write_bytes(b"PK")
    with pytest.raises(InputError) as refusal:
        inspect_path(tmp_path)
    assert "train.xlsx is read once it is saved as CSV" in refusal.value.why


def test_a_short_table_is_judged_by_those_beside_it(workspace: Workspace, tmp_path: Path) -> None:
    root = small_contest(
        tmp_path / "c", "id,text,label\nt{n},이 영화는 정말 재미있다 {n},{label}", "id,text\n갹{n},배송이 느리다", "id,label\n갹{n},bad"
    )
    sample = root / "sample_submission.csv"
    for path in root.glob("*.csv"):
        path.write_bytes(path.read_text().encode("cp949"))
    contest, inspection = registered(workspace, root)
    assert (inspection.draft.encoding, [check.level for check in inspection.checks if check.key == "encoding"]) == ("cp949", ["note"])
    form = read_format(workspace, contest)
    assert (form.ids, form.encoding) == (("갹0", "갹1", "갹2"), "cp949")
    for name in ("train.csv", "test.csv"):
        (root / name).write_bytes((root / name).read_bytes().decode("cp949").encode())
    with pytest.raises(InputError, match="its encoding is not sure"):  # tables in UTF-8 say nothing of it
        inspect_path(root)
    sample.write_bytes(sample.read_bytes().decode("cp949").encode())
    assert inspect_path(root).draft.encoding == ""
