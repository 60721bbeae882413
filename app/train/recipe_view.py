"""The parts of the page Train: the recipe in its form, the backbone, what the run will do, and the button that queues it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import streamlit as st

from app.shell import runtime, state
from app.shell.tables import pairs_of, truth_of
from app.train.dry_run_card import dry_run_button, dry_run_card, known_forecast, stop_dry_run
from app.train.grid import Start, choose_grid, names_line, plan_box, starts
from app.ui.cards import error_card, guard, section
from app.ui.charts import draw, lr_curve
from app.ui.controls import fold_numbers_key, pick_folds
from app.ui.format import format_duration, plain
from app.ui.forms import settings_form
from app.words.core_text import say
from app.words.text import t
from core.analysis.overview import expected_fold_s
from core.base.errors import PitwallError
from core.base.settings import parse_settings
from core.recipes.plan import Backbone, Listed, ReadPlan, filter_backbones, list_backbones
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import list_runs, unique_run_name
from core.tracking.tracker import check_trackers
from core.training.schedule import plan_fold
from core.training.task import backbone_of

MOST_SHOWN = 300
PARAMS_M = (5, 10, 25, 50, 100, 200, 500, 1000)


@dataclass(frozen=True)
class RecipeForm:
    """What the form of a recipe holds: the starting point, by its name among all, and plain values that are not yet checked."""

    start: str
    options: Mapping[str, Start]
    values: dict[str, Any]
    key: str


def recipe_form(contest: Contest) -> RecipeForm:
    """The starting point and the form over it."""
    options, key = starts(contest), f"train-{contest.id}-start"
    with section(t("train.recipe")):
        start = st.selectbox(
            t("train.start_from"),
            list(options),
            format_func=lambda name: options[name].label,
            key=key,
            persist_state="session",
            label_visibility="collapsed",
            width=230,
            required=True,
        )
    key = f"train-{contest.id}-{start}"
    with st.container(border=True):
        values = settings_form(options[start].recipe, key, texts="recipe", skip=("model.backbone",))
    values["model"]["backbone"] = st.session_state.get(f"{key}-backbone", values["model"]["backbone"])
    return RecipeForm(start, options, values, key)


def choose_backbone(contest: Contest, form: RecipeForm) -> Listed | None:
    """The catalogue beside the form; a name of the run that nobody typed follows the backbone, without hub account and pretraining tag."""

    def take(backbone: Backbone) -> None:
        suggested = st.session_state.get(f"{form.key}-suggested", form.values["name"])
        if st.session_state.get(f"{form.key}.name") in (suggested, form.options[form.start].recipe.name):
            suggested = re.sub(r"[^\w.\-가-힣]+", "-", backbone.name.rpartition("/")[2].partition(".")[0])[:60]
            st.session_state[f"{form.key}-suggested"] = st.session_state[f"{form.key}.name"] = suggested
        st.session_state[f"{form.key}-backbone"] = backbone.name

    return pick_backbone(contest.spec.modality, form.values["model"]["backbone"], take, f"train-{contest.id}")


def queue_view(contest: Contest, selected: Folds, form: RecipeForm, listed: Listed | None) -> None:
    """What the runs will do and on which folds, the button that queues them, the dry run, and what was queued from here."""
    with section(t("train.plan")):
        st.space(1)
    folds = pick_folds(contest) or selected
    plan = st.container()
    numbers = pick_fold_numbers(folds)
    recipe = checked(form.values)
    grid: ReadPlan | None = None
    names: list[str] = []
    if recipe is not None:
        with guard():
            first = replace(form.options[form.start], recipe=recipe)
            grid = choose_grid(contest, first, {name: other for name, other in form.options.items() if name != form.start})
            names = [run.name for run in grid.grid]
        with plan:
            plan_view(contest, folds, recipe, listed, names)
    plan_box(contest, folds, grid, numbers, f"train-{contest.id}-start")
    with st.container(horizontal=True, gap="small"):
        n_jobs = max(1, len(names)) * len(numbers)
        label = t("train.queue_one") if n_jobs == 1 else t("train.queue_many", n=n_jobs)
        is_blocked = grid is None or not numbers or runtime.is_read_only()
        pressed = st.button(label, type="primary", icon=":material/playlist_add:", width="stretch", disabled=is_blocked, shortcut="Q")
        dry_run_button(contest, folds, recipe)
    if pressed and grid is not None:
        launch(contest, folds, grid, numbers)
    if runtime.is_read_only():
        st.caption(t("train.read_only"))
    dry_run_card(contest, folds, recipe, numbers, n_runs=max(1, len(names)))
    queued_here(contest)


def checked(values: Mapping[str, Any]) -> Recipe | None:
    """The recipe in the form; a card and None where it cannot be trained here."""
    try:
        recipe = parse_settings(Recipe, values, where=t("train.recipe"))
        backbone_of(recipe)
        check_trackers(recipe.tracking.trackers)
    except PitwallError as refusal:
        error_card(refusal)
        return None
    return recipe


def plan_view(contest: Contest, folds: Folds, recipe: Recipe, listed: Listed | None, names: Sequence[str]) -> None:
    """Rows, steps, weights and the learning-rate curve of the first fold; `names` are those of a grid's runs."""
    pairs = pairs_of(folds).keeping(truth_of(contest).kept)
    plan = plan_fold(recipe, len(pairs.train_idx(0)), len(pairs.valid_idx(0)))
    facts = {
        "name": names_line(names) if len(names) > 1 else plain(unique_run_name(runtime.workspace().store, contest.id, recipe.name)),
        "rows": t("train.plan_rows_value", train=plan.epochs.n_rows, valid=plan.n_valid),
        "steps": t("train.plan_steps_value", per=plan.epochs.n_steps, epochs=plan.epochs.n_epochs, all=plan.epochs.total_steps),
        "weights": weights_line(recipe, listed),
        "time": time_line(contest, folds, recipe),
    }
    st.table({f":gray[{t(f'train.plan_{name}')}]": value for name, value in facts.items()}, border="horizontal", alt=t("train.plan"))
    draw(lr_curve(plan.curve_epochs, plan.curve_lr), key="lr-curve", alt=t("train.chart_title"))


