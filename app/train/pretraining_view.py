"""On the page Train, under the backbone: it goes on learning from the contest's texts (TAPT), and runs start from what it became."""

from collections.abc import Callable, Sequence

import pandas as pd
import streamlit as st

from app.shell import runtime
from app.train.charts import held_out_curve
from app.train.recipe_view import RecipeForm, bring, launch
from app.ui.cards import error_card, guard
from app.ui.charts import draw
from app.ui.format import format_duration, plain, state_label
from app.ui.jobs import waiting_job
from app.ui.ways_back import ask_removal
from app.words.text import t
from core.analysis.pairs import pretraining_pairs
from core.base.errors import PitwallError
from core.base.settings import parse_settings
from core.predictions.source import Source, source_of
from core.recipes.plan import Backbone, ReadPlan, any_backbone
from core.recipes.pretraining import make_pair, pretraining_recipe
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.jobs import PRETRAIN, Job, JobState, list_jobs
from core.store.pretrainings import Pretraining, list_pretrainings
from core.store.runs import Run

BUSY_S = 1.0
EPOCHS, LRS = (1, 3, 5, 10, 20, 50, 100), (2e-5, 5e-5, 1e-4, 2e-4, 5e-4)


def pretraining_box(contest: Contest, folds: Folds, form: RecipeForm, backbone: Backbone | None) -> None:
    """What goes on learning, what has, and buttons that make it the form's start; drawn while it is open, for encoders of texts alone."""
    if contest.spec.modality != "text" or backbone is None or backbone.library != "transformers" or backbone.is_decoder:
        return
    made = list_pretrainings(runtime.workspace().store, contest.id)
    start = form.values["model"]["start_from"]
    used = next((each for each in made if each.ref == start), None)
    if used is not None:
        st.badge(t("train.adapt_used", name=plain(used.name), ref=used.ref), icon=":material/school:", color="green")
    box = st.expander(t("train.adapt"), icon=":material/school:", key=f"adapt-{contest.id}", on_change="rerun", type="compact")
    if not box.open:
        return
    with box, guard():
        st.caption(t("train.adapt_note"))
        _queue(contest, form, backbone)
        is_busy = bool(_jobs(contest, "queued", "running"))
        st.fragment(_working, run_every=BUSY_S if is_busy else None)(contest, is_busy)
        _ended(contest)
        if made:
            _made(contest, folds, form, made)


def _queue(contest: Contest, form: RecipeForm, backbone: Backbone) -> None:
    """How long and how fast, and the button."""
    key = f"adapt-{contest.id}"
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        epochs = st.selectbox(t("recipe.train.epochs"), EPOCHS, index=EPOCHS.index(10), key=f"{key}-epochs", width=110)
        lr = st.selectbox(t("recipe.optim.lr"), LRS, index=LRS.index(1e-4), key=f"{key}-lr", format_func=lambda one: f"{one:g}", width=130)
        label = t("train.adapt_queue", name=plain(backbone.short_name))
        if st.button(label, icon=":material/playlist_add:", disabled=runtime.is_read_only(), key=f"{key}-queue"):
            with guard():
                usual = pretraining_recipe(
                    backbone.name, runtime.workspace().weights_dir, parse_settings(Recipe, form.values, where=t("train.recipe"))
                )
                values = usual.to_dict()
                values["train"]["epochs"], values["optim"]["lr"] = epochs, lr
                recipe = parse_settings(Recipe, values, where=t("train.adapt"))
                _steer(lambda: runtime.launch.launch_pretraining(runtime.workspace(), contest, recipe))


def _jobs(contest: Contest, *states: JobState) -> list[Job]:
    """The pretrainings of a contest that are in one of these states."""
    return [job for job in list_jobs(runtime.workspace().store, states) if job.kind == PRETRAIN and job.contest_id == contest.id]


def _working(contest: Contest, was_busy: bool) -> None:
    """What waits or runs, with its curve."""
    live = _jobs(contest, "queued", "running")
    if was_busy and not live:
        st.rerun()  # what it became stands in the table
    for job in live:
        st.markdown(_title(job))
        waiting_job(job)
        if len(reports := runtime.reports_of(runtime.workspace(), contest, job)) > 1:
            draw(
                held_out_curve(reports, n_epochs=job.payload["recipe"]["train"]["epochs"]),
                key=f"adapt-{job.id}",
                alt=t("train.adapt_chart"),
            )


def _ended(contest: Contest) -> None:
    """Those that failed or were canceled: why, and whether they go on or are removed."""
    for job in _jobs(contest, "failed", "canceled"):
        if job.error:
            error_card(PitwallError.from_dict(job.error))
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"{_title(job)} {state_label(job.state)}", width="content")
            if st.button(t("queue.retry_job"), icon=":material/replay:", key=f"adapt-retry-{job.id}"):
                _steer(lambda job_id=job.id: runtime.queue.retry_job(runtime.workspace().store, job_id))
            if st.button(t("data.dismiss"), icon=":material/close:", key=f"adapt-dismiss-{job.id}"):
                _steer(lambda job_id=job.id: runtime.queue.forget_job(runtime.workspace(), job_id))


