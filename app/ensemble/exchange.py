"""Predictions of a team-mate come in through the browser and are a member at once; those of any run or blend leave as a file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import streamlit as st
from streamlit.typing import UploadedFile

from app.ensemble.lineup import join_next
from app.shell import runtime
from app.ui.cards import error_card, guard, section
from app.ui.format import folds_label, format_score, metric_label, plain
from app.ui.sources import rank_sources
from app.words.core_text import say
from app.words.text import t
from core.base.errors import PitwallError
from core.base.files import keep_upload
from core.exchange.exchange import Delivery, accept_delivery, doubts_of, expected_of, export_predictions, mean_auc, read_delivery
from core.exchange.files import SUFFIXES, Expected, check_size, check_suffix
from core.predictions.matrix import load_matrix
from core.predictions.source import Source, source_of
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run

NOTICE_KEY = "import-notice"
REVISION_KEY = "import-revision"
FORMS = (".parquet", ".csv", ".npy")
MIMES = {".parquet": "application/vnd.apache.parquet", ".csv": "text/csv", ".npy": "application/octet-stream"}
Part = Literal["oof", "test"]


@dataclass(frozen=True)
class Notice:
    """What is said after a run came in, and what nobody could check of it."""

    text: str
    is_suspect: bool
    unchecked: tuple[str, ...]


@st.fragment
def exchange_view(contest: Contest, folds: Folds, folds_list: Sequence[Folds]) -> None:
    """Import on the left, export on the right."""
    left, right = st.columns(2, gap="large")
    with left, guard():
        _import(contest, folds, folds_list)
    with right, guard():
        _export(contest)


def _import(contest: Contest, folds: Folds, folds_list: Sequence[Folds]) -> None:
    section(t("exchange.import_title"))
    notice: Notice | None = st.session_state.pop(NOTICE_KEY, None)
    if notice is not None:
        (st.warning if notice.is_suspect else st.success)(notice.text, icon=":material/download_done:")
        if notice.unchecked:
            st.caption("  \n".join(notice.unchecked))
    st.caption(t("exchange.import_why_sets" if contest.spec.is_multilabel else "exchange.import_why"))
    revision = st.session_state.setdefault(REVISION_KEY, 0)
    chosen = folds
    if len(folds_list) > 1:
        chosen = st.selectbox(
            t("exchange.folds"),
            folds_list,
            index=[each.id for each in folds_list].index(folds.id),
            format_func=folds_label,
            key=f"import-folds-{contest.id}",
            help=t("exchange.folds_help"),
        )
    of_train, of_test = expected_of(runtime.workspace(), contest, chosen)
    columns = st.columns(2)
    with columns[0]:
        oof = _uploader("oof", of_train, f"import-oof-{contest.id}-{revision}")
    test = None
    if contest.n_test:
        with columns[1]:
            test = _uploader("test", of_test, f"import-test-{contest.id}-{revision}")
    name = st.text_input(
        t("exchange.name"),
        placeholder=Path(oof.name).stem if oof else t("exchange.name_placeholder"),
        max_chars=60,
        key=f"import-name-{contest.id}-{revision}",
    )
    classes: list[str] = []
    if any(upload is not None and upload.name.lower().endswith(".npy") for upload in (oof, test)):
        classes = _class_order(contest, revision)
    asked = st.button(
        t("exchange.import_button"),
        type="primary",
        icon=":material/group_add:",
        disabled=oof is None or (test is None and contest.n_test > 0),
        key="import-predictions",
    )
    if not asked or oof is None:
        return
    with st.spinner(t("exchange.reading"), show_time=True):
        run, problems = take_in(contest, chosen, oof, test, name=name.strip(), classes=classes)
    for problem in problems:
        error_card(problem)
    if run is not None:
        st.session_state[NOTICE_KEY] = _notice(contest, run)
        st.session_state[REVISION_KEY] = revision + 1
        join_next(contest.id, run)
        st.rerun()


def _uploader(part: Part, expected: Expected, key: str) -> UploadedFile | None:
    return st.file_uploader(
        t(f"exchange.upload_{part}"),
        type=[suffix.removeprefix(".") for suffix in SUFFIXES],
        key=key,
        help=t("exchange.upload_help", rows=f"{len(expected.ids):,}", classes=len(expected.classes)),
        max_upload_size=-(-expected.most_bytes // 1_000_000),
    )


def _class_order(contest: Contest, revision: int) -> list[str]:
    """The order of the columns of an array; empty where it is the contest's own."""
    text = st.text_area(
        t("exchange.class_order"),
        "\n".join(contest.spec.classes),
        height=140,
        key=f"import-classes-{contest.id}-{revision}",
        help=t("exchange.class_order_help"),
    )
    order = [line.strip() for line in text.splitlines() if line.strip()]
    return [] if order == list(contest.spec.classes) else order