def time_line(contest: Contest, folds: Folds, recipe: Recipe) -> str:
    """How long one fold will take, as far as a dry run or a run like it says; one that was disturbed only where nothing else does."""
    tried = known_forecast(contest, folds, recipe)
    expected = expected_fold_s(list_runs(runtime.workspace().store, contest.id), recipe)
    if tried is not None and (expected is None or not tried.is_disturbed):
        return t("train.plan_time_tried", time=format_duration(tried.fold_s(0)))
    if expected is None:
        return t("train.plan_time_unknown")
    return t("train.plan_time_value", time=format_duration(expected[0]), name=plain(expected[1].name))


def weights_line(recipe: Recipe, listed: Listed | None) -> str:
    """Where the network's first weights will come from."""
    if recipe.model.start_from:
        return t("train.plan_weights_run", run=recipe.model.start_from)
    place = listed.place if listed else None
    if place is None or not recipe.model.pretrained:
        return t("train.plan_weights_fetch" if recipe.model.pretrained else "train.plan_weights_nothing")
    return t("train.plan_weights_here", place=t(f"train.place_{place}"))


def pick_fold_numbers(folds: Folds) -> list[int]:
    """Which folds to train, counted from 0; all at first."""
    everything = list(range(folds.n_folds))
    with st.container(gap="xxsmall"):
        chosen = st.pills(t("train.fold_picker"), everything, selection_mode="multi", default=everything, key=fold_numbers_key(folds))
        if len(chosen) < folds.n_folds:
            st.caption(t("train.fold_picker_note"))
    return sorted(chosen)


def launch(contest: Contest, folds: Folds, grid: ReadPlan, fold_numbers: list[int]) -> None:
    """Queue the runs and remember them for the list of what was queued from here."""
    stop_dry_run()
    with guard():
        runs = runtime.steer(lambda: runtime.queue.launch_plan(runtime.workspace(), contest, folds, grid, fold_numbers=fold_numbers))
        st.session_state["queued_here"] = [run.id for run in reversed(runs)] + st.session_state.get("queued_here", [])
        names = names_line([run.name for run in runs])
        st.toast(t("train.queued", name=names, n=len(runs) * len(fold_numbers)), icon=":material/check:")


def queued_here(contest: Contest) -> None:
    """The runs that this session queued for this contest, each a link to its progress."""
    known = {run.id: run for run in list_runs(runtime.workspace().store, contest.id)}
    runs = [known[run_id] for run_id in st.session_state.get("queued_here", []) if run_id in known]
    if runs:
        section(t("train.queued_here"))
    with st.container(gap="xxsmall"):
        for run in runs[:6]:
            link = t("train.see_run", name=plain(run.name), n=len(run.fold_numbers))
            st.page_link(state.PAGES_DIR / "runs.py", label=link, icon=":material/monitoring:", query_params=state.link_params(run=run.ref))


