"""What an eye sees on the page Ensemble in a test: its words, and the blend in the editor."""

from __future__ import annotations

from typing import Any

from streamlit.testing.v1 import AppTest

from app.ensemble.draft import BlendEditor
from app.ensemble.session import KEY, BlendState
from app.ui.format import format_score
from core.specs.blend import BlendSteps
from core.store.runs import Run

NO_SCORE = "–"


def cv_text(score: Any) -> str:
    """A score as the page leads with it: the mean of the folds and, of more than one, its spread. Kept ones have no folds of their own."""
    return format_score(score.cv_score, score.cv_sd if len(getattr(score, "fold_scores", (0, 0))) > 1 else None)


def words(at: AppTest) -> str:
    return "\n".join(str(part.value) for part in [*at.info, *at.warning, *at.success, *at.caption])


def state_of(at: AppTest, folds_id: int) -> BlendState:
    """What the session keeps for the blend on these folds."""
    return at.session_state[KEY].on(folds_id)


def editor_of(at: AppTest, run: Run) -> BlendEditor:
    editor = state_of(at, run.folds_id).editor
    assert editor is not None
    return editor


def steps_of(at: AppTest, run: Run) -> BlendSteps:
    return editor_of(at, run).draft.steps
