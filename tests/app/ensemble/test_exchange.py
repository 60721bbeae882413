"""Predictions of a team-mate come in through the page: all that is wrong is named, nothing of it stays, and what fits is a member at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from app.ensemble.exchange import make_file, why_not
from core.blend.ensemble import blend_runs
from core.blend.procedure import BlendProcedure
from core.exchange.doubts import DOUBTS, UNCHECKED_OF_FILES
from core.exchange.exchange import export_predictions, import_predictions
from core.folds import save_folds
from core.predictions.oof import load_oof, load_test_prob, shared_folds
from core.predictions.source import source_of
from core.specs.folds import FoldsSpec
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run, get_run, list_runs
from core.workspace import Workspace
from tests.app.eyes import state_of
from tests.finished_workspace import finish_run, make_recipe

OpenPage = Callable[..., AppTest]


@pytest.fixture
def own(opened: Workspace, folded: Contest, folds: Folds) -> Run:
    return finish_run(opened, folded, folds, make_recipe(folded, "own"), strength=2.5, seed=1)


@pytest.fixture
def files(opened: Workspace, folded: Contest, own: Run, tmp_path: Path) -> tuple[Path, Path]:
    """The run's predictions as a team-mate would send them."""
    oof, test = tmp_path / "민수 모델.csv", tmp_path / "민수-test.parquet"
    export_predictions(source_of(opened, own), oof=oof, test=test)
    return oof, test


def open_exchange(open_page: OpenPage) -> AppTest:
    at = open_page("ensemble")
    (parts,) = [group for group in at.button_group if "Import and export" in group.options]
    return parts.set_value("exchange").run()


def upload(at: AppTest, *contents: tuple[str, bytes]) -> AppTest:
    for uploader, content in zip(at.file_uploader, contents, strict=False):
        uploader.upload(content[0], content[1])
    return at.run()


def add(at: AppTest) -> AppTest:
    return at.button(key="import-predictions").click().run()


def cards(at: AppTest) -> list[str]:
    """Every error card on the page, its title and its lines."""
    return [f"{card.proto.title if hasattr(card.proto, 'title') else ''} {card.value}".replace("\\", "") for card in at.error]


def files_of(opened: Workspace) -> list[str]:
    """Every file of the workspace but the database."""
    return sorted(str(path.relative_to(opened.root)) for path in opened.root.rglob("*") if path.is_file() and "pitwall.db" not in path.name)


def test_what_fits_is_a_member_at_once(
    open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds, own: Run, files: tuple[Path, Path]
) -> None:
    at = open_exchange(open_page)
    assert at.button(key="import-predictions").disabled
    table = files[0].read_text(encoding="utf-8").encode("cp949")
    at = add(upload(at, (files[0].name, table), (files[1].name, files[1].read_bytes())))
    assert not at.exception
    assert cards(at) == []
    run = list_runs(opened.store, folded.id)[0]
    assert (run.name, run.is_imported) == ("민수 모델", True)
    np.testing.assert_allclose(load_oof(opened, run, folded), load_oof(opened, own, folded), atol=1e-6)
    assert run.id in (state_of(at, folds.id).members or [])
    assert "is a member now" in "\n".join(part.value for part in at.success)
    assert "could not be checked" not in "\n".join(part.value for part in at.caption), "the file names its rows and folds"
    assert list(opened.uploads_dir.iterdir()) == []
    assert at.file_uploader[0].value is None, "ready for the next team-mate"


def test_everything_that_is_wrong_with_both_files_is_a_card_of_its_own(
    open_page: OpenPage, opened: Workspace, folded: Contest, files: tuple[Path, Path]
) -> None:
    at = open_exchange(open_page)
    before = files_of(opened)
    oof = pd.read_csv(files[0]).iloc[1:]
    oof.loc[5, "politik"] = 3.0
    test = pd.read_parquet(files[1]).rename(columns={"스포츠": "축구"})
    at = add(upload(at, ("나쁜 파일.csv", oof.to_csv(index=False).encode("utf-8")), ("test.csv", test.to_csv(index=False).encode("cp949"))))
    assert not at.exception
    text = "\n".join(cards(at))
    assert len(cards(at)) == 3
    for words in ("1 missing: h0", "나쁜 파일.csv, h5", "1 missing: 스포츠; 1 unknown: 축구"):
        assert words in text
    assert len(list_runs(opened.store, folded.id)) == 1 and files_of(opened) == before


@pytest.mark.parametrize("name", ["../../up.csv", "..\\..\\up.csv", "/etc/up.csv"])
def test_a_name_that_leads_elsewhere_stays_inside(
    open_page: OpenPage, opened: Workspace, folded: Contest, files: tuple[Path, Path], name: str
) -> None:
    at = open_exchange(open_page)
    at = add(upload(at, (name, files[0].read_bytes()), (files[1].name, files[1].read_bytes())))
    assert not at.exception
    assert list_runs(opened.store, folded.id)[0].name == "up"
    assert not list(opened.root.parent.rglob("up.csv"))


