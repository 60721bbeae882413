"""Predictions of a team-mate come in through the browser and are a member at once; those of any run or blend leave as a file."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import streamlit as st
from streamlit.typing import UploadedFile

from app.ensemble.session import Notice, session
from app.shell import runtime
from app.ui.cards import error_card, guard, section
from app.ui.format import folds_label, format_score, metric_label, plain
from app.ui.sources import rank_sources
from app.words.core_text import say
from app.words.text import t
from core.base.errors import PitwallError
from core.base.files import keep_upload
from core.exchange.doubts import doubts_of, mean_auc
from core.exchange.exchange import accept_delivery, expected_of, export_predictions, read_delivery
from core.exchange.sheet import SUFFIXES, check_size, check_suffix
from core.predictions.source import Source, load_matrix, source_of
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run

MIMES = {".parquet": "application/vnd.apache.parquet", ".csv": "text/csv", ".npy": "application/octet-stream"}
"""Of the forms of a file, the usual one first."""
Part = Literal["oof", "test"]
PARTS: tuple[Part, ...] = ("oof", "test")


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
    kept = session()
    notice, kept.notice = kept.notice, None
    if notice is not None:
        (st.warning if notice.is_suspect else st.success)(notice.text, icon=":material/download_done:")
        if notice.unchecked:
            st.caption("  \n".join(notice.unchecked))
    st.caption(t("exchange.import_why_sets" if contest.spec.is_multilabel else "exchange.import_why"))
    chosen, suffix = folds, f"{contest.id}-{kept.n_imports}"
    if len(folds_list) > 1:
        chosen = st.selectbox(
            t("exchange.folds"),
            folds_list,
            index=[each.id for each in folds_list].index(folds.id),
            format_func=folds_label,
            key=f"import-folds-{contest.id}",
            help=t("exchange.folds_help"),
        )
    parts = PARTS if contest.n_test else PARTS[:1]
    expected = dict(zip(PARTS, expected_of(runtime.workspace(), contest, chosen), strict=True))
    uploads: dict[Part, UploadedFile] = {}
    for part, column in zip(parts, st.columns(2), strict=False):
        with column:
            upload = st.file_uploader(
                t(f"exchange.upload_{part}"),
                type=[form.removeprefix(".") for form in SUFFIXES],
                key=f"import-{part}-{suffix}",
                help=t("exchange.upload_help", rows=f"{len(expected[part].ids):,}", classes=len(expected[part].classes)),
                max_upload_size=-(-expected[part].most_bytes // 1_000_000),
            )
        if upload is not None:
            uploads[part] = upload
    placeholder = Path(uploads["oof"].name).stem if "oof" in uploads else t("exchange.name_placeholder")
    name = st.text_input(t("exchange.name"), placeholder=placeholder, max_chars=60, key=f"import-name-{suffix}")
    is_array = any(upload.name.lower().endswith(".npy") for upload in uploads.values())
    classes = _class_order(contest, suffix) if is_array else []
    is_asked = st.button(
        t("exchange.import_button"),
        type="primary",
        icon=":material/group_add:",
        disabled=len(uploads) < len(parts),
        key="import-predictions",
    )
    if not is_asked or len(uploads) < len(parts):
        return
    with st.spinner(t("exchange.reading"), show_time=True):
        run, problems = take_in(contest, chosen, uploads, name=name.strip(), classes=classes)
    for problem in problems:
        error_card(problem)
    if run is not None:
        kept.notice, kept.joining = _notice(contest, run), run
        kept.n_imports += 1
        st.rerun()


def _class_order(contest: Contest, suffix: str) -> list[str]:
    """The order of the columns of an array; empty where it is the contest's own."""
    text = st.text_area(
        t("exchange.class_order"),
        "\n".join(contest.spec.classes),
        height=140,
        key=f"import-classes-{suffix}",
        help=t("exchange.class_order_help"),
    )
    order = [line.strip() for line in text.splitlines() if line.strip()]
    return [] if order == list(contest.spec.classes) else order


def take_in(
    contest: Contest, folds: Folds, uploads: Mapping[Part, UploadedFile], *, name: str, classes: Sequence[str]
) -> tuple[Run | None, Sequence[PitwallError]]:
    """The run that the uploads became, or everything that is wrong with them; what was uploaded does not stay."""
    workspace = runtime.workspace()
    expected = dict(zip(PARTS, expected_of(workspace, contest, folds, classes), strict=True))
    problems: list[PitwallError] = []
    paths: dict[Part, Path] = {}
    with _upload_folder() as folder:
        for part, upload in uploads.items():
            try:
                check_suffix(upload.name)
                check_size(upload.name, upload.size, expected[part])
                paths[part] = keep_upload(folder / part, upload.name, upload)
            except PitwallError as problem:
                problems.append(problem)
        if problems:
            return None, problems
        delivery = read_delivery(workspace, contest, folds, oof=paths["oof"], test=paths.get("test"), classes=classes)
        if delivery.problems:
            return None, delivery.problems
        try:
            return accept_delivery(workspace, contest, folds, delivery, name=name or paths["oof"].stem), ()
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
        parts = PARTS if contest.n_test else PARTS[:1]
        part = st.segmented_control(
            t("exchange.part"), parts, default="oof", format_func=lambda name: t(f"exchange.part_{name}"), required=True, key="export-part"
        )
        form = st.segmented_control(t("exchange.form"), tuple(MIMES), default=next(iter(MIMES)), required=True, key="export-form")
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
