"""How long texts are in tokens, on the page Train: told beside the plan with the share that is cut, and never waited for."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.train import token_lengths
from app.train.charts import token_histogram
from core.store.contests import Contest
from tests.app.hands import set_option

OpenPage = Callable[..., AppTest]


def said(at: AppTest) -> str:
    return " ".join(str(part.value) for part in at.caption)


def test_the_share_that_is_cut_follows_the_recipe(open_page: OpenPage, folded: Contest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_lengths, "PATIENCE_S", 10.0)
    monkeypatch.setattr(token_lengths, "count_tokens", lambda *_: np.arange(1, 101))
    at = set_option(open_page("train"), "Longest text, tokens", 75)
    assert "25.0% are longer than 75**: only their head is read" in said(at)
    at = set_option(at, "Longest text, tokens", 100)
    assert "longest 100. None is longer than 100." in said(at)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Counting ends when this is set."""
    finished = threading.Event()
    monkeypatch.setattr(token_lengths, "PATIENCE_S", 0.0)
    monkeypatch.setattr(token_lengths, "count_tokens", lambda *_: finished.wait(60) and None)
    yield finished
    finished.set()


def test_the_page_does_not_wait_for_the_count(open_page: OpenPage, folded: Contest, slow: threading.Event) -> None:
    at = open_page("train")
    assert "Counting the tokens" in said(at) and not at.exception
    slow.set()
    token_lengths.COUNTER.submit(lambda: None).result()
    at.run()
    assert "is known once" in said(at) or "learns its vocabulary" in said(at)


def test_the_histogram_has_every_text_in_a_bar_and_marks_those_that_are_cut() -> None:
    html = token_histogram(np.array([3, 3, 4, 9, 12, 40]), 10)
    bars = re.findall(r'<i( class=cut)? style="height:([\d.]+)%" title="(?:\d+–)?(\d+) tokens: (\d+) texts', html)
    assert sum(int(n) for *_, n in bars) == 6
    assert all(bool(cut) == (int(last) > 10) for cut, _, last, _ in bars) and sum(int(n) for cut, _, _, n in bars if cut) == 2
    assert max(float(height) for _, height, _, _ in bars) == 100
