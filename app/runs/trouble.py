"""The sign of trouble of a run on the screen: a quiet badge and its sentence, in the language of the screen."""

from __future__ import annotations

import streamlit as st

from app.shell import runtime
from app.ui.format import format_score
from app.words.text import t
from core.metrics.scores import get_metric
from core.store.runs import Run, list_epochs
from core.training.trouble import Trouble, TroubleKind, find_trouble

KINDS: tuple[TroubleKind, ...] = ("nan", "diverging", "overfitting", "far_fold")


def trouble_of(run: Run, metric: str) -> Trouble | None:
    """The first sign of trouble in a run; epochs of a run that has ended are read once, those of a live one each time."""
    if run.state in ("running", "queued"):
        return find_trouble(list_epochs(runtime.workspace().store, run.id), get_metric(metric), run.fold_scores(metric))
    ended = tuple((job.id, job.token, job.state) for job in run.jobs)
    return _trouble_of_ended(str(runtime.workspace().root), run.id, run.created_at, ended, metric, run)


@st.cache_data(max_entries=1000, show_spinner=False)
def _trouble_of_ended(root: str, run_id: int, created_at: float, ended: tuple[object, ...], metric: str, _run: Run) -> Trouble | None:
    return find_trouble(list_epochs(runtime.workspace().store, run_id), get_metric(metric), _run.fold_scores(metric))


def trouble_label(kind: TroubleKind) -> str:
    """The kind in a word or two."""
    return t(f"queue.trouble_{kind}")


def trouble_sentence(trouble: Trouble) -> str:
    """What was seen, in which fold and when."""
    values = trouble.values
    said = {name: f"{value:.3g}" for name, value in values.items() if name in ("loss", "best", "valid_loss")}
    said |= {name: format_score(value) for name, value in values.items() if name in ("score", "siblings", "spread")}
    said |= {"best_epoch": f"{values['best_epoch']:.0f}"} if "best_epoch" in values else {}
    return t(f"queue.trouble_{trouble.kind}_said", fold=trouble.fold, epoch=trouble.epoch, **said)


def trouble_markdown(trouble: Trouble) -> str:
    """Badge and sentence as one line of markdown."""
    return f":orange-badge[:material/flag: {trouble_label(trouble.kind)}] {trouble_sentence(trouble)}"
