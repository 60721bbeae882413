"""The parts of the page Train: the recipe in its form, the backbone, what the run will do, and the button that queues it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.shell import runtime, state
from app.shell.tables import facts_of, pairs_of, train_labels_of, truth_of
from app.train.backbones import pick_backbone
from app.train.batch_preview import batch_preview
from app.train.charts import lr_curve, sampled_classes
from app.train.dry_run_card import dry_run_button, dry_run_card, known_forecast, stop_dry_run
from app.train.grid import Start, choose_grid, grid_keys, names_line, start_key, starts
from app.train.plans import plan_box, shipped_plans
from app.train.text_preview import text_preview
from app.train.token_lengths import tokens_view
from app.ui.cards import error_card, guard, section
from app.ui.charts import draw
from app.ui.controls import fold_numbers_key, pick_folds
from app.ui.format import format_duration, plain
from app.ui.forms import settings_form
from app.words.core_text import say
from app.words.text import t
from core.analysis.overview import expected_fold_s
from core.base.errors import PitwallError
from core.base.settings import parse_settings
from core.contest.extra_rows import list_rows, rows_of_recipe
from core.contest.table import count_classes, text_columns
from core.data.compose import check_columns
from core.recipes.advice import brought_by, doubts, propose_prompt, usual_lr
from core.recipes.draft import Draft, drop_draft, save_draft
from core.recipes.levels import propose_coarse
from core.recipes.plan import Backbone, Listed, ReadPlan, any_backbone, load_preset
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run, list_runs, unique_run_name
from core.tracking.tracker import check_trackers
from core.training.schedule import lr_shares, plan_fold
from core.training.task import backbone_of, check_classes

JUST_QUEUED, QUEUED_HERE = "just-queued-runs", "queued_here"


@dataclass(frozen=True)
class RecipeForm:
    """What the form of a recipe holds: the starting point, by its name among all, and plain values that are not yet checked; and the runs that
    the contest has."""

    start: str
    options: Mapping[str, Start]
    values: dict[str, Any]
    key: str
    runs: Sequence[Run]


def recipe_form(contest: Contest) -> RecipeForm:
    """The starting point and the form over it."""
    runs = list_runs(runtime.workspace().store, contest.id)
    options, key = starts(contest, runs), start_key(contest)
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
    key = f"train-{contest.id}-{start}-{st.session_state.get(_turn_key(contest), 0)}"
    follow_optimizer(options[start].recipe, key)
    with st.container(border=True):
        columns = text_columns(runtime.workspace(), contest) if contest.spec.modality == "text" else []
        sets = [rows.name for rows in list_rows(runtime.workspace(), contest)]
        offered = {
            "input.marked_column": columns,
            "input.entity_columns": columns,
            "train.extra_rows": sets,
            "loss.coarse": list(propose_coarse(contest.spec.classes)),
        }
        values = settings_form(options[start].recipe, key, texts="recipe", skip=("model.backbone",), options=offered, columns=3)
    values["model"]["backbone"] = st.session_state.get(f"{key}.model.backbone", values["model"]["backbone"])
    return RecipeForm(start, options, values, key, runs)


def start_again_from(contest: Contest, run: Run) -> None:
    """Let the page Train begin anew with a run's recipe; to be called on another page, before that one is opened."""
    st.session_state[start_key(contest)] = f"run {run.ref}"
    st.session_state[_turn_key(contest)] = st.session_state.get(_turn_key(contest), 0) + 1


def _kept_key(contest: Contest) -> str:
    return f"train-kept-{contest.id}"


def _turn_key(contest: Contest) -> str:
    return f"train-{contest.id}-turn"


def choose_backbone(contest: Contest, form: RecipeForm) -> Listed | None:
    """The catalogue beside the form; what belongs to a backbone follows it, as far as no person has set it (`bring`)."""
    brought = st.session_state.get(f"{form.key}-brought-now", {})
    said = t("train.brought", values=", ".join(f"{t(f'recipe.{path}')} {value:g}" for path, value in brought.items())) if brought else ""
    return pick_backbone(contest.spec.modality, form.values["model"]["backbone"], partial(bring, form), f"train-{contest.id}", said)