def take_in(
    contest: Contest, folds: Folds, oof: UploadedFile, test: UploadedFile | None, *, name: str, classes: Sequence[str]
) -> tuple[Run | None, tuple[PitwallError, ...]]:
    """The run that two uploads became, or everything that is wrong with them; what was uploaded does not stay."""
    workspace = runtime.workspace()
    with _upload_folder() as folder:
        problems: list[PitwallError] = []
        paths: dict[Part, Path] = {}
        expected = dict(zip(("oof", "test"), expected_of(workspace, contest, folds, classes), strict=True))
        for part, upload in (("oof", oof), ("test", test)):
            if upload is not None:
                try:
                    check_suffix(upload.name)
                    check_size(upload.name, upload.size, expected[part])
                    paths[part] = keep_upload(folder / part, upload.name, upload)
                except PitwallError as problem:
                    problems.append(problem)
        if problems:
            return None, tuple(problems)
        delivery = read_delivery(workspace, contest, folds, oof=paths["oof"], test=paths.get("test"), classes=classes)
        if delivery.problems:
            return None, delivery.problems
        return _accept(contest, folds, delivery, name or paths["oof"].stem)


def _accept(contest: Contest, folds: Folds, delivery: Delivery, name: str) -> tuple[Run | None, tuple[PitwallError, ...]]:
    try:
        return accept_delivery(runtime.workspace(), contest, folds, delivery, name=name), ()
    except PitwallError as problem:
        return None, (problem,)


@contextmanager
def _upload_folder() -> Iterator[Path]:
    home = runtime.workspace().uploads_dir
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix="predictions-") as folder:
        yield Path(folder)


def _notice(contest: Contest, run: Run) -> Notice:
    """The score of what came in, and what is doubtful of it."""
    metric = contest.spec.metric
    if contest.spec.is_multilabel:
        oof = load_matrix([source_of(runtime.workspace(), run, contest)])
        second, value = "auc", mean_auc(oof.y_true, oof.y_prob)
    else:
        second, value = "accuracy", sum(result.scores["accuracy"] for result in run.results) / len(run.results)
    said = t(
        "exchange.imported",
        name=plain(run.name),
        ref=run.ref,
        metric=metric_label(metric),
        score=format_score(run.cv_score(metric), run.cv_sd(metric)),
        second=t(f"exchange.second_{second}"),
        value=f"{value:.4f}",
    )
    suspect, unchecked = (tuple(map(_sentence, doubts)) for doubts in doubts_of(run))
    return Notice("  \n".join([said, *suspect]), bool(suspect), unchecked)


def _sentence(doubt: str) -> str:
    """What core says, in the language of the screen, as a sentence of a text."""
    said = say(doubt)
    return said[:1].upper() + said[1:] + ("" if said.endswith("?") else ".")


def _export(contest: Contest) -> None:
    section(t("exchange.export_title"))
    sources = rank_sources(contest, complete=False)
    if not sources:
        st.caption(t("exchange.export_none"))
        return
    st.caption(t("exchange.export_why"))
    by_ref = {source.ref: source for source in sources}
    ref = st.selectbox(
        t("exchange.source"), list(by_ref), format_func=lambda ref: f"{by_ref[ref].name} ({ref})", key=f"export-source-{contest.id}"
    )
    source = by_ref[ref]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        parts: tuple[Part, ...] = ("oof", "test") if contest.n_test else ("oof",)
        part = st.segmented_control(
            t("exchange.part"), parts, default="oof", format_func=lambda name: t(f"exchange.part_{name}"), required=True, key="export-part"
        )
        form = st.segmented_control(t("exchange.form"), FORMS, default=FORMS[0], required=True, key="export-form")
        refusal = why_not(source, part)
        st.download_button(
            t("exchange.download"),
            lambda: make_file(source, part, form),
            f"{source.name}-{part}{form}",
            MIMES[form],
            on_click="ignore",
            icon=":material/download:",
            disabled=bool(refusal),
            key="export-download",
        )
    st.caption(refusal or t(f"exchange.form_note{form}"))
    if source.thresholds and not refusal:
        st.caption(t("exchange.no_thresholds", name=plain(source.name)))


def why_not(source: Source, part: Part) -> str:
    """Why a source's predictions cannot leave; empty when they can."""
    if source.is_whole if part == "oof" else source.is_complete:
        return ""
    return t(f"exchange.refused_{source.kind}", n=len(source.scored_folds), of=source.folds.n_folds)


def make_file(source: Source, part: Part, form: str) -> bytes:
    """The file's bytes, built when it is asked for: written a part at a time, so that only the file itself is held."""
    with _upload_folder() as folder:
        path = folder / f"{part}{form}"
        export_predictions(source, oof=path if part == "oof" else None, test=path if part == "test" else None)
        return path.read_bytes()
