"""The parts of the pages Home and Data for registered contests and samples: where each stands, what was understood, its classes and rows."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from app.shell import runtime, state
from app.shell.tables import picture, table_of, truth_of
from app.ui.cards import guard, onward, section
from app.ui.charts import MAX_BARS, class_bars, draw, size_bars
from app.ui.components.gallery.component import Tile, gallery
from app.ui.controls import choose_page
from app.ui.format import direction_arrow, format_clock, format_score, metric_label, plain, short_hash, submission_label
from app.ui.forms import option_label
from app.ui.ways_back import ask_name, ask_removal, menu_label
from app.words.core_text import say
from app.words.text import t
from core.analysis.overview import ContestOverview
from core.contest.contents import found_at_registration
from core.contest.encoding import LIKELY
from core.contest.inspect.labels import SEPARATORS
from core.contest.inspect.sources import Check
from core.contest.samples import Sample, open_sample
from core.contest.table import ContestTable, by_turns, count_classes, rows_by_size, rows_of_class
from core.data.images import open_image
from core.folds import first_spec, save_folds
from core.splitting import say_rare
from core.store.contests import Contest, archive_contest, rename_contest
from core.store.folds import list_folds


def contest_row(overview: ContestOverview) -> None:
    """One contest: what it is, its best score, how many runs, and the button that makes it the selected one."""
    contest, spec = overview.contest, overview.contest.spec
    with st.container(border=True, key=f"contest-{contest.id}"):
        about, figures = st.columns([1, 1.45], vertical_alignment="center", gap="medium")
        with about.container(gap="xxsmall"):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.checkbox(t("home.tick", name=plain(contest.name)), key=tick_key(contest), label_visibility="collapsed")
                if st.button(f"**{plain(contest.name)}**", type="tertiary", key=f"open-{contest.id}", help=t("home.open_help")):
                    state.select_contest(contest.name)
                    state.go_to("runs" if overview.n_runs else "data")
                st.badge(t(f"common.modality_{spec.modality}"), color="gray")
            rows = t("home.rows", train=contest.n_train, test=contest.n_test)
            facts = (rows, t("home.classes", n=len(spec.classes)), metric_label(spec.metric), submission_label(spec))
            st.caption("  ·  ".join(facts))
            st.caption(t("home.active", clock=format_clock(overview.active_at)))
        name = overview.best.name if overview.best else ""
        with figures, st.container(horizontal=True, gap="medium"):
            st.metric(
                t("home.best_cv", arrow=direction_arrow(spec.metric)),
                format_score(overview.best_score, overview.best_sd),
                help=t("home.best_by", name=plain(name)) if name else t("home.best_none"),
                width="content",
            )
            st.metric(t("home.jobs"), f"{overview.n_running} · {overview.n_queued}", width="content")
            for label, n in (("runs", overview.n_runs), ("blends", overview.n_blends), ("submissions", overview.n_submissions)):
                st.metric(t(f"home.{label}"), n, width="content")
            contest_menu(contest)


def tick_key(contest: Contest) -> str:
    """Of the box that ticks a contest on the page Home."""
    return f"tick-contest-{contest.id}"


def ticked_contests(contests: Sequence[Contest]) -> None:
    """Archive (or take out of the archive) and delete the ticked of these contests; to be drawn before their rows."""
    ticked = [contest for contest in contests if st.session_state.get(tick_key(contest))]
    if not ticked:
        return
    verb = "archive" if ticked[0].archived_at is None else "unarchive"
    if st.button(t(f"trash.{verb}_some", n=len(ticked)), icon=f":material/{verb}:", key=f"{verb}-ticked"):
        for contest in ticked:
            archive_contest(runtime.workspace().store, contest.id, now=time.time() if verb == "archive" else None)
            st.session_state[tick_key(contest)] = False
        st.toast(t(f"trash.{verb}d_some", names=", ".join(f"**{plain(contest.name)}**" for contest in ticked)), icon=f":material/{verb}:")
        st.rerun()
    if st.button(t("trash.delete_some", n=len(ticked)), icon=":material/delete:", key=f"delete-ticked-{verb}"):
        ask_removal({"contest": [contest.id for contest in ticked]})


FEW = 5
"""So many contests are seen at a glance and need no search."""


def search(n_contests: int) -> str:
    """The field that finds one of many contests; what was typed, in lower case."""
    if n_contests <= FEW:
        return ""
    label = t("home.search", n=n_contests)
    typed = st.text_input(label, placeholder=label, type="search", live="250ms", key="home-search", label_visibility="collapsed")
    return (typed or "").strip().casefold()


def contest_menu(contest: Contest) -> None:
    """Rename, correct, archive and delete a contest."""
    store = runtime.workspace().store
    actions = ("rename", "correct", "archive" if contest.archived_at is None else "unarchive", "delete")
    chosen = st.menu_button(
        menu_label(contest.name),
        actions,
        format_func=lambda action: t(f"trash.{action}"),
        key=f"contest-menu-{contest.id}",
        type="tertiary",
        help=f"{t('trash.more_actions')}: {plain(contest.name)}",
    )
    if chosen == "rename":
        ask_name(contest.name, partial(_rename, contest))
    elif chosen == "correct":
        st.session_state[f"correcting-{contest.id}"] = True
        state.select_contest(contest.name)
        state.go_to("data")
    elif chosen == "delete":
        ask_removal({"contest": [contest.id]})
    elif chosen is not None:
        archive_contest(store, contest.id, now=time.time() if chosen == "archive" else None)
        if chosen == "archive":
            st.toast(t("trash.archived_toast", name=plain(contest.name)), icon=":material/archive:")
        st.rerun()


def _rename(contest: Contest, name: str) -> None:
    renamed = rename_contest(runtime.workspace().store, contest.id, name)
    if st.session_state.get(state.CONTEST_KEY) == contest.name:
        state.select_contest(renamed.name)
    st.toast(t("trash.renamed_to", old=plain(contest.name), new=plain(renamed.name)), icon=":material/edit:")


def sample_card(sample: Sample, is_open: bool) -> None:
    """One built-in sample, with the button that makes and opens it."""
    with st.container(border=True, key=f"sample-{sample.name}", height="stretch"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**{t(f'home.sample_{sample.name}_title')}**", width="content")
            st.badge(t(f"common.modality_{sample.modality}"), color="gray")
            if is_open:
                st.badge(t("home.sample_opened"), color="green")
        st.caption(t(f"home.sample_{sample.name}_about"))
        st.space("stretch")
        if st.button(t("home.sample_open", name=sample.name), key=f"sample-open-{sample.name}", icon=":material/play_arrow:"):
            make_and_open(sample)


def make_and_open(sample: Sample) -> None:
    """Write and register a sample's files at first use, then open it on the Data page."""
    with guard(), progress_bar(lambda done, total: t("home.sample_making", name=sample.name)) as report:
        contest = open_sample(runtime.workspace(), sample.name, progress=report)
        state.select_contest(contest.name)
        state.go_to("data")


