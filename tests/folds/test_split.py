"""Every row is validated exactly once; groups are never split; the same settings give the same folds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

from core.artefacts import publishing, verify
from core.base.errors import CheckpointError, InputError
from core.base.settings import parse_settings
from core.contest.table import load_table, load_truth
from core.folds import class_balance, deal_evenly, group_columns, load_folds, make_folds, save_folds
from core.specs.folds import FoldsSpec
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


def test_the_rare_classes_are_listed() -> None:
    labels = np.array([0] * 10 + [1] * 3 + [2] * 2)
    with pytest.raises(InputError) as caught:
        make_folds(FoldsSpec(n_folds=5), labels, classes=("cat", "dog", "owl"))
    assert "dog (3), owl (2)" in caught.value.why
    assert "cat" not in caught.value.why
    assert "at most 2 folds" in caught.value.fix
    with pytest.raises(InputError) as caught:
        make_folds(FoldsSpec(n_folds=2), np.array([0, 0, 1]), classes=("cat", "dog"))
    assert "at most" not in caught.value.fix


def test_fewer_groups_than_folds_are_refused() -> None:
    with pytest.raises(InputError, match="2 groups cannot fill 3 folds"):
        make_folds(FoldsSpec(kind="group", n_folds=3), np.array([0, 1] * 6), ["a", "b"] * 6)
    with pytest.raises(InputError, match="needs groups"):
        make_folds(FoldsSpec(kind="group", n_folds=3), np.array([0, 1] * 6))


def test_settings_out_of_range_are_refused() -> None:
    for values in ({"n_folds": 1}, {"n_folds": 21}, {"kind": "leave-one-out"}, {"seed": -1}, {"repeats": 2, "holdout": True}):
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
    assert save_folds(workspace, contest, FoldsSpec(n_folds=2, group_column="site")).group_column == ""


def test_a_wrong_group_column_lists_the_columns(workspace: Workspace, tmp_path: Path) -> None:
    contest, _ = registered(workspace, grouped_contest(tmp_path / "c"))
    for column, said in (("", "needs a group column"), ("person", "no column 'person'"), ("site", "1 rows have no group")):
        with pytest.raises(InputError, match=said) as caught:
            save_folds(workspace, contest, FoldsSpec(kind="group", group_column=column))
        assert column == "site" or "id, text, label, writer, site" in caught.value.why
    assert list_folds(workspace.store, contest.id) == ()
    assert group_columns(load_table(workspace, contest).train) == ["id", "text", "label", "writer", "site"]


def test_class_folders_have_no_columns_to_group_by(workspace: Workspace, tmp_path: Path) -> None:
    contest, _ = registered(workspace, folder_contest(tmp_path / "c"))
    with pytest.raises(InputError, match="needs a group column"):
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


def test_a_class_rarer_than_the_folds_is_refused_by_name() -> None:
    truth = np.zeros((40, 2), dtype=np.int8)
    truth[:20, 0] = truth[:3, 1] = 1
    with pytest.raises(InputError, match="fewer rows than the 5 folds") as refused:
        make_folds(FoldsSpec(n_folds=5), truth, classes=("기쁨", "슬픔"), multilabel=True)
    assert "슬픔 (3)" in str(refused.value)


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
    groups = [str(row) for row in range(35)]
    with pytest.raises(InputError, match="cannot be kept in training"):
        make_folds(FoldsSpec(kind="stratified_group", keep_rare=True), labels, groups)
    with pytest.raises(InputError, match="cannot be kept in training"):
        make_folds(FoldsSpec(keep_rare=True), np.eye(3, dtype=np.int8)[labels], multilabel=True)


def test_folds_of_an_earlier_version_are_read_and_made_again_as_the_same(workspace: Workspace, tmp_path: Path) -> None:
    contest, _ = registered(workspace, grouped_contest(tmp_path / "c"))
    spec = FoldsSpec(n_folds=2)
    pairs = make_folds(spec, load_truth(workspace, contest).labels)
    folder = workspace.part_dir(contest.name, "folds", "0" * 64)
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
