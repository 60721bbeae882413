"""Every row is validated exactly once; groups are never split; the same settings give the same folds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st
from sklearn.model_selection import StratifiedKFold

from core.artefacts import publishing, verify
from core.base.errors import CheckpointError, InputError
from core.base.settings import parse_settings
from core.contest.table import load_table, load_truth
from core.folds import first_spec, fold_parts, group_columns, load_folds, save_folds
from core.specs.folds import FoldsSpec
from core.splitting import class_balance, deal_classes, deal_evenly, make_folds, read_parts, remarks, say_rare, split_groups
from core.store.folds import add_folds, get_folds, list_folds
from core.workspace import Workspace
from tests.contest.contest_folders import folder_contest, registered, write_csv
from tests.emotions import emotion_sets

KINDS = ("stratified", "group", "stratified_group", "kfold")


@st.composite
def splits(draw: st.DrawFn) -> tuple[FoldsSpec, np.ndarray, list[str]]:
    n_folds = draw(st.integers(2, 6))
    n_classes = draw(st.integers(2, 5))
    n_rows = draw(st.integers(n_classes * n_folds, 120))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    labels = np.concatenate([np.repeat(np.arange(n_classes), n_folds), rng.integers(0, n_classes, n_rows - n_classes * n_folds)])
    groups = [f"p{number}" for number in rng.integers(0, draw(st.integers(n_folds, 40)), n_rows)]
    spec = FoldsSpec(kind=draw(st.sampled_from(KINDS)), n_folds=n_folds, seed=draw(st.integers(0, 1000)))
    return spec, rng.permutation(labels), groups


@settings(max_examples=150, deadline=None)
@given(splits())
def test_every_row_is_validated_once_and_groups_stay_whole(case: tuple[FoldsSpec, np.ndarray, list[str]]) -> None:
    spec, labels, groups = case
    try:
        pairs = make_folds(spec, labels, groups)
    except InputError as problem:
        assume(spec.needs_groups)
        assert problem.fix
        return
    fold_of = pairs.first_fold()
    assert sorted(set(fold_of.tolist())) == list(range(spec.n_folds))
    assert (pairs.times_validated == 1).all()
    assert np.array_equal(pairs.roles, make_folds(spec, labels, groups).roles)
    balance = class_balance(pairs, labels, int(labels.max()) + 1)
    assert balance.sum() == len(labels)
    assert np.array_equal(balance.sum(axis=0), np.bincount(labels))
    if spec.needs_groups:
        for name in set(groups):
            assert len({int(fold) for fold, group in zip(fold_of, groups, strict=True) if group == name}) == 1
    if spec.kind == "stratified":
        assert (balance.max(axis=0) - balance.min(axis=0) <= 1).all()


def test_another_seed_is_another_split() -> None:
    labels = np.repeat([0, 1], 50)
    assert not np.array_equal(make_folds(FoldsSpec(seed=0), labels).roles, make_folds(FoldsSpec(seed=1), labels).roles)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("multilabel", [False, True])
def test_a_class_with_fewer_rows_than_folds_is_spread_as_far_as_it_goes(kind: str, multilabel: bool) -> None:
    labels = np.array([0] * 30 + [1] * 3 + [2])
    truth = np.eye(3, dtype=np.int8)[labels] if multilabel else labels
    groups = [f"p{row // 2}" if row < 30 else f"q{row}" for row in range(34)]
    pairs = make_folds(FoldsSpec(kind=kind, n_folds=5), truth, groups, multilabel=multilabel)  # type: ignore[arg-type]
    assert (pairs.times_validated == 1).all()
    if "stratified" in kind:
        assert class_balance(pairs, truth, 3, multilabel=multilabel).max(axis=0).tolist()[1:] == [1, 1]
    said = say_rare(truth, ("cat", "dog", "owl"), 5, keep_rare=False, multilabel=multilabel)
    assert "dog (3), owl (1)" in said and "cat" not in said and "never saw it" in said


def test_where_every_class_is_rare_the_folds_are_even() -> None:
    pairs = make_folds(FoldsSpec(n_folds=5), np.repeat(np.arange(40), 3))
    assert [len(pairs.valid_idx(fold)) for fold in range(5)] == [24] * 5
    assert (class_balance(pairs, np.repeat(np.arange(40), 3), 40) <= 1).all()


@given(st.lists(st.integers(0, 4), min_size=20, max_size=80), st.integers(2, 4), st.integers(0, 2**31 - 1))
@settings(max_examples=100, deadline=None)
def test_classes_are_dealt_as_scikit_learn_deals_them(labels: list[int], n_folds: int, seed: int) -> None:
    counts = np.bincount(labels)
    assume(counts[counts > 0].min() >= n_folds)
    expected = StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(np.zeros(len(labels)), labels)
    fold_of = deal_classes(np.array(labels), n_folds, seed)
    assert all((np.flatnonzero(fold_of == fold) == valid).all() for fold, (_, valid) in enumerate(expected))


@pytest.mark.parametrize("kind", ["stratified", "kfold"])
def test_fewer_rows_than_folds_are_refused(kind: str) -> None:
    with pytest.raises(InputError, match="too few rows for 5 folds: 3"):
        make_folds(FoldsSpec(kind=kind), np.array([0, 1, 1]))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="too few rows for 5 folds: 0") as caught:
        make_folds(FoldsSpec(keep_rare=True), np.array([0, 1, 1]))
    assert "keep_rare" in caught.value.fix


@pytest.mark.parametrize("copy_of_label", [["a", "b", "c"], ["pets", "pets", "wild"]])
@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("kind", ["group", "stratified_group", "column"])
def test_a_column_that_says_what_the_label_says_is_refused(kind: str, multilabel: bool, copy_of_label: list[str]) -> None:
    labels = np.repeat([0, 1, 2], 10)
    truth = np.eye(3, dtype=np.int8)[labels] if multilabel else labels
    said, column = FoldsSpec(kind=kind, n_folds=2, fold_column="x" if kind == "column" else ""), [copy_of_label[label] for label in labels]  # type: ignore[arg-type]
    with pytest.raises(InputError, match="each class would be in one fold"):
        make_folds(said, truth, column, parts=column, multilabel=multilabel)
    column[0] = copy_of_label[2]  # one class has rows of two values: a network can be scored on a class it knows
    make_folds(said, truth, column, parts=column, multilabel=multilabel)


@pytest.mark.parametrize(
    ("values", "names", "fold_of"),
    [
        (["1", "2", "3", "1"], ("1", "2", "3"), [0, 1, 2, 0]),
        (["10", "9", "9.0", " 10"], ("9", "10"), [1, 0, 0, 1]),
        (["0.0", "1", "-1", ""], ("0", "1"), [0, 1, -1, -1]),
        (["train", "val", "Train", "val"], ("val",), [-1, 0, -1, 0]),
        (["b", "a", "a", "10"], ("10", "a", "b"), [2, 1, 1, 0]),
        (["20240102", "20240101", "20240101.0"], ("20240101", "20240102"), [1, 0, 0]),
    ],
)
def test_a_column_names_the_fold_of_each_row(values: list[str], names: tuple[str, ...], fold_of: list[int]) -> None:
    found, known = read_parts(values)
    assert (known, found.tolist()) == (names, fold_of)


@pytest.mark.parametrize("values", [["train", "", "-1"], ["a", "a"], [str(number) for number in range(21)]])
def test_a_column_that_names_no_folds_is_refused(values: list[str]) -> None:
    with pytest.raises(InputError, match="does not name folds"):
        read_parts(values)


def test_fewer_groups_than_folds_are_refused() -> None:
    with pytest.raises(InputError, match="2 groups cannot fill 3 folds"):
        make_folds(FoldsSpec(kind="group", n_folds=3), np.array([0, 1] * 6), ["a", "a", "b", "b"] * 3)
    with pytest.raises(InputError, match="needs groups"):
        make_folds(FoldsSpec(kind="group", n_folds=3), np.array([0, 1] * 6))


def test_settings_out_of_range_are_refused() -> None:
    for values in (
        {"n_folds": 1},
        {"n_folds": 21},
        {"kind": "leave-one-out"},
        {"seed": -1},
        {"repeats": 2, "holdout": True},
        {"fold_column": "x"},
    ):
        with pytest.raises(InputError):
            parse_settings(FoldsSpec, values, where="folds", error=InputError)


def grouped_contest(root: Path) -> Path:
    rows = [(number, f"words {number}", number % 2, f"w{number // 4}", "" if number == 5 else "s") for number in range(40)]
    write_csv(root / "train.csv", ("id", "text", "label", "writer", "site"), rows)
    return root


def test_folds_are_published_once(workspace: Workspace, tmp_path: Path) -> None:
    contest, _ = registered(workspace, grouped_contest(tmp_path / "c"))
    spec = FoldsSpec(kind="stratified_group", n_folds=3, seed=7, group_column="writer")
    folds = save_folds(workspace, contest, spec)
    assert save_folds(workspace, contest, spec) == folds
    assert list_folds(workspace.store, contest.id) == (folds,)
    assert get_folds(workspace.store, folds.id) == folds
    manifest = verify(workspace.absolute(folds.path))
    assert manifest.parents == {"rows": contest.fingerprint}
    pairs = load_folds(workspace, folds)
    labels = load_truth(workspace, contest).labels
    assert np.array_equal(pairs.roles, make_folds(spec, labels, [f"w{number // 4}" for number in range(40)]).roles)
    other = save_folds(workspace, contest, spec.model_copy(update={"seed": 8}))
    assert other.fingerprint != folds.fingerprint
    assert [each.id for each in list_folds(workspace.store, contest.id)] == [other.id, folds.id]


def test_the_contests_own_group_column_is_the_default(workspace: Workspace, tmp_path: Path) -> None:
    contest, _ = registered(workspace, grouped_contest(tmp_path / "c"), "group_column=writer")
    folds = save_folds(workspace, contest, FoldsSpec(kind="group", n_folds=2))
    assert folds.group_column == "writer"
    assert save_folds(workspace, contest, FoldsSpec(kind="group", n_folds=2, group_column="writer")) == folds
    with pytest.raises(InputError, match="keeps no groups together"):
        save_folds(workspace, contest, FoldsSpec(n_folds=2, group_column="site"))


def test_a_wrong_group_column_lists_the_columns(workspace: Workspace, tmp_path: Path) -> None:
    contest, _ = registered(workspace, grouped_contest(tmp_path / "c"))
    for column, said in (("", "needs a column"), ("person", "no column 'person'"), ("site", "1 row has no group")):
        with pytest.raises(InputError, match=said) as caught:
            save_folds(workspace, contest, FoldsSpec(kind="group", group_column=column))
        assert column == "site" or "id, text, label, writer, site" in caught.value.why
    assert list_folds(workspace.store, contest.id) == ()
    assert group_columns(load_table(workspace, contest).train) == ["id", "text", "label", "writer", "site"]


def test_class_folders_have_no_columns_to_group_by(workspace: Workspace, tmp_path: Path) -> None:
    contest, _ = registered(workspace, folder_contest(tmp_path / "c"))
    with pytest.raises(InputError, match="needs a column"):
        save_folds(workspace, contest, FoldsSpec(kind="group", n_folds=2))


def test_damaged_folds_are_refused(workspace: Workspace, tmp_path: Path) -> None:
    contest, _ = registered(workspace, grouped_contest(tmp_path / "c"))
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=2))
    path = workspace.absolute(folds.path) / "roles.npy"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(bytes(raw))
    with pytest.raises(CheckpointError):
        load_folds(workspace, folds)


@given(st.integers(2, 6), st.integers(1, 8), st.integers(30, 300), st.integers(0, 2**16))
@settings(max_examples=150, deadline=None)
def test_rows_with_several_classes_are_dealt_evenly(n_folds: int, n_classes: int, n_rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = (rng.random((n_rows, n_classes)) < rng.uniform(0.05, 0.6, n_classes)).astype(np.int8)
    fold_of = deal_evenly(truth, n_folds, seed)
    assert (fold_of == deal_evenly(truth, n_folds, seed)).all()
    sizes = np.bincount(fold_of, minlength=n_folds)
    assert sizes.sum() == n_rows
    balance = np.stack([truth[fold_of == fold].sum(axis=0) for fold in range(n_folds)])
    # Dealt blindly, a class of n rows would differ by about the square root of n between folds.
    assert (balance.max(axis=0) - balance.min(axis=0)).mean() <= 3
    assert sizes.max() - sizes.min() <= 1


def test_another_seed_deals_rows_with_several_classes_otherwise() -> None:
    truth = emotion_sets(200, 0)
    assert (deal_evenly(truth, 5, 0) != deal_evenly(truth, 5, 1)).any()


@pytest.mark.parametrize("kind", ["stratified", "group", "stratified_group"])
def test_every_kind_serves_rows_with_several_classes(kind: str) -> None:
    truth = emotion_sets(240, 0)
    groups = [f"person-{row % 40}" for row in range(240)]
    pairs = make_folds(FoldsSpec(kind=kind, n_folds=4), truth, groups, multilabel=True)  # type: ignore[arg-type]
    fold_of = pairs.first_fold()
    assert set(fold_of.tolist()) == {0, 1, 2, 3}
    if kind != "stratified":
        assert all(len({fold_of[row] for row in range(person, 240, 40)}) == 1 for person in range(40))
    balance = class_balance(pairs, truth, 6, multilabel=True)
    assert balance.sum(axis=0).tolist() == truth.sum(axis=0).tolist()
    if kind != "group":
        assert (balance > 0).all()


def test_repeats_deal_the_rows_again_with_the_next_seed() -> None:
    labels = np.repeat([0, 1], 30)
    pairs = make_folds(FoldsSpec(n_folds=3, seed=5, repeats=2), labels)
    assert pairs.n_folds == 6 and (pairs.times_validated == 2).all()
    single = [make_folds(FoldsSpec(n_folds=3, seed=seed), labels).roles for seed in (5, 6)]
    np.testing.assert_array_equal(pairs.roles, np.concatenate(single))
    for row in range(60):
        first, second = pairs.folds_of(row)
        assert first < 3 <= second and row in pairs.valid_idx(first) and row not in pairs.train_idx(second)


@pytest.mark.parametrize("kind", KINDS)
def test_a_holdout_is_the_first_fold_alone(kind: str) -> None:
    labels, groups = np.repeat([0, 1], 30), [f"p{row % 12}" for row in range(60)]
    spec = FoldsSpec(kind=kind, n_folds=3)  # type: ignore[arg-type]
    pairs = make_folds(spec.model_copy(update={"holdout": True}), labels, groups)
    np.testing.assert_array_equal(pairs.roles, make_folds(spec, labels, groups).roles[:1])
    assert sorted([*pairs.train_idx(0), *pairs.valid_idx(0)]) == list(range(60))
    np.testing.assert_array_equal(pairs.validated, pairs.first_fold() == 0)


def test_a_rare_class_is_trained_on_by_every_fold_and_never_validated() -> None:
    labels = np.array([0] * 20 + [1] * 2 + [2] * 13)
    pairs = make_folds(FoldsSpec(n_folds=5, keep_rare=True), labels)
    np.testing.assert_array_equal(pairs.validated, labels != 1)
    assert all(set(np.flatnonzero(labels == 1)) <= set(pairs.train_idx(fold)) for fold in range(5))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("multilabel", [False, True])
def test_what_is_kept_in_training_is_on_no_other_side(kind: str, multilabel: bool) -> None:
    labels = np.array([0] * 20 + [1] * 2 + [2] * 13)
    truth = np.eye(3, dtype=np.int8)[labels] if multilabel else labels
    groups = [f"p{row % 12}" for row in range(35)]
    pairs = make_folds(FoldsSpec(kind=kind, n_folds=5, keep_rare=True), truth, groups, multilabel=multilabel)  # type: ignore[arg-type]
    assert not pairs.validated[labels == 1].any() and pairs.validated.any()
    if "group" in kind:
        assert not len(split_groups(pairs, np.unique(groups, return_inverse=True)[1]))
    said = say_rare(truth, ("a", "b", "c"), 5, keep_rare=True, multilabel=multilabel)
    assert "b (2)" in said and "none validates them" in said


@pytest.mark.parametrize("kind", ["stratified", "kfold", "group"])
def test_a_contest_with_groups_is_never_split_through_them(workspace: Workspace, tmp_path: Path, kind: str) -> None:
    contest, _ = registered(workspace, grouped_contest(tmp_path / "c"), "group_column=writer")
    column = "text" if kind == "group" else ""
    with pytest.raises(InputError, match="groups would be split") as caught:
        save_folds(workspace, contest, FoldsSpec(kind=kind, n_folds=2, group_column=column))  # type: ignore[arg-type]
    assert "10 of 10" in caught.value.why and "stratified_group" in caught.value.fix
    assert first_spec(contest) == FoldsSpec(kind="stratified_group", group_column="writer")
    assert list_folds(workspace.store, contest.id) == ()


@pytest.mark.parametrize("settings", [{"kind": "stratified_group", "group_column": "labels"}, {"kind": "column", "fold_column": "labels"}])
def test_the_labels_own_column_is_no_group_and_no_fold(workspace: Workspace, tmp_path: Path, settings: dict[str, str]) -> None:
    rows = [(row, f"words {row}", ("a", "b", "a|b", "b|c")[row % 4]) for row in range(40)]
    write_csv(tmp_path / "c" / "train.csv", ("id", "text", "labels"), rows)
    contest, _ = registered(workspace, tmp_path / "c", "labels=several", "label_column=labels", "label_separator='|'")
    with pytest.raises(InputError, match="each class would be in one fold") as caught:
        save_folds(workspace, contest, FoldsSpec.model_validate({**settings, "n_folds": 2}))
    assert "the column of the label" in caught.value.why


def test_folds_follow_a_column_and_say_what_must_be_known(workspace: Workspace, tmp_path: Path) -> None:
    rows = [(row, f"words {row}", "c" if row == 0 else "ab"[row % 2], ("val", "train")[row > 9]) for row in range(40)]
    write_csv(tmp_path / "c" / "train.csv", ("id", "text", "label", "origin"), rows)
    contest, _ = registered(workspace, tmp_path / "c")
    folds = save_folds(workspace, contest, FoldsSpec(kind="column", fold_column="origin"))
    assert (folds.n_folds, folds.spec.fold_column, fold_parts(workspace, contest, folds)) == (1, "origin", ("val",))
    pairs, truth = load_folds(workspace, folds), load_truth(workspace, contest)
    assert (pairs.valid_idx(0).tolist(), len(pairs.train_idx(0))) == (list(range(10)), 30)
    said = remarks(pairs, folds.spec, truth.labels, contest.spec.classes, np.arange(40) % 4, multilabel=False)
    assert said == (
        "validated by a fold that trains on no row of the class: c",
        "groups on both sides of a fold: 4, so the scores on these folds are too good",
    )
    with pytest.raises(InputError, match="no column 'fold'"):
        save_folds(workspace, contest, FoldsSpec(kind="column", fold_column="fold"))


def test_folds_of_an_earlier_version_are_read_and_made_again_as_the_same(workspace: Workspace, tmp_path: Path) -> None:
    contest, _ = registered(workspace, grouped_contest(tmp_path / "c"))
    spec = FoldsSpec(n_folds=2)
    pairs = make_folds(spec, load_truth(workspace, contest).labels)
    folder = workspace.part_dir(contest.folder, "folds", "0" * 64)
    with publishing(folder, kind="folds", parents={"contest": contest.fingerprint}) as temporary:
        np.save(temporary / "folds.npy", pairs.first_fold().astype(np.int8))
    old = add_folds(
        workspace.store,
        contest_id=contest.id,
        spec=spec,
        n_folds=2,
        fingerprint="0" * 64,
        path=workspace.relative(folder),
    )
    np.testing.assert_array_equal(load_folds(workspace, old).roles, pairs.roles)
    assert save_folds(workspace, contest, spec) == old