@pytest.mark.parametrize("name", ["x" * 300 + ".csv", ".csv"])
def test_a_name_that_no_file_can_have_is_refused(
    open_page: OpenPage, opened: Workspace, folded: Contest, files: tuple[Path, Path], name: str
) -> None:
    at = open_exchange(open_page)
    at = add(upload(at, (name, files[0].read_bytes()), (files[1].name, files[1].read_bytes())))
    assert not at.exception
    assert len(cards(at)) == 1 and len(list_runs(opened.store, folded.id)) == 1


def test_a_file_that_is_far_too_large_is_refused_before_it_is_written(
    open_page: OpenPage, opened: Workspace, files: tuple[Path, Path]
) -> None:
    at = open_exchange(open_page)
    at = add(upload(at, ("big.csv", b"x" * 2_000_000), (files[1].name, files[1].read_bytes())))
    assert "too large" in "\n".join(cards(at))
    assert list(opened.uploads_dir.iterdir()) == []


def test_an_array_asks_for_the_order_of_its_classes(
    open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds, own: Run, tmp_path: Path
) -> None:
    oof, test = tmp_path / "a.npy", tmp_path / "b.npy"
    export_predictions(source_of(opened, own), oof=oof, test=test)
    for path in (oof, test):
        np.save(path, np.load(path)[:, ::-1])
    at = open_exchange(open_page)
    assert not [area for area in at.text_area if "columns" in area.label]
    at = add(upload(at, ("a.npy", oof.read_bytes()), ("b.npy", test.read_bytes())))
    assert "another order?" in "\n".join(part.value for part in at.warning)
    said = "\n".join(part.value for part in at.caption)
    for unchecked in UNCHECKED_OF_FILES:
        assert f"{DOUBTS[unchecked][1:]}." in said
    at = upload(at, ("a.npy", oof.read_bytes()), ("b.npy", test.read_bytes()))
    (area,) = [area for area in at.text_area if "columns" in area.label]
    assert str(area.value).splitlines() == list(folded.spec.classes)
    at = add(area.set_value("\n".join(folded.spec.classes[::-1])).run())
    assert not at.exception
    run = list_runs(opened.store, folded.id)[0]
    assert run.name == "a-2"
    np.testing.assert_array_equal(load_oof(opened, run, folded), load_oof(opened, own, folded))


def test_predictions_on_other_folds_of_the_contest_are_told_apart(
    open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds, files: tuple[Path, Path]
) -> None:
    others = save_folds(opened, folded, FoldsSpec(n_folds=3, seed=5))
    at = open_exchange(open_page)
    picker = at.selectbox(key=f"import-folds-{folded.id}")
    at = picker.set_value(others).run()
    at = add(upload(at, (files[0].name, files[0].read_bytes()), (files[1].name, files[1].read_bytes())))
    assert "predicted on other folds" in "\n".join(cards(at))
    at = at.selectbox(key=f"import-folds-{folded.id}").set_value(folds).run()
    at = add(at)
    assert not at.exception and cards(at) == []


def test_a_contest_without_a_finished_run_can_begin_with_an_import(open_page: OpenPage, opened: Workspace, folded: Contest) -> None:
    at = open_page("ensemble")
    assert not at.exception
    assert len(at.file_uploader) == 2


@pytest.mark.parametrize("form", [".parquet", ".csv", ".npy"])
def test_what_is_downloaded_can_be_brought_in_again(
    opened: Workspace, folded: Contest, folds: Folds, own: Run, tmp_path: Path, form: str
) -> None:
    for part in ("oof", "test"):
        (tmp_path / f"{part}{form}").write_bytes(make_file(source_of(opened, own), part, form))
    back = import_predictions(opened, folded, folds, oof=tmp_path / f"oof{form}", test=tmp_path / f"test{form}")
    np.testing.assert_array_equal(load_oof(opened, back, folded), load_oof(opened, own, folded))
    np.testing.assert_array_equal(load_test_prob(opened, back), load_test_prob(opened, own))
    assert list(opened.uploads_dir.iterdir()) == []


def test_rows_without_a_prediction_are_not_offered(opened: Workspace, folded: Contest, folds: Folds, own: Run) -> None:
    part = finish_run(opened, folded, folds, make_recipe(folded, "part"), n_done=2)
    blend = blend_runs(opened, folded, [own, part], BlendProcedure(), fold_numbers=shared_folds([own, part]))
    assert why_not(source_of(opened, own), "oof") == "" and why_not(source_of(opened, own), "test") == ""
    assert "2 of 3" in why_not(source_of(opened, part), "oof") and "2 of 3" in why_not(
        source_of(opened, get_run(opened.store, part.id)), "test"
    )
    assert "2 of 3" in why_not(source_of(opened, blend), "oof") and why_not(source_of(opened, blend), "test") == ""
