"""Adding a contest: its files, the draft that the inspection made of them, corrections, and the registration."""

import tempfile
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.typing import UploadedFile

from app.contest.contest_view import checks_table, classes_per_row, rows_per_class, setting_choices
from app.shell import runtime, state
from app.shell.tables import data_address, draw_file
from app.ui.cards import empty_state, error_card, guard, section
from app.ui.components.gallery.component import Tile, gallery
from app.ui.format import format_duration, plain
from app.ui.forms import settings_form
from app.words.text import t
from core.base.errors import NotFoundError, PitwallError
from core.base.files import keep_upload, resolve_inside
from core.contest.contents import fix_of_damaged
from core.contest.inspect.draft import Inspection, Unfinished, try_inspection
from core.contest.uploads import TEMPORARY, open_source, release_source
from core.specs.contest import LABELS, ContestSpec
from core.store.jobs import REGISTER, Job, get_job, list_jobs

INTAKE_KEY, JOB_KEY = "intake", "intake-job"
LIVE = ("queued", "running")
BUSY_S = 1.0
NEXT_VIEW = "data-next-view"


@dataclass(frozen=True)
class Intake:
    """A contest that is being added: its folder, the changed answers, how far its inspection came, and the last refusal."""

    folder: Path
    inspection: Inspection | Unfinished
    revision: int
    answers: dict[str, Any] = field(default_factory=dict)
    refusal: PitwallError | None = None


def intake() -> None:
    """The view that adds a contest, from a path or an upload to its registration."""
    _follow()
    _registrations()
    _source()
    current: Intake | None = st.session_state.get(INTAKE_KEY)
    if current is None:
        empty_state(t("data.add_empty_title"), t("data.add_empty_why"), icon="fact_check")
        return
    if isinstance(current.inspection, Unfinished):
        _corrections(current)
        checks_table(current.inspection.checks, alt=t("data.add_understood"))
        return
    left, right = st.columns([7, 5], gap="large")
    with left:
        with section(t("data.add_understood"), t("data.add_understood_note")):
            n_problems = len(current.inspection.problems)
            about = t("data.accept_refused", n=n_problems) if n_problems else t("data.accept_note")
            label = t("data.accept", name=plain(current.inspection.draft.name))
            accepted = st.button(label, type="primary", icon=":material/check:", disabled=n_problems > 0, help=about, key="intake-accept")
        if accepted:
            _register(current.inspection)
        checks_table(current.inspection.checks, alt=t("data.add_understood"))
        _corrections(current)
    with right:
        section(t("data.preview"))
        _preview(current.inspection)
        if current.inspection.rows_by_size:
            classes_per_row(current.inspection.rows_by_size)
        rows_per_class(current.inspection.class_counts, current.inspection.n_train)