def bring(form: RecipeForm, backbone: Backbone) -> None:
    """Make a backbone that of the form, with its size, its learning rate, whether it is pretrained, and its name without hub account and tag,
    where these are still as the start or the backbone before gave them."""
    start, state_ = form.options[form.start].recipe, st.session_state
    optimizer = state_.get(f"{form.key}.optim.optimizer", start.optim.optimizer)
    start = start.model_copy(update={"optim": start.optim.model_copy(update={"optimizer": optimizer})})
    name = re.sub(r"[^\w.\-]+", "-", backbone.short_name)[:60]
    given: dict[str, Any] = state_.setdefault(f"{form.key}-brought", {})
    usual = {path: value for path, _, value in start.leaves()} | given
    now = {path: state_.get(f"{form.key}.{path}", value) for path, value in usual.items()}
    new = {path: value for path, value in {**brought_by(backbone, start), "name": name}.items() if now[path] == usual[path]}
    for path, value in new.items():
        given[path] = state_[f"{form.key}.{path}"] = value
    state_[f"{form.key}.model.backbone"] = backbone.name
    if str(state_.get(adapted := f"{form.key}.model.start_from", start.model.start_from)).startswith("p"):
        state_[adapted] = ""  # what another backbone has learned of the texts
    said = ("input.size_px", "optim.lr", "input.max_tokens")
    state_[f"{form.key}-brought-now"] = {path: value for path, value in new.items() if path in said}


def follow_optimizer(start: Recipe, key: str) -> None:
    """Give another optimiser its usual learning rate, where that is still as the start, the backbone or the optimiser before gave it."""
    state_, path = st.session_state, "optim.lr"
    optimizer = state_.get(f"{key}.optim.optimizer", start.optim.optimizer)
    given: dict[str, Any] = state_.setdefault(f"{key}-brought", {})
    if given.setdefault("optim.optimizer", start.optim.optimizer) == optimizer:
        return
    given["optim.optimizer"] = optimizer
    usual = given.get(path, start.optim.lr)
    if state_.get(f"{key}.{path}", usual) == usual:
        backbone = state_.get(f"{key}.model.backbone", start.model.backbone)
        is_own = (backbone, optimizer) == (start.model.backbone, start.optim.optimizer)
        pretrained = state_.get(f"{key}.model.pretrained", start.model.pretrained)
        lora = state_.get(f"{key}.model.lora", start.model.lora) != "none"
        given[path] = state_[f"{key}.{path}"] = (
            start.optim.lr
            if is_own
            else usual_lr(any_backbone(backbone, runtime.workspace().weights_dir), pretrained=pretrained, optimizer=optimizer, lora=lora)
        )