@contextmanager
def progress_bar(text: Callable[[int, int], str], total: int = 0) -> Iterator[Callable[[int, int], None]]:
    """A bar while a contest is made; what is given is called with how many images are done, of how many."""
    bar = st.progress(0.0, text=text(0, total))

    def report(done: int, total: int) -> None:
        bar.progress(done / max(1, total), text=text(done, total))

    try:
        yield report
    finally:
        bar.empty()


ICONS = {"ok": ":green[:material/check_circle:]", "note": ":gray[:material/info:]", "warning": ":orange[:material/warning:]"}
PER_PAGE, GALLERY_PX = 48, 560
NO_CLASS = -1
"""What the filter by class holds for rows that have none."""


def kept_labels(contest: Contest) -> NDArray[np.integer]:
    """The labels of the training rows that the contest's truth keeps."""
    truth = truth_of(contest)
    return truth.labels[truth.kept]


def understood(contest: Contest) -> None:
    """The contest's settings and counts as a list."""
    spec, labels = contest.spec, kept_labels(contest)
    counts = count_classes(labels, len(spec.classes), multilabel=spec.is_multilabel)
    least, most = int(counts.min()), int(counts.max())
    columns = ", ".join(spec.input_columns)
    several = {"labels": how_many(labels)} if spec.is_multilabel else {}
    column = "data.columns_value" if len(spec.input_columns) > 1 else "data.column_value"
    facts = {
        "modality": t(f"data.modality_{spec.modality}"),
        "rows": t("data.rows_value", train=contest.n_train, test=contest.n_test),
        "classes": t("data.classes_even", n=len(counts), rows=least)
        if least == most
        else t("data.classes_value", n=len(counts), least=least, most=most, ratio=most / max(1, least)),
        **several,
        "input": t(column, name=plain(columns)) if columns else t("data.folders_value"),
        "label": where_labels_are(contest),
        "id": t("data.column_value", name=plain(spec.id_column)) if spec.id_column else t("data.numbered_value"),
        "group": t("data.column_value", name=plain(spec.group_column)) if spec.group_column else t("data.none_value"),
        "metric": metric_label(spec.metric),
        "submission": submission_label(spec),
        "files": plain(" · ".join(name for name in (spec.train, spec.test, spec.sample_submission) if name)),
        "data": f"`{short_hash(contest.fingerprint)}`",
    }
    st.table({f":gray[{t(f'data.fact_{key}')}]": value for key, value in facts.items()}, border="horizontal", alt=t("data.understood"))


