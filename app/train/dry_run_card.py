"""The dry run on the page Train: a button, what it is doing, and what it found. A session remembers its answers.

The work is done by a process that goes on while the person is on another page; a fragment asks how far it is.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from app.shell import runtime
from app.shell.runtime import DryRun, Forecast, Neighbour, Outlook, When
from app.shell.tables import facts_of, train_labels_of
from app.train.token_lengths import lengths_line
from app.ui.cards import error_card
from app.ui.format import format_clock, format_duration, plain
from app.words.core_text import say
from app.words.text import t
from core.base.errors import DiskFull, OutOfMemory, PitwallError
from core.recipes.advice import doubts
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.store.folds import Folds
from core.training.schedule import plan_epochs

ANSWERS_KEY, UNDER_WAY_KEY, DEVICE_KEY = "dry-run-answers", "dry-run-under-way", "dry-run-device"
LOOK_S, FRESH_S = 1.0, 20.0
Key = tuple[str, ...]


@dataclass(frozen=True)
class UnderWay:
    """The dry run of this session that is not over, and what it is of."""

    key: Key
    of: tuple[Contest, Folds, Recipe]
    dry_run: DryRun


def dry_run_button(contest: Contest, folds: Folds, recipe: Recipe | None) -> None:
    """The button that starts one; while one of the same recipe is under way it cannot be pressed again."""
    under_way = _collected()
    again = recipe is not None and under_way is not None and under_way.key == _key(contest, folds, recipe)
    st.button(
        t("dry_run.button"),
        icon=":material/speed:",
        help=t("dry_run.button_help"),
        disabled=recipe is None or again,
        key="dry-run-start",
        width="stretch",
        shortcut="D",
        on_click=_start,
        args=(contest, folds, recipe),
    )


def dry_run_card(contest: Contest, folds: Folds, recipe: Recipe | None, fold_numbers: Sequence[int], *, n_runs: int = 1) -> None:
    """What is under way, and what is known of this recipe on these folds and this device; nothing where nothing is.

    `n_runs` will be queued at once; what is known is of the one in the form.
    """
    devices = runtime.tried_devices()
    if len(devices) > 1:
        st.selectbox(
            t("dry_run.device"),
            devices,
            format_func=lambda device: t("dry_run.title", device=device),
            key=DEVICE_KEY,
            persist_state="session",
            required=True,
            label_visibility="collapsed",
        )
    if _collected() is not None:
        st.fragment(_working, run_every=LOOK_S)()
    if recipe is None or not fold_numbers:
        return
    answer = _answers().get(_key(contest, folds, recipe))
    if isinstance(answer, PitwallError):
        error_card(answer)
    elif answer is not None:
        st.fragment(_found, run_every=FRESH_S)(contest, folds, recipe, tuple(fold_numbers), answer, n_runs)


def known_forecast(contest: Contest, folds: Folds, recipe: Recipe) -> Forecast | None:
    """What this session's dry run of the recipe has found."""
    _collected()
    answer = _answers().get(_key(contest, folds, recipe))
    return answer if isinstance(answer, Forecast) else None


def stop_dry_run() -> None:
    """End the one that is under way; a run that is queued now should not have it beside it."""
    under_way: UnderWay | None = st.session_state.pop(UNDER_WAY_KEY, None)
    if under_way is not None:
        under_way.dry_run.stop()


def _start(contest: Contest, folds: Folds, recipe: Recipe, when: When | None = None) -> None:
    stop_dry_run()
    key = _key(contest, folds, recipe)
    _answers().pop(key, None)
    dry_run = runtime.start_dry_run(contest, folds, recipe, key[-1], when)
    st.session_state[UNDER_WAY_KEY] = UnderWay(key, (contest, folds, recipe), dry_run)


def _collected() -> UnderWay | None:
    """The one that is under way; the answer of one that is over is put with the others first."""
    under_way: UnderWay | None = st.session_state.get(UNDER_WAY_KEY)
    status = under_way.dry_run.status() if under_way is not None else None
    answer = (status.forecast or status.error) if status is not None else None
    if under_way is None or answer is None:
        return under_way
    _answers()[under_way.key] = answer
    del st.session_state[UNDER_WAY_KEY]
    return None


def _working() -> None:
    """How far it is; when it is over, the whole page is drawn anew."""
    under_way = _collected()
    if under_way is None:
        st.rerun()
    status = under_way.dry_run.status()
    name, device = plain(under_way.of[2].name), plain(under_way.dry_run.device)
    said = t(f"dry_run.{status.phase}", name=name, device=device, time=format_duration(status.elapsed_s))
    box = st.status(said, state="running", expanded=True)  # not as a context: its end would say that all is done
    jobs = _jobs(status.busy_with)
    box.caption(t("dry_run.waits_for", jobs=jobs) if jobs else t("dry_run.may_leave"))
    buttons = box.container(horizontal=True)
    if status.phase == "waiting":
        buttons.button(t("dry_run.now"), key="dry-run-now", on_click=_start, args=(*under_way.of, "now"))
    buttons.button(t("dry_run.stop"), key="dry-run-stop", on_click=stop_dry_run)