def _title(job: Job) -> str:
    return f"**{plain(str(job.payload['recipe']['name']))}** :gray[{job.ref}]"


def _steer(change: Callable[[], object]) -> None:
    with guard():
        runtime.steer(change)
        st.rerun()


def _made(contest: Contest, folds: Folds, form: RecipeForm, made: Sequence[Pretraining]) -> None:
    """The finished ones in a table; one of them with its curve, what runs gained by it, and what can be done with it."""
    gains = {each.ref: _gain(pretraining_pairs(runtime.workspace().store, each)) for each in made}
    table = pd.DataFrame(
        {
            "name": [f"{each.name} ({each.ref})" for each in made],
            "backbone": [each.recipe.model.backbone for each in made],
            "texts": [each.facts["n_texts"] for each in made],
            "epoch": [f"{each.facts['best_epoch']}/{each.recipe.train.epochs}" for each in made],
            "before": [each.losses[0] for each in made],
            "after": [each.losses[1] for each in made],
            "gain": [gains[each.ref] for each in made],
            "time": [format_duration(each.facts["elapsed_s"]) for each in made],
        }
    )
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    st.dataframe(
        table,
        hide_index=True,
        key=f"adapted-{contest.id}",
        placeholder="–",
        alt=t("train.adapt"),
        column_config={
            "name": text(t("train.adapt_name"), pinned=True),
            "backbone": text(t("train.backbone")),
            "texts": number(t("train.adapt_texts"), format="localized", width="small"),
            "epoch": text(t("train.adapt_epoch"), help=t("train.adapt_epoch_help"), width="small"),
            "before": number(t("train.adapt_before"), help=t("train.adapt_loss_help"), format="%.3f", width="small"),
            "after": number(t("train.adapt_after"), format="%.3f", width="small"),
            "gain": text(t("train.adapt_gain"), help=t("train.adapt_gain_help")),
            "time": text(t("train.adapt_time"), width="small"),
        },
    )
    by_ref, key = {each.ref: each for each in made}, f"adapted-{contest.id}-chosen"
    if st.session_state.get(key) not in by_ref:
        st.session_state[key] = made[0].ref
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        ref = st.selectbox(t("train.adapt_chosen"), [*by_ref], format_func=lambda one: f"{by_ref[one].name} ({one})", key=key, width=260)
        chosen = by_ref[ref]
        st.button(t("train.adapt_use"), icon=":material/check:", on_click=_use, args=(form, chosen), key=f"{key}-use")
        is_other = form.values["model"]["backbone"] != chosen.recipe.model.backbone
        look = {"icon": ":material/compare_arrows:", "help": t("train.adapt_pair_help"), "disabled": is_other or runtime.is_read_only()}
        if st.button(t("train.adapt_pair"), key=f"{key}-pair", **look):
            _pair(contest, folds, form, chosen)
        if st.button(t("trash.delete"), icon=":material/delete:", key=f"{key}-delete"):
            ask_removal({"pretraining": [chosen.id]})
    if chosen.facts["fresh_head"]:
        st.caption(t("train.adapt_fresh"))
    if not chosen.facts["best_epoch"]:
        st.caption(f":orange[:material/warning: {t('train.adapt_unchanged')}]")
    draw(held_out_curve(chosen.reports, n_epochs=chosen.recipe.train.epochs), key=f"adapted-{chosen.ref}", alt=t("train.adapt_chart"))


def _use(form: RecipeForm, chosen: Pretraining) -> None:
    """Make it the form's start, and its backbone the form's."""
    if form.values["model"]["backbone"] != chosen.recipe.model.backbone:
        bring(form, any_backbone(chosen.recipe.model.backbone, runtime.workspace().weights_dir))
    st.session_state[f"{form.key}.model.start_from"] = chosen.ref


def _pair(contest: Contest, folds: Folds, form: RecipeForm, chosen: Pretraining) -> None:
    """Queue the form's recipe without and with it, on all folds."""
    with guard():
        pair = make_pair(parse_settings(Recipe, form.values, where=t("train.recipe")), chosen.ref)
        if launch(contest, folds, ReadPlan.of(pair), [*range(folds.n_folds)]):
            st.rerun()


def _gain(pairs: Sequence[tuple[Run, Run]]) -> str | None:
    """What the newest pair of runs says; None where no recipe was trained both ways."""
    return gain_of(*pairs[0]) if pairs else None


def gain_of(without: Run, adapted: Run) -> str:
    """By how much the second run is better than the first, with its interval, on the same folds."""
    gain = _gain_of(*(source_of(runtime.workspace(), run) for run in (adapted, without)))
    return f"{gain}, {adapted.ref} − {without.ref}"


@st.cache_data(max_entries=100, show_spinner=False, hash_funcs={Source: lambda source: (source.contest.version, source.content)})
def _gain_of(adapted: Source, without: Source) -> str:
    from core.analysis.compare import compare_sources  # scipy takes a second to come up, and most contests have no pair

    gain = compare_sources(adapted, without).comparison
    return f"{gain.gain:+.4f} ({gain.gain_low:+.4f} – {gain.gain_high:+.4f})"
