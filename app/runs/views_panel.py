"""Views of a run's images and what disturbs them, on its page: what each view does to the score, a choice of them as a run, and the probe."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app.runs.charts import probe_lines
from app.runs.progress import BUSY_S
from app.shell import runtime, state
from app.shell.state import go_to
from app.ui import charts
from app.ui.cards import error_card, guard
from app.ui.format import format_duration, format_score, metric_label, plain
from app.words.core_text import say
from app.words.text import t
from core.analysis.probe import N_ROWS, Probe, find_probe, said_of
from core.analysis.views import ViewChoice, find_choice
from core.base.errors import PitwallError
from core.metrics.scores import get_metric
from core.predictions.views import VIEW_NAMES, kept_views
from core.store.contests import Contest
from core.store.jobs import Job, list_jobs
from core.store.runs import Run, list_runs

BATCHES = ("trained", "size", "auto")


def views_panel(contest: Contest, run: Run) -> None:
    """What can be asked, what runs, and what was found."""
    if not run.results or (run.imported and not run.imported.has_network):
        st.caption(t("predict.no_network" if not run.results else "predict.imported"))
        return
    is_busy = any(job.state in ("queued", "running") for job in _jobs(run))
    st.fragment(_live, run_every=BUSY_S if is_busy else None)(contest, run, is_busy)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _views(contest, run)
    with right:
        _probe(contest, run)


def _jobs(run: Run) -> list[Job]:
    """Jobs of the run's views and probes, the newest first."""
    jobs = [job for job in list_jobs(runtime.workspace().store, run_id=run.id) if {"views", "probe"} & {*job.payload}]
    return sorted(jobs, key=lambda job: job.id, reverse=True)


def _live(contest: Contest, run: Run, was_busy: bool) -> None:
    jobs = _jobs(run)
    live = [job for job in jobs if job.state in ("queued", "running")]
    if was_busy and not live:
        st.rerun()  # what was found is there now
    for job in live:
        _waiting(job)
    if jobs and jobs[0].state == "failed" and jobs[0].error:
        error_card(PitwallError.from_dict(jobs[0].error))


def _waiting(job: Job) -> None:
    at = job.progress if job.state == "running" else None
    said = [t("views.job_probe" if "probe" in job.payload else "views.job_views")]
    said.append(t(f"common.phase_{at.phase if at else 'starting'}") if job.state == "running" else t("predict.waits"))
    if at and at.message:
        said.append(view_label(at.message))
    if at and at.eta_s is not None:
        said.append(t("runs.job_left", left=format_duration(at.eta_s)))
    bar, button = st.columns([6, 1], vertical_alignment="bottom")
    bar.progress(at.step / at.n_steps if at and at.n_steps else 0.0, " · ".join(said))
    if button.button(t("predict.cancel"), icon=":material/stop_circle:", key=f"cancel-{job.id}", disabled=job.cancel_requested):
        with guard():
            runtime.steer(lambda: runtime.queue.cancel_job(runtime.workspace().store, job.id))
            st.rerun(scope="fragment")


def view_label(name: str) -> str:
    """A view, or a corruption with its strength such as "blur-1", in the language of the screen."""
    kind, _, strength = name.partition("-")
    return t(f"views.kind_{kind}") + f" {strength}" if strength else t(f"recipe.predict.views={kind}")


def _at_once(key: str) -> bool:
    return st.toggle(t("predict.at_once"), key=key, help=t("predict.at_once_help"))


