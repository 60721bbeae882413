"""Plans on the page Train: a file of what stands on the page, saved and loaded, and the plans that come with Pitwall, queued as they are."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import streamlit as st

from app.shell import runtime
from app.shell.runtime import PlannedRun, PlanOutlook
from app.shell.tables import facts_of, train_labels_of
from app.train.grid import LoadedPlan, grid_keys, loaded_plan, start_key
from app.ui.cards import error_card, guard
from app.ui.controls import fold_numbers_key, show_folds
from app.ui.format import format_duration, plain, short_hash
from app.words.core_text import say
from app.words.text import t
from core.base.errors import PitwallError
from core.base.names import file_name
from core.recipes.advice import all_read
from core.recipes.plan import ReadPlan, list_plans, load_plan, parse_plan, plan_text
from core.store.contests import Contest
from core.store.folds import Folds


def plan_box(contest: Contest, folds: Folds, shown: ReadPlan | None, numbers: Sequence[int]) -> None:
    """Load a plan file, and save `shown` over these folds as one; None where the form holds nothing that can be trained."""
    box = st.popover(t("train.plan_file"), icon=":material/description:", width="stretch", key=f"plan-file-{contest.id}", on_change="rerun")
    if not box.open:
        return
    with box:
        upload_key, refused_key = f"plan-upload-{contest.id}", f"plan-refused-{contest.id}"
        st.file_uploader(
            t("train.plan_load"),
            type=["yaml", "yml"],
            help=t("train.plan_load_help"),
            key=upload_key,
            max_upload_size=1,
            on_change=lambda: _load(contest, folds, upload_key, refused_key),
        )
        if refused_key in st.session_state:
            error_card(st.session_state[refused_key])
        text, name = "", ""
        if shown is not None:
            some = tuple(numbers) if len(numbers) < folds.n_folds else ()
            plan = shown.plan.model_copy(update={"folds": runtime.launch.spec_of_folds(runtime.workspace(), folds), "fold_numbers": some})
            text, name = plan_text(plan), plan.name
        st.download_button(
            t("train.plan_save"),
            text,
            file_name(name, suffix=".yaml"),
            "application/yaml",
            help=t("train.plan_save_help"),
            on_click="ignore",
            icon=":material/download:",
            width="stretch",
            disabled=not text,
        )


def _load(contest: Contest, folds: Folds, upload_key: str, refused_key: str) -> None:
    """Put an uploaded plan where a person would have typed it: first recipe, further recipes, seeds, folds."""
    st.session_state.pop(refused_key, None)
    upload = st.session_state[upload_key]
    if upload is None:
        return
    try:
        read = parse_plan(upload.getvalue(), contest.spec.modality, runtime.workspace().weights_dir, where=upload.name)
        made = runtime.launch.make_folds_of(runtime.workspace(), contest, read)
    except PitwallError as refusal:
        st.session_state[refused_key] = refusal
        return
    before = loaded_plan(contest)
    plan = st.session_state[f"plan-{contest.id}"] = LoadedPlan(read, before.number + 1 if before else 1)
    seeds_at, recipes_at = grid_keys(contest)
    st.session_state[start_key(contest)], *st.session_state[recipes_at] = plan.names
    st.session_state[seeds_at] = ", ".join(map(str, read.plan.seeds))
    if made is not None:
        show_folds(contest, made)
    chosen = made or folds
    st.session_state[fold_numbers_key(chosen)] = list(read.plan.fold_numbers or range(chosen.n_folds))


def shipped_plans(contest: Contest, folds: Folds, numbers: Sequence[int], launch: Callable[[ReadPlan], bool]) -> None:
    """A button for each plan that comes along for such rows, in their language; it says what would be queued, and asks. `launch` queues it,
    and says whether it could."""
    for name in list_plans(contest.spec.modality):
        read = _shipped(name, contest.spec.modality, runtime.workspace().weights_dir)
        if not all_read(read.recipes, facts_of(contest)):
            continue
        pressed = st.button(
            t("train.plan_queue", name=name),
            icon=":material/playlist_add:",
            help=t("train.plan_queue_help"),
            width="stretch",
            disabled=not numbers or runtime.is_read_only(),
            key=f"plan-queue-{name}",
        )
        if pressed:
            with guard():
                _ask(contest, folds, numbers, read, launch)


@cache
def _shipped(name: str, modality: str, weights_dir: Path) -> ReadPlan:
    return load_plan(Path(name), modality, weights_dir)


def _ask(contest: Contest, folds: Folds, numbers: Sequence[int], read: ReadPlan, launch: Callable[[ReadPlan], bool]) -> None:
    seen = runtime.look_at_plan(
        runtime.workspace(),
        contest,
        folds,
        read,
        numbers,
        labels=train_labels_of(contest, folds, numbers[0]),
        facts=facts_of(contest),
        has_gpu=runtime.has_gpu(),
    )

    @st.dialog(t("train.plan_queue", name=plain(read.plan.name)), width="large")
    def dialog() -> None:
        n_runs, n_folds = len(seen.runs), len(numbers)
        st.markdown(t("train.plan_what", runs=n_runs, folds=n_folds, jobs=n_runs * n_folds, hash=short_hash(folds.fingerprint)))
        _table(seen, read.run_weights)
        with st.container(gap="xsmall"):
            _notes(seen)
        with st.container(horizontal=True, horizontal_alignment="right"):
            if st.button(t("train.plan_no")):
                st.rerun()
            is_yes = st.button(t("train.queue_many", n=n_runs * n_folds), type="primary", key="plan-queue-yes")
        if is_yes and launch(read):
            st.rerun()

    dialog()


def _table(seen: PlanOutlook, weights: Sequence[float]) -> None:
    is_image = seen.runs[0].recipe.modality == "image"
    columns = {
        t("train.col_run"): [plain(run.recipe.name) for run in seen.runs],
        t("train.backbone"): [plain(run.recipe.model.backbone) for run in seen.runs],
        t("train.col_px" if is_image else "train.col_tokens"): [
            str(run.recipe.input.size_px if is_image else run.recipe.input.max_tokens) for run in seen.runs
        ],
        t("train.col_weight"): [f"{weight:.0%}" for weight in weights],
        t("train.col_here"): [t(f"train.place_{run.place or ('hub' if run.fetches else 'none')}") for run in seen.runs],
        t("train.plan_time"): [format_duration(run.fold_s) for run in seen.runs],
    }
    st.table({name: cells for name, cells in columns.items() if cells}, border="horizontal", hide_index=True)


def _notes(seen: PlanOutlook) -> None:
    """What it takes in all, and what speaks against it on this machine, each sentence once with the runs that it is about."""
    all_s, afters = seen.seconds(len(runtime.devices())), dict.fromkeys(run.after.name for run in seen.runs if run.after is not None)
    size = runtime.size_text
    st.caption(
        t("train.plan_takes", time=format_duration(all_s), name=plain(", ".join(afters)))
        if all_s is not None
        else t("train.plan_takes_unknown")
    )
    disk = t("train.plan_disk", needed=size(seen.disk_bytes), free=size(seen.free_bytes))
    st.caption(disk if seen.disk_bytes <= seen.free_bytes else f":red[:material/error: {disk}]")
    fetched = [run for run in seen.runs if run.fetches and not run.problems]
    if fetched:
        st.caption(t("train.plan_fetches", names=_names(fetched)))
    for color, icon, kind in (("red", "error", "problems"), ("orange", "warning", "doubts")):
        said: dict[str, list[PlannedRun]] = {}
        for run in seen.runs:
            for sentence in getattr(run, kind):
                said.setdefault(plain(say(sentence)), []).append(run)
        for sentence, runs in said.items():
            st.caption(f":{color}[:material/{icon}: {_names(runs)}: {sentence}]")


def _names(runs: Sequence[PlannedRun]) -> str:
    return ", ".join(plain(run.recipe.name) for run in runs)