def queue_view(contest: Contest, selected: Folds, form: RecipeForm, listed: Listed | None) -> None:
    """What the runs will do and on which folds, the button that queues them, the dry run, and what was queued from here."""
    with section(t("train.plan")):
        st.space(1)
    folds = pick_folds(contest) or selected
    plan = st.container()
    is_image = contest.spec.modality == "image"
    rows = st.expander(t("train.batch_title" if is_image else "train.texts_title"), key=f"train-batch-{contest.id}", on_change="rerun")
    numbers = pick_fold_numbers(folds)
    recipe = checked(contest, form.values)
    grid: ReadPlan | None = None
    names: list[str] = []
    if recipe is not None:
        with guard():
            first = replace(form.options[form.start], recipe=recipe)
            grid = choose_grid(contest, first, {name: other for name, other in form.options.items() if name != form.start})
            names = [run.name for run in grid.grid]
        with plan:
            plan_view(contest, folds, recipe, listed, names, form.runs)
        keep_form(contest, folds, recipe)
    with st.container(horizontal=True, gap="small"):
        plan_box(contest, folds, grid, numbers)
        shipped_plans(contest, folds, numbers, lambda read: launch(contest, folds, read, numbers))
        if contest.spec.modality == "text":
            baseline_button(contest, folds, numbers, form.runs)
    with st.container(horizontal=True, gap="small"):
        n_runs, n_trainings = max(1, len(names)), sum(each.train.n_seeds for each in grid.grid) if grid else 1
        n_jobs = n_trainings * len(numbers)
        label = t("train.queue_one") if n_jobs == 1 else t("train.queue_many" if n_trainings == n_runs else "train.queue_seeds", n=n_jobs)
        is_blocked = grid is None or not numbers or runtime.is_read_only()
        pressed = st.button(
            label, type="primary", icon=":material/playlist_add:", width="stretch", disabled=is_blocked, shortcut="Ctrl+Shift+Enter"
        )
        dry_run_button(contest, folds, recipe)
    if pressed and grid is not None and launch(contest, folds, grid, numbers):
        drop_draft(runtime.workspace(), contest)  # it has become the recipe of these runs
    just_queued(contest)
    if runtime.is_read_only():
        st.caption(t("train.read_only"))
    dry_run_card(contest, folds, recipe, numbers, n_runs=n_runs)
    queued_here(contest)
    if rows.open and recipe is not None:
        shows_batch = is_image or (not recipe.model.is_tfidf and choose_texts(rows) == "batch")
        (batch_preview if shows_batch else text_preview)(rows, contest, folds, recipe)
        with rows:
            prompt_button(contest, form, recipe)


def choose_texts(box: DeltaGenerator) -> str:
    """Whether rows of texts are shown as every epoch has them, or as those of a training batch."""
    return box.segmented_control(
        t("train.texts_view"),
        ("rows", "batch"),
        default="rows",
        required=True,
        format_func=lambda name: t(f"train.texts_view_{name}"),
        key="train-texts-view",
        label_visibility="collapsed",
    )


def prompt_button(contest: Contest, form: RecipeForm, recipe: Recipe) -> None:
    """Let the template name the classes behind the text. Offered for language models whose recipe has no template."""
    prompt = propose_prompt(contest.shown_classes, contest.spec.input_columns)
    if prompt and backbone_of(recipe, runtime.workspace().weights_dir).is_decoder and not recipe.input.composes:

        def use() -> None:
            st.session_state[f"{form.key}.input.template"] = prompt

        st.button(t("train.prompt"), icon=":material/format_list_bulleted:", help=t("train.prompt_help"), on_click=use)


def baseline_button(contest: Contest, folds: Folds, fold_numbers: list[int], runs: Sequence[Run]) -> None:
    """Queue TF-IDF with logistic regression as it comes: seconds, without a GPU. Not offered where these folds have such a run."""
    recipes = [run.own_recipe for run in runs if run.folds_id == folds.id]
    if any(recipe and recipe.model.backbone.startswith("tfidf") for recipe in recipes):
        return
    is_blocked = not fold_numbers or runtime.is_read_only()
    pressed = st.button(t("train.baseline"), icon=":material/bolt:", help=t("train.baseline_help"), disabled=is_blocked, width="stretch")
    if pressed and launch(contest, folds, ReadPlan.of([load_preset("text-tfidf")]), fold_numbers):
        st.rerun()


def checked(contest: Contest, values: Mapping[str, Any]) -> Recipe | None:
    """The recipe in the form; a card and None where it cannot be trained here."""
    try:
        recipe = parse_settings(Recipe, values, where=t("train.recipe"))
        backbone_of(recipe, runtime.workspace().weights_dir)
        check_classes(recipe, contest.spec.classes, multilabel=contest.spec.is_multilabel)
        check_columns(recipe.input, text_columns(runtime.workspace(), contest) if recipe.input.composes else ())
        rows_of_recipe(runtime.workspace(), contest, recipe)
        check_trackers(recipe.tracking.trackers)
    except PitwallError as refusal:
        error_card(refusal)
        return None
    return recipe