def _views(contest: Contest, run: Run) -> None:
    st.markdown(f"**{t('views.title')}**", help=t("views.about"))
    kept = kept_views(runtime.workspace(), contest, run)
    others = [name for name in VIEW_NAMES if name != "plain"]
    with guard():
        choice = find_choice(runtime.workspace(), contest, run)
        if choice is not None:
            _choice(contest, choice)
            _member(contest, run, choice)
        with st.expander(t("views.try_more" if choice else "views.try"), expanded=choice is None, icon=":material/flip:"):
            tried = st.pills(
                t("views.which"),
                others,
                default=[name for name in others if name not in kept][:2],
                selection_mode="multi",
                format_func=view_label,
                key=f"views-{run.id}-{len(kept)}",
            )
            with st.container(horizontal=True, vertical_alignment="bottom"):
                batch = st.selectbox(
                    t("views.batch"), BATCHES, format_func=lambda name: t(f"views.batch_{name}"), key=f"views-batch-{run.id}", width=300
                )
                at_once = _at_once(f"views-at-once-{run.id}")
            asked = tried or (kept if choice is None else ())  # what is kept may have to be compared again, under another truth
            if st.button(t("views.button"), type="primary", icon=":material/flip:", disabled=not asked or runtime.is_read_only()):
                runtime.steer(
                    lambda: runtime.launch.launch_views(runtime.workspace(), run, asked, batch=batch or "trained", at_once=at_once)
                )
                st.rerun()
    _members(contest, run)


def _choice(contest: Contest, choice: ViewChoice) -> None:
    metric = get_metric(contest.spec.metric)
    plain_score = format_score(choice.plain_score)
    st.caption(
        t("views.plain", metric=metric_label(metric.name), score=plain_score, n=f"{choice.n_rows:,}", s=f"{choice.plain_cost_s:.2f}")
    )
    table = pd.DataFrame(
        [
            {
                "view": view_label(effect.view),
                "verdict": t(f"views.verdict_{effect.verdict}"),
                "gain": effect.gain.gain,
                "mended": effect.n_mended,
                "broken": effect.n_broken,
                "interval": f"{effect.gain.gain_low:+.4f} … {effect.gain.gain_high:+.4f}",
                "alone": effect.score,
                "cost": effect.cost_s,
            }
            for effect in choice.effects
        ]
    )
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    st.dataframe(
        table,
        hide_index=True,
        height="content",
        key="views-table",
        alt=t("views.title"),
        column_config={
            "view": text(t("views.column_view")),
            "verdict": text(t("views.column_verdict"), width=70),
            "gain": number(t("views.column_gain"), format="%+.4f", help=t("views.column_gain_help"), width=70),
            "interval": text(t("views.column_interval")),
            "mended": number(t("views.column_mended"), help=t("views.column_mended_help"), width=70),
            "broken": number(t("views.column_broken"), help=t("views.column_broken_help"), width=70),
            "alone": number(t("views.column_alone"), format="%.4f", width=70),
            "cost": number(t("views.column_cost"), format="%.2f", help=t("views.column_cost_help"), width=70),
        },
    )
    names = ", ".join(map(view_label, choice.chosen))
    if len(choice.chosen) < 2:
        st.markdown(t("views.none_helps"))
    elif choice.honest is None:
        st.markdown(t("views.proposed_only", views=names))
    else:
        gain = choice.honest
        values = {"gain": f"{gain.gain:+.4f}", "low": f"{gain.gain_low:+.4f}", "high": f"{gain.gain_high:+.4f}"}
        st.markdown(t("views.proposed", views=names, **values))


def _member(contest: Contest, run: Run, choice: ViewChoice) -> None:
    """A choice of views becomes a run."""
    if not run.is_complete:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.multiselect(
            t("views.member"),
            ["plain", *(effect.view for effect in choice.effects)],
            default=list(choice.chosen),
            format_func=view_label,
            key=f"member-{run.id}-{'-'.join(choice.chosen)}",
        )
        name = st.text_input(t("views.member_name"), f"{run.name}-views", key=f"member-name-{run.id}", width=180)
        if st.button(
            t("views.member_button"),
            icon=":material/add_circle:",
            key=f"member-add-{run.id}",
            disabled=not chosen or runtime.is_read_only(),
        ):
            runtime.steer(lambda: runtime.launch.launch_views(runtime.workspace(), run, chosen, member=name))
            st.rerun()


