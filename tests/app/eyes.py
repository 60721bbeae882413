"""What an eye sees on the page Ensemble in a test: its words, and the blend on the bench."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from app.ensemble.draft import Desk
from core.specs.blend import BlendSteps
from core.store.runs import Run

NO_SCORE = "–"


def words(at: AppTest) -> str:
    return "\n".join(str(part.value) for part in [*at.info, *at.warning, *at.success, *at.caption])


def desk_of(at: AppTest, run: Run) -> Desk:
    return at.session_state[f"desk-{run.folds_id}"]


def steps_of(at: AppTest, run: Run) -> BlendSteps:
    return desk_of(at, run).draft.steps