def plan_view(contest: Contest, folds: Folds, recipe: Recipe, listed: Listed | None, names: Sequence[str], runs: Sequence[Run]) -> None:
    """Rows, steps, weights and the learning-rate curve of the first fold; `names` are those of a grid's runs."""
    n_valid = len(pairs_of(folds).keeping(truth_of(contest).kept).valid_idx(0))
    plan = plan_fold(recipe, train_labels_of(contest, folds, 0, recipe), n_valid, len(contest.spec.classes))
    is_network = backbone_of(recipe, runtime.workspace().weights_dir).library != "sklearn"
    facts = {
        "name": names_line(names) if len(names) > 1 else plain(unique_run_name(runtime.workspace().store, contest.id, recipe.name)),
        "rows": t("train.plan_rows_value", train=plan.epochs.n_rows, valid=plan.n_valid),
        "steps": t("train.plan_steps_value", per=plan.epochs.n_steps, epochs=plan.epochs.n_epochs, all=plan.epochs.total_steps),
        "weights": weights_line(recipe, listed),
        "time": time_line(contest, folds, recipe, runs),
    }
    if not is_network:
        del facts["steps"], facts["weights"]
    st.table({f":gray[{t(f'train.plan_{name}')}]": value for name, value in facts.items()}, border="horizontal", alt=t("train.plan"))
    if not is_network:
        st.caption(t("train.fitted_at_once"))
        return
    for doubt in doubts(recipe, plan.epochs, facts_of(contest), weights_dir=runtime.workspace().weights_dir, has_gpu=runtime.has_gpu()):
        st.caption(f":orange[:material/warning: {plain(say(doubt))}]")
    if recipe.sampling.kind != "none" or recipe.train.extra_rows:
        own = count_classes(train_labels_of(contest, folds, 0), len(contest.spec.classes), multilabel=contest.spec.is_multilabel)
        draw(
            sampled_classes(contest.shown_classes, own, plan.taken_rows, plan.edited_rows),
            key="sampled-classes",
            alt=t("train.sampled_title"),
        )
    if recipe.modality == "text":
        tokens_view(contest, recipe)
    n_groups, n_frozen, n_probe = (
        backbone_of(recipe, runtime.workspace().weights_dir).n_groups,
        recipe.model.freeze,
        recipe.train.probe_epochs,
    )
    shares = lr_shares(recipe, n_groups)
    draw(lr_curve(plan.curve_epochs, plan.curve_lr, shares, probe_epochs=n_probe), key="lr-curve", alt=t("train.chart_title"))
    notes = (
        t("train.chart_layers", n=len(shares)) if len(shares) > 1 else "",
        t("train.chart_frozen", n=n_frozen, of=n_groups) if n_frozen else "",
        t("train.chart_probe", n=n_probe) if n_probe else "",
    )
    if said := " ".join(filter(None, notes)):
        st.caption(said)


def keep_form(contest: Contest, folds: Folds, recipe: Recipe) -> None:
    """Keep what the page holds beside the contest once it differs from what it began with, so that a reload finds it."""
    keys = (*grid_keys(contest), fold_numbers_key(folds))
    controls = {key: st.session_state[key] for key in keys if st.session_state.get(key) is not None}
    now, kept_key = Draft(recipe, controls), _kept_key(contest)
    if st.session_state.setdefault(kept_key, now) != now and not runtime.is_read_only():
        st.session_state[kept_key] = now
        save_draft(runtime.workspace(), contest, now)


def time_line(contest: Contest, folds: Folds, recipe: Recipe, runs: Sequence[Run]) -> str:
    """How long one fold will take, as far as a dry run or a run like it says; one that was disturbed only where nothing else does."""
    tried = known_forecast(contest, folds, recipe)
    expected = expected_fold_s(runs, recipe)
    if tried is not None and (expected is None or not tried.is_disturbed):
        return t("train.plan_time_tried", time=format_duration(tried.fold_s(0)))
    if expected is None:
        return t("train.plan_time_unknown")
    return t("train.plan_time_value", time=format_duration(expected[0]), name=plain(expected[1].name))