def _members(contest: Contest, run: Run) -> None:
    """The runs that choices of views have become, each with the way to it."""
    mine = [each for each in list_runs(runtime.workspace().store, contest.id) if each.imported and each.imported.run == run.ref]
    for each in mine:
        with st.container(horizontal=True, vertical_alignment="center"):
            views = ", ".join(map(view_label, each.imported.views if each.imported else ()))
            score = format_score(each.cv_score(contest.spec.metric), each.cv_sd(contest.spec.metric))
            st.markdown(f"{plain(each.name)} · {views} · {score}", width="stretch")
            if st.button(t("views.open"), key=f"open-{each.id}", icon=":material/open_in_new:"):
                state.select_run(each.ref)
                st.rerun()
            if st.button(t("runs.action_blend"), key=f"blend-{each.id}", icon=":material/balance:"):
                go_to("ensemble", join=each.ref)


def _probe(contest: Contest, run: Run) -> None:
    st.markdown(f"**{t('views.probe')}**", help=t("views.probe_about"))
    with guard():
        probe = find_probe(runtime.workspace(), contest, run)
        if probe is not None:
            _found(contest, probe)
            return
        st.caption(t("views.probe_none", n=f"{N_ROWS:,}"))
        at_once = _at_once(f"probe-at-once-{run.id}")
        is_asked = any("probe" in job.payload and job.state in ("queued", "running") for job in _jobs(run))
        if st.button(t("views.probe_button"), icon=":material/blur_on:", disabled=is_asked or runtime.is_read_only()):
            runtime.steer(lambda: runtime.launch.launch_probe(runtime.workspace(), run, n_rows=N_ROWS, at_once=at_once))
            st.rerun()


def _found(contest: Contest, probe: Probe) -> None:
    metric = get_metric(contest.spec.metric)
    said = say(said_of(probe))
    (st.warning if probe.is_brittle else st.info)(said, icon=":material/broken_image:" if probe.is_brittle else ":material/verified:")
    st.caption(t("views.probe_rows", n=f"{probe.n_rows:,}", of=f"{probe.n_validated:,}", metric=metric_label(metric.name)))
    labels = {score.kind: t(f"views.kind_{score.kind}") for score in probe.scores}
    charts.draw(probe_lines(_lines(probe, labels), list(labels.values()), metric), key="probe-chart", alt=t("views.probe_chart"))
    table = pd.DataFrame(
        [
            {
                "kind": labels[score.kind],
                "strength": f"{score.strength:g} {score.unit}",
                "score": score.score,
                "loss": score.loss,
                "interval": f"{score.loss_low:+.4f} … {score.loss_high:+.4f}",
            }
            for score in probe.scores
        ]
    )
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    st.dataframe(
        table,
        hide_index=True,
        height=240,
        key="probe-table",
        alt=t("views.probe"),
        column_config={
            "kind": text(t("views.column_kind")),
            "strength": text(t("views.column_strength"), width="small"),
            "score": number(metric_label(metric.name), format="%.4f", width="small"),
            "loss": number(t("views.column_loss"), format="%+.4f", help=t("views.column_loss_help"), width="small"),
            "interval": text(t("views.column_interval")),
        },
    )


def _lines(probe: Probe, labels: dict[str, str]) -> pd.DataFrame:
    """A row for each kind and level, from 0, undisturbed: kind, level, strength, score."""
    rows: list[tuple[str, int, str, float]] = []
    for kind, label in labels.items():
        mine: Sequence[tuple[str, float]] = [(f"{each.strength:g} {each.unit}", each.score) for each in probe.scores if each.kind == kind]
        rows += [(label, level, strength, score) for level, (strength, score) in enumerate([("0", probe.plain), *mine])]
    return pd.DataFrame(rows, columns=["kind", "level", "strength", "score"])
