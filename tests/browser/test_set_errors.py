"""Errors of rows with several classes in a real browser: a part of a bar is clicked, its rows and their labels follow, the report is saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from core.analysis.errors import OUTCOMES, Outcome, outcome_rows, set_report
from core.predictions.source import OofMatrix, load_matrix, source_of
from core.store.contests import Contest
from core.workspace import open_workspace
from tests.browser.conftest import Open, cell, click_chart, settle
from tests.emotions import finish_emotions

SAID: dict[Outcome, str] = {"missed": "missed", "false_alarm": "false alarms", "found": "found"}
pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Served:
    """A served workspace with three finished runs over texts with several emotions; the evidence is that of the worst."""

    contest: Contest
    ref: str
    evidence: OofMatrix
    address: str

    @property
    def url(self) -> str:
        return f"{self.address}/errors?contest={self.contest.name}&source={self.ref}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, serve: Callable[[Path], str]) -> Served:
    root = tmp_path_factory.mktemp("set-errors")
    workspace = open_workspace(root / "workspace")
    contest, runs = finish_emotions(workspace, root / "emotions")
    return Served(contest, runs[2].ref, load_matrix([source_of(workspace, runs[2])]), serve(workspace.root))


def click_bar(page: Page, evidence: OofMatrix, classes: tuple[str, ...], label: int, outcome: Outcome) -> None:
    """Click the middle of a segment; the axis ends at 114 percent, and the class of the lowest F1 is on top."""
    report = set_report(evidence.y_true, evidence.y_pred, classes)
    place = [int(row) for row in np.argsort(report["f1"].to_numpy(), kind="stable")].index(label)
    counts = report.loc[label, list(OUTCOMES)].to_numpy(dtype=float)
    before = counts[: OUTCOMES.index(outcome)].sum()
    middle = 100 * (before + counts[OUTCOMES.index(outcome)] / 2) / counts.sum()
    heading = page.get_by_role("heading", name=f"{classes[label]}, {SAID[outcome]}")
    click_chart(page, middle / 114, (place + 0.5) / len(classes), heading)


def test_a_click_on_a_part_of_a_bar_shows_its_rows(served: Served, open_page: Open) -> None:
    classes, evidence = served.contest.spec.classes, served.evidence
    page = open_page(served.url)
    clicks: list[tuple[int, Outcome]] = [(1, "missed"), (0, "false_alarm"), (3, "found")]
    for label, outcome in clicks:
        click_bar(page, evidence, classes, label, outcome)
        rows = evidence.rows[outcome_rows(evidence.y_true, evidence.y_pred, evidence.y_prob, label, outcome)]
        expect(page.get_by_role("option")).to_have_count(min(len(rows), 12))
        expect(page.get_by_text(f"row {rows[0]} ", exact=False)).to_be_visible()


def test_keys_move_through_the_rows_and_their_labels_follow(served: Served, open_page: Open) -> None:
    classes, evidence = served.contest.spec.classes, served.evidence
    page = open_page(served.url)
    click_bar(page, evidence, classes, 0, "missed")
    places = outcome_rows(evidence.y_true, evidence.y_pred, evidence.y_prob, 0, "missed")
    expect(page.get_by_role("heading", name=f"{classes[0]}, missed")).to_be_visible()
    page.get_by_role("option").first.click()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_text(f"row {evidence.rows[places[1]]} ", exact=False)).to_be_visible()
    true = ", ".join(classes[label] for label in np.flatnonzero(evidence.y_true[places[1]]))
    expect(page.get_by_text(f"True: {true}", exact=False)).to_be_visible()


def test_the_table_of_classes_is_saved_and_chosen_from_in_korean_and_dark(served: Served, open_page: Open) -> None:
    page = open_page(served.url, dark=True, korean=True)
    page.get_by_text("클래스별", exact=True).click()
    settle(page)
    expect(cell(page, "지루함")).to_have_count(1)
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV로 내려받기").click()
    text = Path(download.value.path()).read_bytes().decode("utf-8-sig")
    assert text.startswith("class,precision,recall,f1,support,predicted,found,missed,false_alarm,threshold\n")
    assert text.count("\n") == 7
    page.get_by_text("뒤바뀐 쌍", exact=True).click()
    settle(page)
    expect(page.get_by_text("한 클래스를 잘못 붙이면서", exact=False)).to_be_visible()