def checks_table(checks: Sequence[Check], *, alt: str) -> None:
    """Points of an inspection or of a registration: how sure or how grave, what it is about, and why."""
    values = [plain(say(option_label("contest", check.key, check.value))) for check in checks]
    table = {
        " ": [ICONS[check.level] for check in checks],
        t("data.check_what"): [t(f"contest.{check.key}") for check in checks],
        t("data.check_value"): [f"**{value}**" if value else "–" for value in values],
        t("data.check_why"): [plain(say(check.detail)) for check in checks],
    }
    st.table(table, border="horizontal", hide_index=True, alt=alt)


def setting_choices(columns: Sequence[str], tables: Sequence[str]) -> dict[str, Sequence[str]]:
    """What a form over a contest's settings offers where a column, a table, an encoding or a separator is asked for."""
    return {
        **dict.fromkeys(("id_column", "input_columns", "label_column", "group_column"), columns),
        **dict.fromkeys(("train", "train_labels", "valid", "test", "sample_submission"), tables),
        "encoding": LIKELY,
        "label_separator": SEPARATORS,
    }


def found(contest: Contest) -> None:
    """What registration found in the rows: damaged images, deep ones, copies. Nothing where it found nothing."""
    checks = found_at_registration(runtime.workspace(), contest)
    if checks:
        section(t("data.found"))
        checks_table(checks, alt=t("data.found"))


def how_many(labels: NDArray[np.integer]) -> str:
    """How many classes rows have, where they may have several."""
    rows = rows_by_size(labels)
    mean = float(np.average(np.arange(len(rows)), weights=rows))
    return t("data.labels_value" if rows[0] else "data.labels_value_full", mean=mean, most=len(rows) - 1, empty=int(rows[0]))


def where_labels_are(contest: Contest) -> str:
    """Which column, columns or folders hold the labels."""
    spec = contest.spec
    if not spec.label_column:
        return t("data.flags_value") if spec.is_multilabel else t("data.folders_value")
    if not spec.is_multilabel:
        return t("data.column_value", name=plain(spec.label_column))
    separator = option_label("contest", "label_separator", spec.label_separator)
    return t("data.separated_value", name=plain(spec.label_column), separator=f"`{separator}`")


def distribution(contest: Contest) -> None:
    """How many classes the kept rows have, where they may have several, and how many rows each class has."""
    labels, classes, several = kept_labels(contest), contest.shown_classes, contest.spec.is_multilabel
    if several:
        classes_per_row(rows_by_size(labels).tolist())
    counts = count_classes(labels, len(classes), multilabel=several).tolist()
    rows_per_class(dict(zip(classes, counts, strict=True)), len(labels))


def classes_per_row(rows: Sequence[int]) -> None:
    """How many rows have 0, 1, 2 … classes, with the mean."""
    section(t("data.sizes"), t("data.sizes_note", mean=np.average(range(len(rows)), weights=rows)))
    draw(size_bars(rows), key="size-bars", alt=t("data.sizes"))


def rows_per_class(counts: Mapping[str, int], n_rows: int) -> None:
    """Rows of each class: bars while they can be read at a glance, beyond that a searchable table, most first."""
    section(t("data.distribution"))
    if len(counts) <= MAX_BARS:
        draw(class_bars(list(counts), np.array(list(counts.values())), n_rows), key="class-bars", alt=t("data.distribution"))
        return
    most = max(counts.values())
    config = {
        "class": st.column_config.TextColumn(t("data.chart_class"), width="medium"),
        "rows": st.column_config.ProgressColumn(t("data.chart_rows"), format="%d", min_value=0, max_value=most),
    }
    frame = pd.DataFrame({"class": list(counts), "rows": list(counts.values())}).sort_values("rows", ascending=False, kind="stable")
    st.dataframe(frame, hide_index=True, height=420, alt=t("data.distribution"), column_config=config)