def _found(contest: Contest, folds: Folds, recipe: Recipe, fold_numbers: Sequence[int], forecast: Forecast, n_runs: int) -> None:
    outlook = runtime.outlook(forecast, recipe, fold_numbers)
    with st.container(key="dry-run-found", border=True, gap="xsmall"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(f"**{t('dry_run.title', device=plain(forecast.device))}**", width="content")
            plan = plan_epochs(recipe, train_labels_of(contest, folds, fold_numbers[0], recipe))
            doubted = doubts(recipe, plan, facts_of(contest), weights_dir=runtime.workspace().weights_dir, has_gpu=forecast.device != "cpu")
            word, color = ("fits_not", "red") if outlook.problems else ("fits_doubted", "orange") if doubted else ("fits", "green")
            st.badge(t(f"dry_run.{word}"), color=color)
        lines = _lines(outlook)
        st.table({f":gray[{t(f'dry_run.row_{name}')}]": value for name, value in lines.items()}, border="horizontal", alt=t("dry_run.alt"))
        if n_runs > 1:
            st.caption(t("dry_run.of_one", n=n_runs))
        for doubt in doubted:
            st.caption(f":orange[{plain(say(doubt))}]")
        _notes(recipe, outlook)
        if forecast.busy_with:
            st.button(
                t("dry_run.when_free"),
                key="dry-run-free",
                type="tertiary",
                icon=":material/schedule:",
                on_click=_start,
                args=(contest, folds, recipe, "free"),
            )
        for problem in outlook.problems:
            error_card(problem)


def _lines(outlook: Outlook) -> dict[str, str]:
    """The rows of the card; red where something does not fit."""
    forecast, costs, size = outlook.forecast, outlook.forecast.costs, runtime.size_text
    kinds = {type(problem) for problem in outlook.problems}
    memory_key = "memory_free" if outlook.memory_limit_bytes == costs.free_bytes else "memory_all"
    memory = t(f"dry_run.{memory_key}", needed=size(outlook.memory_bytes), limit=size(outlook.memory_limit_bytes))
    run, n = format_duration(outlook.run_s), len(outlook.fold_s) * outlook.n_seeds
    paused = "dry_run.end_unknown" if any(device.hold is None for device in runtime.status().devices) else "dry_run.end_paused"
    end = t(paused) if outlook.end_s is None else t("dry_run.end", clock=format_clock(time.time() + outlook.end_s))
    disk = t("dry_run.disk", needed=size(outlook.disk_bytes), free=size(outlook.disk_free_bytes))
    return {
        "memory": f":red[**{memory}**]" if OutOfMemory in kinds else memory,
        "epoch": t("dry_run.epoch", time=_fine_duration(forecast.epoch_s), step=_fine_duration(costs.step_s)),
        "fold": t("dry_run.fold" if n > 1 else "dry_run.fold_one", time=format_duration(max(outlook.fold_s)), run=run, n=n),
        "end": end,
        "disk": f":red[**{disk}**]" if DiskFull in kinds else disk,
        "computed": t("dry_run.computed", rows=costs.micro_batch, precision=costs.precision),
    }


def _notes(recipe: Recipe, outlook: Outlook) -> None:
    """What must be known to read the rows."""
    forecast, costs = outlook.forecast, outlook.forecast.costs
    if outlook.n_at_once > 1:
        each = runtime.size_text(outlook.memory_bytes / outlook.n_at_once)
        st.caption(t("dry_run.at_once", n=outlook.n_at_once, each=each))
    if costs.tokens is not None:
        st.caption(lengths_line(costs.tokens, recipe))
    warnings: list[str] = []
    if costs.halvings:
        accumulate = recipe.train.accumulate * 2**costs.halvings
        warnings.append(t("dry_run.halved", rows=costs.micro_batch, batch=costs.batch_size, accumulate=accumulate))
    if forecast.busy_with:
        warnings.append(t("dry_run.busy", device=plain(forecast.device), jobs=_jobs(forecast.busy_with)))
    elif forecast.is_disturbed and costs.others is not None:
        warnings.append(t("dry_run.others", share=costs.others))
    for warning in warnings:
        st.caption(f":orange[{warning}]")


def _jobs(jobs: Sequence[Neighbour]) -> str:
    return ", ".join(t("dry_run.job", owner=plain(job.owner), title=plain(say(job.title))) for job in jobs)


def _key(contest: Contest, folds: Folds, recipe: Recipe) -> Key:
    """What an answer depends on; its last part is the device that is chosen."""
    chosen, devices = st.session_state.get(DEVICE_KEY), runtime.tried_devices()
    return contest.version, folds.fingerprint, recipe.fingerprint, chosen if chosen in devices else devices[0]


def _answers() -> dict[Key, Forecast | PitwallError]:
    return st.session_state.setdefault(ANSWERS_KEY, {})


def _fine_duration(seconds: float) -> str:
    """A length of time with two digits also below ten seconds: `87 ms`, `2.4 s`."""
    if seconds < 1:
        return t("dry_run.milliseconds", n=round(seconds * 1000))
    return t("dry_run.seconds", n=seconds) if seconds < 9.95 else format_duration(seconds)
