"""Who takes part on the page Ensemble: the folds, the runs on them, and what becomes of runs that miss folds: a person's choice."""

from collections.abc import Sequence

import streamlit as st

from app.ensemble.session import session
from app.shell import runtime
from app.ui.controls import choose_one, control_of
from app.ui.format import format_score, plain, short_hash
from app.words.text import t
from core.analysis.epoch_choice import epoch_choice, optimism
from core.metrics.scores import get_metric
from core.predictions.oof import shared_folds
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run

MOST_AT_FIRST = 8
MOST_SIDE_BY_SIDE = 24
"""Runs that can be chosen by one click; of more, those in the blend and the best are, and the others are found by name."""
CHOICES = ("leave", "share")
PARTS = ("saved", "compare", "members", "exchange")


def by_number_of_runs(folds_list: Sequence[Folds], runs: Sequence[Run]) -> dict[int, tuple[Folds, int]]:
    """The folds that have runs, with their number, by id; those with most runs come first."""
    count = {folds.id: sum(run.folds_id == folds.id for run in runs) for folds in folds_list}
    return {folds.id: (folds, count[folds.id]) for folds in sorted(folds_list, key=lambda folds: -count[folds.id]) if count[folds.id]}


def best_first(contest: Contest, folds: Folds, runs: Sequence[Run]) -> list[Run]:
    """The runs with predictions on these folds by score; those that miss folds come last."""
    metric = get_metric(contest.spec.metric)
    sign = -1 if metric.greater_is_better else 1
    here = [run for run in runs if run.folds_id == folds.id and run.results]
    return sorted(here, key=lambda run: (len(run.results) < folds.n_folds, sign * (run.cv_score(metric.name) or 0.0), run.id))


def default_members(contest: Contest, folds_list: Sequence[Folds], runs: Sequence[Run]) -> tuple[Folds, list[Run]] | None:
    """The folds and the members with which the page opens where nothing was chosen yet; None where no run has all folds."""
    for folds, _ in by_number_of_runs(folds_list, runs).values():
        whole = [run for run in best_first(contest, folds, runs) if len(run.results) == folds.n_folds]
        return (folds, whole[:MOST_AT_FIRST]) if whole else None
    return None


def choose_folds(contest: Contest, folds_list: Sequence[Folds], runs: Sequence[Run]) -> Folds:
    """The folds whose runs are blended; asked only when runs with predictions stand on several."""
    options = by_number_of_runs(folds_list, runs)
    chosen, joining = session().folds_ids, session().joining
    if joining is not None and joining.contest_id == contest.id and joining.folds_id in options:
        chosen[contest.id] = joining.folds_id
    if chosen.get(contest.id) not in options:
        chosen[contest.id] = next(iter(options))
    if len(options) > 1:
        key, default, changed = control_of(
            f"pick-folds-{contest.id}", chosen[contest.id], lambda folds_id: chosen.update({contest.id: folds_id})
        )
        st.selectbox(
            t("ensemble.folds"),
            list(options),
            list(options).index(default) if default in options else 0,
            format_func=lambda folds_id: _folds_option(*options[folds_id]),
            key=key,
            on_change=changed,
            width=320,
        )
    return options[chosen[contest.id]][0]


def _folds_option(folds: Folds, n_runs: int) -> str:
    return t("members.folds_option", n=folds.n_folds, hash=short_hash(folds.fingerprint), runs=n_runs)


def choose_members(contest: Contest, folds: Folds, runs: Sequence[Run]) -> list[Run]:
    """The runs that take part, best first; at first the best eight that have all folds.

    A run that misses folds can be chosen only after a person said that the blend may stand on the folds that all have.
    """
    metric, kept = get_metric(contest.spec.metric), session().on(folds.id)
    here = best_first(contest, folds, runs)
    n_whole = sum(len(run.results) == folds.n_folds for run in here)
    if n_whole < len(here):
        choose_one(
            f"pick-unfinished-{kept.folds_id}",
            kept.unfinished,
            lambda chosen: setattr(kept, "unfinished", chosen),
            t("members.unfinished", n=len(here) - n_whole),
            CHOICES,
            lambda name: t(f"members.unfinished_{name}"),
            help=t("members.unfinished_help"),
        )
    by_id = {run.id: run for run in here if kept.unfinished == "share" or len(run.results) == folds.n_folds}
    members = list(by_id)[: min(n_whole, MOST_AT_FIRST)] if kept.members is None else kept.members
    joining = session().joining
    if joining is not None and joining.id in by_id:
        session().joining = None
        members = [*members, joining.id]
    kept.members = [run_id for run_id in dict.fromkeys(members) if run_id in by_id]  # some may have been deleted since they were chosen

    def label(run_id: int) -> str:
        run = by_id[run_id]
        part = "" if len(run.results) == folds.n_folds else f" ({len(run.results)}/{folds.n_folds})"
        return f"{plain(run.name)} · {format_score(run.cv_score(metric.name))}{part}{older_truth(contest, run.truth_id)}"

    is_older = any(run.truth_id != contest.truth.id for run in by_id.values())
    key, default, changed = control_of(f"pick-members-{folds.id}", kept.members, lambda chosen: setattr(kept, "members", chosen))
    shown = {*list(by_id)[:MOST_SIDE_BY_SIDE], *kept.members, *default}
    st.pills(
        t("ensemble.members"),
        [run_id for run_id in by_id if run_id in shown],
        default=[run_id for run_id in default if run_id in by_id],
        format_func=label,
        selection_mode="multi",
        key=key,
        on_change=changed,
        help=t("ensemble.older_truth_help", current=contest.truth.version) if is_older else None,
    )
    if others := [run_id for run_id in by_id if run_id not in shown]:
        key, nothing, changed = control_of(
            f"more-members-{folds.id}", None, lambda chosen: setattr(kept, "members", [*(kept.members or ()), chosen])
        )
        st.selectbox(
            t("ensemble.more_members"),
            others,
            index=nothing,
            format_func=label,
            key=key,
            on_change=changed,
            placeholder=t("ensemble.more_members_example", n=len(others)),
            label_visibility="collapsed",
            width=360,
        )
    if not kept.members:
        st.caption(t("ensemble.choose_why" if by_id else "members.none_whole"))
    return [run for run_id, run in by_id.items() if run_id in kept.members]