def _source() -> None:
    with st.container(border=True, key="intake-source"):
        kind = st.segmented_control(
            t("data.add_source"),
            ["path", "upload"],
            format_func=lambda name: t(f"data.source_{name}"),
            default="path",
            required=True,
            key="intake-kind",
        )
        if kind == "path":
            with st.form("intake-path", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
                path = st.text_input(
                    t("data.path_label"), placeholder=t("data.path_placeholder"), help=t("data.path_help"), key="intake-path-text"
                )
                asked = st.form_submit_button(t("data.inspect"), type="primary", icon=":material/search:")
            if asked and path.strip():
                _open(path)
        else:
            upload = st.file_uploader(t("data.upload_label"), type=["zip"], help=t("data.upload_help"), key="intake-upload")
            if upload is not None and st.button(t("data.inspect"), type="primary", icon=":material/search:"):
                _open_upload(upload)


def _open(path: str) -> None:
    """Take a folder, or a zip that is extracted first, and inspect it; without a folder that can be read there is no intake."""
    before: Intake | None = st.session_state.pop(INTAKE_KEY, None)
    if before is not None:
        release_source(runtime.workspace(), before.folder)
    with guard(), st.spinner(t("data.inspecting", path=plain(Path(path).name))):
        folder = open_source(runtime.workspace(), Path(path))
        try:
            found = try_inspection(folder, answers={})
        except PitwallError:
            release_source(runtime.workspace(), folder)
            raise
        refusal = found.error if isinstance(found, Unfinished) else None
        st.session_state[INTAKE_KEY] = Intake(folder, found, _next_revision(), refusal=refusal)
        return
    st.stop()


def _open_upload(upload: UploadedFile) -> None:
    home = runtime.workspace().uploads_dir
    home.mkdir(parents=True, exist_ok=True)
    with guard(), tempfile.TemporaryDirectory(dir=home, prefix=TEMPORARY[0]) as folder:
        _open(str(keep_upload(Path(folder), upload.name, upload)))


def _corrections(current: Intake) -> None:
    """The form over the draft; an answer that differs is a correction, and the folder is inspected again with all of them."""
    draft = current.inspection.draft
    is_unfinished = isinstance(current.inspection, Unfinished)
    words = "data.add_unfinished" if is_unfinished else "data.add_correct"
    with section(t(words), t(f"{words}_note")):
        if current.answers and st.button(t("data.add_reset"), icon=":material/undo:"):
            _inspect_again(replace(current, answers={}))
    if current.refusal is not None:  # beside the field that was answered, and not above all that was understood
        error_card(current.refusal)
    asked = {
        "label_separator": draft.is_multilabel and bool(draft.label_column),
        "submission_names": bool(draft.sample_submission) and not is_unfinished,
    }
    with st.container(border=True):
        given = settings_form(
            draft,
            f"intake-{current.revision}",
            texts="contest",
            skip=[name for name, applies in asked.items() if not applies],
            options=setting_choices(current.inspection.columns, current.inspection.tables) | {"submission_names": draft.classes},
            columns=3,
            fold=not is_unfinished,
        )
    changed = {name: value for name, value in given.items() if value != draft.to_dict()[name]}
    if changed:
        # How many classes a row has, and where they stand, decides which they are, what they are called and what is between them: asked anew.
        stale = {"label_separator"} if "labels" in changed else set[str]()
        stale |= {"classes", "submission_names", "untrained_classes"} if changed.keys() & set(LABELS) else set[str]()
        kept = {name: value for name, value in current.answers.items() if name not in stale}
        _inspect_again(replace(current, answers=kept | changed))


def _inspect_again(current: Intake) -> None:
    before: Intake = st.session_state[INTAKE_KEY]
    with st.spinner(t("data.inspecting", path=plain(current.folder.name))):
        try:
            found = try_inspection(current.folder, answers=current.answers)
        except PitwallError as refusal:
            after = replace(before, refusal=refusal)
        else:
            refusal = found.error if isinstance(found, Unfinished) else None
            # The last good draft stays, and what was wrong with the answer is said.
            is_worse = refusal is not None and isinstance(before.inspection, Inspection)
            after = replace(before, refusal=refusal) if is_worse else replace(current, inspection=found, refusal=refusal)
    st.session_state[INTAKE_KEY] = replace(after, revision=_next_revision())
    st.rerun()


def _next_revision() -> int:
    """A number that no form of this session has had, so that each draft gets fresh widgets."""
    st.session_state["intake-revision"] = st.session_state.get("intake-revision", 0) + 1
    return st.session_state["intake-revision"]


def _preview(inspection: Inspection) -> None:
    draft, tiles = inspection.draft, list[Tile]()
    level = next((float(check.value) for check in inspection.checks if check.key == "white_level"), 0.0)
    for row, (name, label) in enumerate(zip(inspection.preview["input"], inspection.preview["label"], strict=True)):
        caption = label or (t("data.no_class_caption") if draft.is_multilabel else "")
        if draft.modality == "text":
            tiles.append(Tile(row, caption, text=name))
        elif name:  # else it is among the problems
            try:
                tiles.append(Tile(row, caption, src=data_address(draw_file(resolve_inside(Path(draft.root), name), white_level=level))))
            except PitwallError as damage:
                tiles.append(Tile(row, caption, text=t("data.preview_damaged")))
                if draft.damaged_train == "refuse":
                    error_card(PitwallError(**damage.parts | {"fix": fix_of_damaged(draft, "train", damage.fix)}))
    gallery(tiles, selected=None, label=t("data.preview"), key="intake-preview", tile_px=72)


def _register(inspection: Inspection) -> None:
    """Queue the registration, which verifies every row and image in a process of its own."""
    with guard():
        job = runtime.steer(lambda: runtime.launch.launch_registration(runtime.workspace(), inspection.draft))
        st.session_state[JOB_KEY] = job.id
        st.rerun()


def _follow() -> None:
    """Where the registration that this session began is done: on to the contest."""
    number: int | None = st.session_state.get(JOB_KEY)
    if number is None:
        return
    job: Job | None = None
    with suppress(NotFoundError):  # dismissed in another window
        job = get_job(runtime.workspace().store, number)
    if job is None or job.state in ("failed", "canceled"):
        del st.session_state[JOB_KEY]
    elif job.state == "done":
        del st.session_state[JOB_KEY]
        st.session_state.pop(INTAKE_KEY, None)
        st.session_state[NEXT_VIEW] = "contest"
        name = _spec_of(job).name
        state.select_contest(name)
        st.toast(t("data.registered", name=plain(name)), icon=":material/check:")
        state.go_to("data")


def _registrations() -> None:
    """Contests that are being registered, whoever began that, and registrations that failed."""
    jobs = _shown_jobs()
    if jobs:
        is_busy = any(job.state in LIVE for job in jobs)
        st.fragment(_draw_registrations, run_every=BUSY_S if is_busy else None)({job.id: job.state in LIVE for job in jobs})


def _spec_of(job: Job) -> ContestSpec:
    return ContestSpec.model_validate(job.payload["spec"])


def _shown_jobs() -> list[Job]:
    return [job for job in list_jobs(runtime.workspace().store, (*LIVE, "failed")) if job.kind == REGISTER]


def _draw_registrations(before: dict[int, bool]) -> None:
    jobs = _shown_jobs()
    if {job.id: job.state in LIVE for job in jobs} != before:
        st.rerun()  # the page around it goes on, or stops polling
    for job in jobs:
        with st.container(border=True, key=f"registration-{job.id}"):
            if job.state in LIVE:
                _progress(job)
            else:
                _failure(job)


def _progress(job: Job) -> None:
    done = job.progress
    said = t(f"common.phase_{done.phase if done else 'starting'}") if job.state == "running" else t("predict.waits")
    if done and done.n_steps:
        said = t("data.registering", done=done.step, total=done.n_steps)
    if done and done.eta_s is not None and done.step:
        said += f" · {t('runs.job_left', left=format_duration(done.eta_s))}"
    st.progress(done.fraction if done else 0.0, f"**{plain(_spec_of(job).name)}** · {said}")
    label = t("predict.cancel")
    if st.button(label, icon=":material/stop_circle:", key=f"registration-cancel-{job.id}", disabled=job.cancel_requested):
        with guard():
            runtime.steer(lambda: runtime.queue.cancel_job(runtime.workspace().store, job.id))
            st.rerun(scope="fragment")


def _failure(job: Job) -> None:
    """Why a registration failed, its settings to correct, and the way to be done with it."""
    spec = _spec_of(job)
    st.markdown(t("data.not_registered", name=plain(spec.name)))
    if job.error:
        error_card(PitwallError.from_dict(job.error))
    with st.container(horizontal=True):
        if st.button(t("data.correct_again"), icon=":material/edit:", key=f"registration-again-{job.id}"):
            answers = {name: value for name, value in spec.to_dict().items() if name != "root"}
            with guard():
                found = try_inspection(Path(spec.root), answers=answers)
                refusal = found.error if isinstance(found, Unfinished) else None
                st.session_state[INTAKE_KEY] = Intake(Path(spec.root), found, _next_revision(), answers, refusal)
                st.rerun()
        if st.button(t("data.dismiss"), icon=":material/close:", key=f"registration-dismiss-{job.id}"):
            with guard():
                runtime.steer(lambda: runtime.queue.forget_job(runtime.workspace(), job.id))
                release_source(runtime.workspace(), Path(spec.root))
                st.rerun()
