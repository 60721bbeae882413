"""The page Errors of one run or blend: a summary, left where rows are chosen, right those rows and one of them in detail.

How rows are chosen differs between contests: `Confusion` where a row has one class, `Outcomes` where it may have several.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from app.shell.tables import draw_file, pairs_of, picture, table_of
from app.ui.cards import guard
from app.ui.class_bars import probability_bars
from app.ui.components.gallery.component import Tile, gallery
from app.ui.controls import choose_page
from app.ui.format import format_score, metric_help, metric_label, plain
from app.words.text import t
from core.analysis.errors import report_csv
from core.base.names import file_name
from core.metrics.scores import THRESHOLD, get_metric
from core.predictions.source import OofMatrix, Source

PER_PAGE = {"image": 48, "text": 12}
FEW = {"image": 8, "text": 4}
SCROLLED_PX, GALLERY_PX, PICTURE_PX = 540, 330, 1024
FEW_CLASSES = 14
TEXT_SHARE = 0.42
N_BARS, MAX_BARS = 5, 12

Pair = tuple[int, int]
Ways = Mapping[str, Callable[[], None]]


@dataclass(frozen=True)
class Chosen:
    """Rows to look through: `places` in the matrix, in the order of the gallery, and what each tile says of its place.

    `key` names the choice within its source, so that a page number belongs to it alone.
    """

    places: NDArray[np.int64]
    caption: Callable[[int], str]
    note: str
    key: str


@dataclass(frozen=True)
class ErrorView(ABC):
    """One source with its out-of-fold predictions."""

    source: Source
    oof: OofMatrix

    @property
    def classes(self) -> tuple[str, ...]:
        return self.source.contest.shown_classes

    @abstractmethod
    def summary(self) -> tuple[str, str]:
        """The key of the text that sums the errors up, and a line to follow it ("" for none)."""

    @abstractmethod
    def ways(self) -> tuple[Ways, str]:
        """What draws each way to choose rows, by the key of its name, and the key of the default."""

    @abstractmethod
    def chosen(self) -> Chosen:
        """Draw the heading of the chosen rows and return them."""

    def choose(self, choice: object) -> None:
        """Take over a click; one that deselects something changes nothing."""
        if choice is not None:
            st.session_state[f"errors-{self.source.ref}"] = choice

    def last_choice(self) -> Any:
        """What was clicked last in this session; None before."""
        return st.session_state.get(f"errors-{self.source.ref}")

    def show(self) -> None:
        """Draw the page under its picker."""
        _summarise(self)
        left, right = st.columns([1.15, 1], gap="large")
        with left:
            ways, default = self.ways()
            chosen = st.segmented_control(
                t("errors.title"),
                list(ways),
                default=default,
                format_func=t,
                key=f"errors-view-{default.partition('.')[0]}-{len(ways)}",
                required=True,
                label_visibility="collapsed",
                persist_state="session",
            )
            ways[chosen]()
        with right:
            _samples(self, self.chosen())

    def pick_table(self, name: str, frame: pd.DataFrame, marked: Sequence[int], pick: Callable[[int], None], **options: Any) -> None:
        """A table whose rows can be chosen: `marked` are those that are, `pick` is called with a clicked one."""
        key = f"{name}-{self.source.ref}"

        def choose() -> None:
            for row in st.session_state[key]["selection"]["rows"]:
                pick(row)

        selection = {"selection": {"rows": marked}}
        st.dataframe(
            frame,
            hide_index=True,
            key=key,
            on_select=choose,
            selection_mode="single-row",
            selection_default=selection,
            placeholder="–",
            **options,
        )

    def pair_table(
        self, pairs: Sequence[tuple[int, int, int, float]], words: str, marked: Pair, pick: Callable[[Pair], None], titles: Sequence[str]
    ) -> None:
        """Pairs, each (first class, second class, count, share 0 to 1); `titles` of the classes and the share, like all texts, in `words`."""
        if not pairs:
            st.caption(t(f"{words}.pairs_none"))
            return
        first, second, count, share = zip(*pairs, strict=True)
        names = np.asarray(self.classes, dtype=object)
        frame = pd.DataFrame({"first": names[list(first)], "second": names[list(second)], "count": count, "share": 100 * np.asarray(share)})
        heads = [t(f"{words}.{title}") for title in titles]
        self.pick_table(
            f"{words}-pairs",
            frame,
            [place for place, pair in enumerate(pairs) if pair[:2] == marked],
            lambda row: pick(pairs[row][:2]),
            alt=t(f"{words}.view_pairs"),
            column_config={
                "first": heads[0],
                "second": heads[1],
                "count": st.column_config.NumberColumn(t("errors.pair_count"), width="small"),
                "share": st.column_config.ProgressColumn(heads[2], format="%.1f %%", min_value=0, max_value=float(frame["share"].max())),
            },
        )
        st.caption(t(f"{words}.pairs_hint"))

    def class_table(self, report: pd.DataFrame, marked: int, pick: Callable[[int], None]) -> None:
        """The report of each class, with a download."""
        number = st.column_config.NumberColumn
        self.pick_table(
            "errors-classes",
            report,
            [marked],
            pick,
            height="content" if len(report) <= FEW_CLASSES else SCROLLED_PX,
            alt=t("errors.view_classes"),
            column_order=["class", "f1", "precision", "recall", "support", "predicted", "threshold"],
            column_config={
                "class": st.column_config.TextColumn(t("errors.class_name"), pinned=True, width=112),
                **{name: number(t(f"errors.class_{name}"), format="%.3f", width=69) for name in ("f1", "precision", "recall")},
                "support": number(t("errors.class_support"), help=t("errors.class_support_help"), width=69),
                "predicted": number(t("errors.class_predicted"), help=t("errors.class_predicted_help"), width=69),
                "threshold": number(t("errors.class_threshold"), format="%.3f", help=t("errors.class_threshold_help"), width=69),
            },
        )
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="top"):
            st.caption(t("errors.classes_hint"), width="stretch")
            st.download_button(
                t("errors.classes_download"),
                lambda: report_csv(report),
                file_name(self.source.contest.name, self.source.name, "classes", suffix=".csv"),
                "text/csv",
                on_click="ignore",
                icon=":material/download:",
            )


def clicked_cell(event: object) -> Pair | None:
    """The `customdata` of a clicked point of a Plotly chart, or None; Streamlit returns it as a dict with the keys "0" and "1"."""
    points = event["selection"]["points"] if isinstance(event, Mapping) else []
    if not points or "customdata" not in points[0]:
        return None
    data = points[0]["customdata"]
    first, second = (data["0"], data["1"]) if isinstance(data, Mapping) else data[:2]
    return int(first), int(second)


def _summarise(view: ErrorView) -> None:
    """How many rows are wrong, the scores, and on which rows all of it stands where these are not all."""
    oof, source = view.oof, view.source
    n, wrong = len(oof.rows), oof.y_pred != oof.y_true
    n_wrong = int((wrong.any(axis=1) if oof.is_multilabel else wrong).sum())
    key, more = view.summary()
    helps = [f"**{metric_label(name)}**: {text}" for name in oof.scores if (text := metric_help(source.contest.spec, name))]
    metric = source.contest.spec.metric
    cv = f"**CV** {metric_label(metric)} {format_score(source.score(get_metric(metric)), source.spread(get_metric(metric)))}"
    scores = " · ".join([cv, "**OOF** " + ", ".join(f"{metric_label(name)} {score:.4f}" for name, score in oof.scores.items())])
    helps += [t("common.cv_help"), t("common.oof_help")]
    said = t(key, wrong=f"{n_wrong:,}", rows=f"{n:,}", share=f"{n_wrong / n:.2%}", scores=scores)
    st.markdown(said, help="\n\n".join(helps) or None)
    if more:
        st.caption(more)
    if oof.is_whole:
        return
    rows = {"rows": f"{n:,}", "all": f"{oof.n_train:,}"}
    unfinished = sorted(set(range(source.folds.n_folds)) - set(source.scored_folds))
    if unfinished:
        st.warning(t("errors.partial", folds=", ".join(map(str, unfinished)), **rows), icon=":material/hourglass_top:")
    else:
        st.info(t("errors.some_rows", **rows), icon=":material/filter_alt:")


@st.fragment
def _samples(view: ErrorView, chosen: Chosen) -> None:
    """The chosen rows and one of them in detail; only this part runs again while one looks through them."""
    with guard():
        if not len(chosen.places):
            st.caption(t("errors.no_rows"))
            return
        st.caption(chosen.note)
        _inspect(view, _browse(view, chosen))


def _browse(view: ErrorView, chosen: Chosen) -> int:
    """Show the rows as tiles, page by page, and return the row that is picked, at first the first of the page."""
    contest = view.source.contest
    modality = contest.spec.modality
    rows, per_page = view.oof.rows[chosen.places], PER_PAGE[modality]
    n_pages = -(-len(rows) // per_page)
    slot = st.container(height=GALLERY_PX if len(rows) > FEW[modality] else "content")
    page = choose_page(n_pages, f"errors-page-{view.source.ref}-{chosen.key}")
    first, last = (page - 1) * per_page, min(page * per_page, len(rows))
    texts = table_of(contest).train["input"]
    tiles = [
        Tile(row, chosen.caption(place), src=picture(contest, "train", row))
        if modality == "image"
        else Tile(row, chosen.caption(place), text=texts.iloc[row])
        for place, row in zip(chosen.places[first:last].tolist(), rows[first:last].tolist(), strict=True)
    ]
    label = t("errors.gallery_label", first=first + 1, last=last, total=len(rows))
    with slot:
        picked = gallery(tiles, selected=tiles[0].row, label=label, key=f"errors-gallery-{view.source.ref}")
    return tiles[0].row if picked is None else picked


def _inspect(view: ErrorView, row: int) -> None:
    """One training row: on the left what it is, on the right its true and predicted classes and their probabilities."""
    oof, table = view.oof, table_of(view.source.contest)
    place = int(np.searchsorted(oof.rows, row))
    true, given = (_is_class(labels[place], oof.n_classes) for labels in (oof.y_true, oof.y_pred))
    names = [", ".join(view.classes[label] for label in np.flatnonzero(which)) for which in (true, given)]
    text, is_image = str(table.train["input"].iloc[row]), view.source.contest.spec.modality == "image"
    with st.container(border=True):
        left, right = st.columns([1, 2] if is_image else [TEXT_SHARE, 1 - TEXT_SHARE], gap="medium")
        with left:
            if is_image:
                with guard():
                    sha256 = str(table.train["sha256"].iloc[row])
                    st.image(draw_file(table.image_path(text), sha256, table.white_level, PICTURE_PX), width="stretch", alt=names[0])
            else:
                st.text(text)
        with right:
            if oof.is_multilabel:
                said = [plain(name) or f"*{t('misses.none')}*" for name in names]
                st.markdown(t("misses.labels", true=said[0], given=said[1]))
            _bars(view, oof.y_prob[place], true, given)
            folds = ", ".join(map(str, pairs_of(view.source.folds).folds_of(row)))
            st.caption(t("errors.inspector_id", id=plain(table.train["id"].iloc[row]), row=row, fold=folds))


def _is_class(labels: np.ndarray, n_classes: int) -> NDArray[np.bool_]:
    """Which classes (n_classes,) a row has, from its class or from 0 and 1 for each."""
    return labels == 1 if labels.ndim else np.arange(n_classes) == labels


def _bars(view: ErrorView, prob: np.ndarray, true: np.ndarray, given: np.ndarray) -> None:
    """The probabilities of the true, the predicted and the most probable classes."""
    classes, several = view.classes, view.oof.is_multilabel
    by_prob = np.argsort(-prob, kind="stable")
    named = np.flatnonzero((true | given)[by_prob])  # places in by_prob
    order = by_prob[np.union1d(named[:MAX_BARS], np.arange(min(N_BARS, len(prob))))[:MAX_BARS]]
    thresholds = np.asarray(view.source.thresholds or (THRESHOLD,) * len(prob))[order].tolist()
    st.html(
        probability_bars(
            [classes[label] for label in order],
            prob[order].tolist(),
            true=[classes[label] for label in np.flatnonzero(true)],
            predicted=[classes[label] for label in np.flatnonzero(given)],
            marks={"true": t("errors.mark_true"), "predicted": t("errors.mark_predicted")},
            thresholds=thresholds if several else (),
        )
    )
    rest = np.delete(prob, order)
    if len(rest) and several:
        st.caption(t("misses.more_classes", n=len(rest), prob=f"{float(rest.max()):.2%}"))
    elif len(rest):
        st.caption(t("errors.more_classes", n=len(rest), share=f"{max(0.0, 1 - float(prob[order].sum())):.2%}"))