def older_truth(contest: Contest, truth_id: int) -> str:
    """What follows the name of a run or blend whose labels are not the contest's current ones."""
    return "" if truth_id == contest.truth.id else f" · {t('runs.older_truth')}"


def count_others(folds: Folds, members: Sequence[Run], runs: Sequence[Run]) -> int:
    """Runs with all folds that were not chosen: a choice that may have been made by their scores."""
    chosen = {run.id for run in members}
    return sum(run.folds_id == folds.id and len(run.results) == folds.n_folds and run.id not in chosen for run in runs)


def say_restriction(folds: Folds, members: Sequence[Run]) -> None:
    """Where not all members have all folds: on which folds the blend stands, and who misses which."""
    missing = {run.name: set(range(folds.n_folds)) - {result.fold for result in run.results} for run in members}
    together = shared_folds(members)
    if any(missing.values()) and together:
        who = " · ".join(f"**{plain(name)}** {_numbers(gone)}" for name, gone in missing.items() if gone)
        lines = [t("members.restricted", folds=_numbers(together), n=folds.n_folds, who=who)]
        if len(together) == 1:
            lines.append(t("members.one_fold"))
        st.warning(" ".join([*lines, t("members.restricted_test")]), icon=":material/filter_alt:")


def say_epoch_choice(contest: Contest, folds: Folds, members: Sequence[Run]) -> None:
    """Whose figures stand on best epochs, which were chosen on the rows that are scored, and by how much their scores are optimistic."""
    metric, store = get_metric(contest.spec.metric), runtime.workspace().store
    choices = [epoch_choice(store, contest, folds, run) for run in members]
    found, n_chosen = optimism(choices, metric), sum(choice is not None for choice in choices)
    if found:
        key = "ensemble.epoch_choice" if max(map(abs, found)) >= 5e-5 else "ensemble.epoch_choice_none"
        whose = t("ensemble.scores_of_all") if n_chosen == len(members) else t("ensemble.scores_of_some", n=n_chosen, all=len(members))
        st.caption(t(key, whose=whose, low=f"{found[0]:.4f}", high=f"{found[1]:.4f}"), help=t("runs.figure_cv_epochs_help"))


def left_out_runs(folds: Folds, folds_list: Sequence[Folds], runs: Sequence[Run]) -> None:
    """Name the runs that cannot be blended here, each with its reason."""
    by_id = {other.id: other for other in folds_list}
    is_shared = session().on(folds.id).unfinished == "share"
    lines: list[str] = []
    for run in runs:
        if run.folds_id != folds.id:
            lines.append(f"**{plain(run.name)}**: " + t("ensemble.reason_folds", hash=short_hash(by_id[run.folds_id].fingerprint)))
        elif len(run.results) < folds.n_folds and not (is_shared and run.results):
            lines.append(f"**{plain(run.name)}**: " + t("ensemble.reason_unfinished", done=len(run.results), n=folds.n_folds))
    if lines:
        box = st.expander(t("ensemble.left_out", n=len(lines)), icon=":material/block:", key=f"left-out-{folds.id}", on_change="rerun")
        if box.open:  # hundreds of lines take the browser a tenth of a second
            box.markdown("\n".join(f"- {line}" for line in lines))


def choose_part() -> str:
    """What is shown under the editor."""
    chosen = st.segmented_control(
        t("members.parts"),
        PARTS,
        default=PARTS[0],
        format_func=lambda part: t(f"members.part_{part}"),
        required=True,
        key="ensemble-part",
        label_visibility="collapsed",
        persist_state="session",
    )
    return chosen or PARTS[0]


def _numbers(folds: Sequence[int] | set[int]) -> str:
    return ", ".join(map(str, sorted(folds)))