@st.fragment
@guard()
def samples(contest: Contest) -> None:
    """Images or texts of one part and class, page by page; the picked one is named below."""
    table, spec, labels = table_of(contest), contest.spec, truth_of(contest).labels
    with section(t("data.samples")):
        part = st.segmented_control(
            t("data.samples"),
            ["train", "test"],
            format_func=lambda name: t(f"data.part_{name}"),
            default="train",
            required=True,
            key=f"data-part-{contest.id}",
            label_visibility="collapsed",
        )
        chosen = None
        if part == "train":
            chosen = st.selectbox(
                t("data.class_filter"),
                [*range(len(spec.classes)), *((NO_CLASS,) if spec.is_multilabel else ())],
                index=None,
                format_func=lambda number: t("data.no_class") if number == NO_CLASS else contest.shown_classes[number],
                placeholder=t("data.all_classes"),
                key=f"data-class-{contest.id}",
                label_visibility="collapsed",
                width=220,
            )
    frame = table.train if part == "train" else table.test
    if part == "test":
        rows = frame.index.to_numpy()
    else:
        several, label = spec.is_multilabel, None if chosen == NO_CLASS else chosen
        rows = by_turns(labels, multilabel=several) if chosen is None else rows_of_class(labels, label, multilabel=several)
    if not len(rows):
        st.caption(t("data.no_test" if part == "test" else "data.no_class_rows"))
        return
    n_pages = -(-len(rows) // PER_PAGE)
    viewer, slot = st.container(), st.container(height=GALLERY_PX, border=False)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        note = st.container(width="content")
        page = choose_page(n_pages, f"data-page-{contest.id}-{part}-{chosen}")
    shown = rows[(page - 1) * PER_PAGE : page * PER_PAGE]
    tiles = [
        Tile(
            row=int(row),
            caption=class_names(contest, labels[row]) if part == "train" else str(frame.at[row, "id"]),
            src=picture(contest, part, int(row)) if spec.modality == "image" else "",
            text="" if spec.modality == "image" else str(frame.at[row, "input"]),
        )
        for row in shown
    ]
    label = t("data.gallery_label", first=(page - 1) * PER_PAGE + 1, last=(page - 1) * PER_PAGE + len(shown), total=len(rows))
    with slot:
        picked = gallery(tiles, selected=None, label=label, key=f"data-gallery-{contest.id}", tile_px=76)
    note.caption(label)
    if picked is not None:
        with viewer, guard():
            _sample(table, frame, picked, class_names(contest, labels[picked]) if part == "train" else "")


def _sample(table: ContestTable, frame: pd.DataFrame, row: int, classes: str) -> None:
    """One row as it is: the picture in full with its size and path, or the whole text; its classes, and its id to copy."""
    given = str(frame.at[row, "input"])
    with st.container(border=True, key="data-sample"):
        left, right = st.columns([1.2, 1] if table.image_base is not None else [2, 1], gap="medium")
        with right:
            if classes:
                st.markdown(f"**{plain(classes)}**")
            st.code(str(frame.at[row, "id"]), language=None, wrap_lines=True)
            st.caption(t("data.sample_row", row=row))
        if table.image_base is None:
            left.text(given)
            return
        path = table.image_path(given)
        image = open_image(path, sha256=str(frame.at[row, "sha256"]), white_level=table.white_level)
        left.image(image, width="stretch", alt=classes or given)
        with right:
            st.caption(t("data.sample_size", width=image.width, height=image.height, kb=path.stat().st_size / 1000))
            st.code(str(path), language=None, wrap_lines=True)


def next_step(contest: Contest) -> None:
    """The way on: to Train where there are folds, else by folds as this contest suggests them."""
    if list_folds(runtime.workspace().store, contest.id):
        onward(t("data.next"), "train")
        return
    spec = first_spec(contest)
    about = t("folds.option_kind", n=spec.n_folds, kind=t(f"split.kind={spec.kind}"))
    label = t("data.next_folds", folds=about)
    several = contest.spec.is_multilabel
    if rare := say_rare(kept_labels(contest), contest.shown_classes, spec.n_folds, keep_rare=spec.keep_rare, multilabel=several):
        st.caption(f":orange[{plain(say(rare))}]")
    if st.button(label, type="primary", icon=":material/arrow_forward:", icon_position="right", disabled=runtime.is_read_only()):
        with guard(), st.spinner(t("folds.making")):
            state.select_folds(save_folds(runtime.workspace(), contest, spec))
            state.go_to("train")


def class_names(contest: Contest, label: NDArray[np.integer]) -> str:
    """The class of a training row, or all of them."""
    if not contest.spec.is_multilabel:
        return contest.shown_classes[int(label)]
    return ", ".join(contest.shown_classes[index] for index in np.flatnonzero(label)) or t("data.no_class_caption")
