"""Text for scores, times, states and names, the same on every page."""

import re
import time
from typing import Literal

from app.words.text import t
from core.metrics.scores import get_metric
from core.specs.contest import ContestSpec
from core.specs.kept import HonestFigures
from core.store.folds import Folds

StateColor = Literal["red", "orange", "blue", "green", "gray"]
STATE_COLORS: dict[str, StateColor] = {"queued": "gray", "running": "blue", "done": "green", "failed": "red", "canceled": "orange"}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~:$^=&/])")
_REPLACED = re.compile(r"(?<=[-<~>])(?=[-=>])|(?<=:)(?=[\w+-]+:|//)|(?<=[\w.+-])(?=@)|(?<=www)(?=\.)", re.IGNORECASE)
"""Where the browser would make an arrow, an icon, an emoji or a link of plain text, which no backslash prevents: it looks at what is left
when the escapes are read. An empty element at these places keeps the halves apart."""
_APART, _NOTHING = "\0", ":small[]"


def metric_label(metric: str) -> str:
    """The metric's name with an arrow in the direction that is better, such as `log loss ↓`."""
    return f"{t(f'common.metric_{metric}')} {direction_arrow(metric)}"


def metric_help(spec: ContestSpec, metric: str) -> str | None:
    """The definition of a metric for rows with several classes; None where rows have one class."""
    return t(f"common.several_{metric}") if spec.is_multilabel else None


def submission_label(spec: ContestSpec) -> str:
    """What a submission holds for each row: its label or labels, or a value per class."""
    several = "_several" if spec.is_multilabel and spec.submission == "label" else ""
    return t(f"common.submission_{spec.submission}{several}")


def direction_arrow(metric: str) -> str:
    """↑ where greater is better, ↓ where smaller is."""
    return "↑" if get_metric(metric).greater_is_better else "↓"


def folds_label(folds: Folds) -> str:
    """Folds in one line: short hash, number, kind, column, seed."""
    column = folds.group_column or folds.spec.fold_column
    key = "folds.option_column" if folds.kind == "column" else "folds.option_group" if folds.group_column else "folds.option"
    kind = t(f"split.kind={folds.kind}")
    return t(key, hash=short_hash(folds.fingerprint), n=folds.n_folds, kind=kind, group=column, column=column, seed=folds.seed)


def format_score(value: float | None, sd: float | None = None) -> str:
    """A score to four digits, with its spread where it has one: `0.2143 ±0.0031`; a dash for none."""
    if value is None:
        return "–"
    return f"{value:.4f}" if sd is None else f"{value:.4f} ±{sd:.4f}"


def state_label(name: str) -> str:
    """A run's or job's state in the language of the screen."""
    return t(f"common.state_{name}")


def format_honest(honest: HonestFigures | None) -> str:
    """A cross-fitted score, CV where it is known and OOF with its interval; a dash where nothing was fitted."""
    if honest is None:
        return "–"
    cv = "" if honest.cv_score is None else f"CV {format_score(honest.cv_score, honest.cv_sd)} · "
    return f"{cv}OOF {honest.score:.4f} ({honest.low:.4f} – {honest.high:.4f})"


def format_duration(seconds: float | None) -> str:
    """A length of time in one unit that fits: `41 s`, `12 min`, `3 h 05`, `4 days`; a dash for an unknown one."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return t("common.seconds", n=round(seconds))
    if seconds < 5400:
        return t("common.minutes", n=round(seconds / 60))
    minutes = round(seconds / 60)
    if minutes >= 72 * 60:
        return t("common.days", n=round(minutes / 1440))
    return t("common.hours", h=minutes // 60, m=minutes % 60)


def format_clock(epoch_s: float) -> str:
    """A moment as local time of day, `03:40`; with the date when it is not today."""
    moment, today = time.localtime(epoch_s), time.localtime()
    same_day = moment[:3] == today[:3]
    return time.strftime("%H:%M" if same_day else "%m-%d %H:%M", moment)


def short_hash(fingerprint: str) -> str:
    """The first four characters of a fingerprint, which identify folds and data on the screen."""
    return fingerprint[:4]


def plain(text: object) -> str:
    """User text, escaped so that markdown shows it unchanged, wherever Streamlit reads markdown: bodies, headings, labels, toasts, tooltips."""
    line = re.sub(r"\s", " ", str(text).replace(_APART, "\ufffd")).lstrip()
    return _MARKDOWN.sub(r"\\\1", _REPLACED.sub(_APART, line)).replace(_APART, _NOTHING)