def pick_backbone(modality: str, chosen: str, on_pick: Callable[[Backbone], None], key: str) -> Listed | None:
    """Draw the picker and return the chosen backbone as it stands in the catalogue (None for a name that is not there).

    `on_pick` is called with the new backbone when a row is clicked, before the page is drawn again.
    """
    catalogue = _catalogue(modality, str(runtime.workspace().root))
    current = next((one for one in catalogue if one.backbone.name.partition(".")[0] == chosen or one.backbone.name == chosen), None)
    with section(t("train.backbone")):
        filters = _filters(catalogue, modality, key)
    if current is not None:
        _card(current)
    text = st.text_input(
        t("train.search"),
        placeholder=t(f"train.search_{modality}", n=len(catalogue)),
        type="search",
        live="250ms",
        key=f"{key}-text",
        label_visibility="collapsed",
        persist_state="session",
    )
    found = filter_backbones(catalogue, text or "", **filters)
    shown = found[:MOST_SHOWN]
    if not shown:
        st.caption(t("train.found_none"))
        return current

    def picked() -> None:
        cells = st.session_state[f"{key}-table"].selection.cells
        if cells:
            on_pick(shown[cells[0][0]].backbone)

    frame, columns = _table(shown, modality)
    st.dataframe(
        frame,
        key=f"{key}-table",
        on_select=picked,
        selection_mode="single-cell",
        hide_index=True,
        height=min(392, 30 + 28 * (len(shown) + 1)),
        row_height=28,
        alt=t("train.backbone"),
        column_config=columns,
    )
    cut = len(found) > len(shown)
    st.caption(t("train.found_cut" if cut else "train.found", shown=len(shown), found=len(found), total=len(catalogue)))
    return current


@st.cache_data(ttl=20, max_entries=4, show_spinner=False)
def _catalogue(modality: str, _root: str) -> tuple[Listed, ...]:
    """All backbones of a modality and where their weights are, looked up again every twenty seconds."""
    return list_backbones(runtime.workspace(), modality)


def place_label(one: Listed) -> str:
    """Where the weights of a backbone are, in a word."""
    return t(f"train.place_{one.place or 'hub'}" if one.backbone.has_pretrained else "train.place_none")


def _filters(catalogue: Sequence[Listed], modality: str, key: str) -> dict[str, Any]:
    def choose(name: str, options: Sequence[Any]) -> Any:
        label, any_of = t(f"train.filter_{name}"), t("train.filter_any")
        return st.selectbox(label, options, index=None, placeholder=any_of, key=f"{key}-{name}", persist_state="session")

    backbones = [one.backbone for one in catalogue]
    only_here = st.toggle(t("train.filter_here"), key=f"{key}-here", persist_state="session")
    with st.popover(t("train.filters"), icon=":material/filter_list:"):
        family = choose("family", sorted({backbone.family for backbone in backbones}))
        params = choose("params", PARAMS_M)
        px = choose("px", sorted({backbone.input_px for backbone in backbones})) if modality == "image" else None
    return {"family": family, "max_params_m": params, "input_px": px, "only_here": only_here}


def _card(one: Listed) -> None:
    backbone = one.backbone
    with st.container(border=True, gap="xxsmall", key="backbone-card"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="small"):
            st.markdown(f"**{plain(backbone.name)}**", width="content")
            st.badge(place_label(one), color="green" if one.place else "gray")
        key = f"train.chosen_size_{backbone.modality}" if backbone.has_pretrained else "train.chosen_from_nothing"
        sizes = {"params": backbone.params_m, "px": backbone.input_px, "tokens": backbone.max_tokens}
        st.caption(t(key, **sizes, licence=plain(backbone.licence)))
        if backbone.note:
            st.caption(plain(say(backbone.note)))


def _table(shown: Sequence[Listed], modality: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The rows of the catalogue, and how its columns are shown."""
    is_image, config = modality == "image", st.column_config
    columns = {
        "name": [one.backbone.name for one in shown],
        "params": [one.backbone.params_m for one in shown],
        "size": [one.backbone.input_px if is_image else one.backbone.max_tokens for one in shown],
        "here": [place_label(one) if one.place or not one.backbone.has_pretrained else "" for one in shown],
        "family": [one.backbone.family for one in shown],
    }
    return pd.DataFrame(columns), {
        "name": config.TextColumn(t("train.col_name"), width=252),
        "params": config.NumberColumn(t("train.col_params"), help=t("train.col_params_help"), format="%.1f", width=52),
        "size": config.NumberColumn(t("train.col_px" if is_image else "train.col_tokens"), format="%d", width=52),
        "here": config.TextColumn(t("train.col_here"), width=64),
        "family": config.TextColumn(t("train.col_family"), width=70),
    }