def weights_line(recipe: Recipe, listed: Listed | None) -> str:
    """Where the network's first weights will come from."""
    if start := recipe.model.start_from:
        return t("train.plan_weights_adapted" if start.startswith("p") else "train.plan_weights_run", run=start)
    place = listed.place if listed else None
    if place is None or not recipe.model.pretrained:
        return t("train.plan_weights_fetch" if recipe.model.pretrained else "train.plan_weights_nothing")
    return t("train.plan_weights_here", place=t(f"train.place_{place}"))


def pick_fold_numbers(folds: Folds) -> list[int]:
    """Which folds to train, counted from 0; all at first."""
    everything, key = list(range(folds.n_folds)), fold_numbers_key(folds)
    if not set(before := st.session_state.get(key) or ()) <= set(everything):
        st.session_state[key] = [number for number in everything if number in before]
    with st.container(gap="xxsmall"):
        chosen = st.pills(t("train.fold_picker"), everything, selection_mode="multi", default=everything, key=key)
        if len(chosen) < folds.n_folds:
            st.caption(t("train.fold_picker_note"))
    return sorted(chosen)


def launch(contest: Contest, folds: Folds, grid: ReadPlan, fold_numbers: list[int]) -> bool:
    """Queue the runs and remember them for the list of what was queued from here; False where that was refused, with its card."""
    stop_dry_run()
    with guard():
        runs = runtime.steer(lambda: runtime.launch.launch_plan(runtime.workspace(), contest, folds, grid, fold_numbers=fold_numbers))
        st.session_state[QUEUED_HERE] = [run.id for run in reversed(runs)] + st.session_state.get(QUEUED_HERE, [])
        st.session_state[JUST_QUEUED] = [run.id for run in runs]
        return True
    return False


def _remembered(contest: Contest, key: str) -> list[Run]:
    """Those of the runs that the session holds by id under `key` that are there and of this contest."""
    ids: list[int] = st.session_state.get(key, [])
    known = {run.id: run for run in list_runs(runtime.workspace().store, contest.id)} if ids else {}
    return [known[run_id] for run_id in ids if run_id in known]


def just_queued(contest: Contest) -> None:
    """What the last press queued, with the button that takes it back, as long as any of it waits or runs."""
    runs = _remembered(contest, JUST_QUEUED)
    if not any(run.state in ("queued", "running") for run in runs):
        return
    with st.container(key="just-queued", border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        names = names_line([run.name for run in runs])
        parts = [part for run in runs for part in run.parts if part.created_at >= run.created_at]  # those before it were there
        key = "train.queued_seeds" if any(run.seeds for run in runs) else "train.queued"
        st.markdown(t(key, name=names, n=sum(len(part.fold_numbers) for part in parts)), width="content")
        undoes = st.button(t("train.undo"), icon=":material/undo:", key="undo-queued")
    if undoes:
        take_back(contest, runs)


def take_back(contest: Contest, runs: Sequence[Run]) -> None:
    """Undo a launch: its runs go into the trash, those with a finished fold are canceled; the form is kept again."""
    with guard(), st.spinner(t("train.undoing")):
        stay = runtime.steer(lambda: runtime.queue.take_back(runtime.workspace(), [run.id for run in runs]))
        del st.session_state[JUST_QUEUED]
        st.session_state[_kept_key(contest)] = None
        st.toast(t("train.undone_partly", names=names_line([run.name for run in stay])) if stay else t("train.undone"))
        st.rerun()


def queued_here(contest: Contest) -> None:
    """The runs that this session queued for this contest, each a link to its progress."""
    runs = _remembered(contest, QUEUED_HERE)
    if runs:
        section(t("train.queued_here"))
    with st.container(gap="xxsmall"):
        for run in runs[:6]:
            link = t("train.see_run", name=plain(run.name), n=len(run.fold_numbers))
            st.page_link(state.PAGES_DIR / "runs.py", label=link, icon=":material/monitoring:", query_params=state.link_params(run=run.ref))
