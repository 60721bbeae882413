"""The blend that a session is working on, how it came to be, and how it was before.

Plain arithmetic apart from the page, so that it can be tested without one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isclose
from typing import Any

import numpy as np

from app.ui.components.weight_sliders.component import BankState, Kind
from core.blend.procedure import CONVEX_MEANS, BlendProcedure
from core.blend.steps import arranged, without_after
from core.specs.blend import BlendSpec, BlendSteps

MOST_UNDO = 100
AFTER = ("temperature", "offsets", "thresholds")
"""What comes after the mean: switches of a procedure, and values of steps, under the same names."""

SAME = 1e-9
"""Weights make a round trip through the browser, which divides them by their sum again."""


@dataclass(frozen=True)
class Draft:
    """The steps of a blend, and the procedure that leads to them: weights by hand are one too, and so is a saved blend's base."""

    steps: BlendSteps
    procedure: BlendProcedure

    @property
    def weights(self) -> tuple[float, ...]:
        """What the bank shows, with sum one and before shrinkage: the weights, or the mean over classes of weights by class."""
        steps = self.steps
        given = np.asarray(steps.class_weights or steps.weights, dtype=np.float64)
        share = given / given.sum(axis=0)
        return tuple((share.mean(axis=1) if share.ndim == 2 else share).tolist())

    @property
    def shrinkage(self) -> float:
        """Where its slider stands. Runs that were chosen are drawn together before the others are left out: in the weights already."""
        return self.procedure.shrinkage if self.procedure.chooses_members else self.steps.shrinkage

    @property
    def kind(self) -> Kind:
        """What the weights that are shown mean for the blend."""
        if self.steps.stack:
            return "apart"
        if self.procedure.chooses_members:
            return "chosen"
        return "loose" if self.steps.class_weights else "plain"

    @property
    def is_by_hand(self) -> bool:
        return self.procedure.way == "hand"

    @property
    def is_untuned(self) -> bool:
        """Equal weights under the arithmetic mean and nothing after it: nothing was chosen by looking at scores."""
        equal = [1 / len(self.weights)] * len(self.weights)
        is_bare = self.steps.is_plain and self.steps.mean == "arithmetic" and self.procedure.mean == "arithmetic"
        is_given = self.procedure.way in ("hand", "equal") and are_same(self.weights, equal)
        return is_bare and not self.needs_fit and (self.steps.shrinkage == 1 or is_given)

    @property
    def needs_fit(self) -> bool:
        """Something in the procedure depends on weights and shrinkage, and has to be fitted again when these move."""
        procedure = self.procedure
        return procedure.mean == "auto" or procedure.chooses_members or any(getattr(procedure, name) for name in AFTER)

    def moved(self, weights: Sequence[float], shrinkage: float) -> Draft:
        """Weights by hand: they leave the way they came from, and what comes after the mean stays until it is fitted again."""
        weights = tuple(weights)
        after: dict[str, Any] = {name: getattr(self.steps, name) for name in AFTER}
        steps = BlendSteps(weights=weights, mean=self.steps.mean, shrinkage=shrinkage, **after)
        by_hand: dict[str, Any] = {"way": "hand", "weights": weights, "shrinkage": shrinkage, "chooses_members": False}
        return Draft(steps, self.procedure.model_copy(update=by_hand))

    def shrunk(self, shrinkage: float) -> Draft:
        """The same under another shrinkage; chosen members are shrunk by their fit, a regression not at all."""
        procedure = self.procedure.model_copy(update={"shrinkage": shrinkage})
        if self.kind in ("chosen", "apart"):
            return replace(self, procedure=procedure)
        return Draft(self.steps.model_copy(update={"shrinkage": shrinkage}), procedure)

    def asked(self, settings: Mapping[str, Any]) -> BlendProcedure:
        """The procedure with some settings changed, and what these do not allow changed along."""
        values = {**self.procedure.to_dict(), **settings}
        if values["way"] == "optimal" and values["mean"] not in (*CONVEX_MEANS, "auto"):
            # The mean was changed: its weights stay, but nothing proves them any more.
            values["way"] = "hand"
        if values["way"] in ("by_class", "stacking"):
            values["mean"] = "arithmetic"
        if values["way"] in ("hand", "stacking"):
            values["chooses_members"] = False
        if self.kind == "chosen" and values["way"] == "hand":
            values["shrinkage"] = 0.0
        values["weights"] = (self.procedure.weights or self.weights) if values["way"] == "hand" else ()
        return BlendProcedure.model_validate(values)

    @property
    def base(self) -> BlendSteps:
        """The steps by hand that what comes after is fitted on."""
        return without_after(self.steps)


def equal_draft(n_runs: int, procedure: BlendProcedure | None = None) -> Draft:
    """Equal weights and nothing else; the settings of ways that are not used now stay as they are in `procedure`."""
    plain: dict[str, Any] = {name: BlendProcedure.model_fields[name].default for name in ("way", "mean", "weights", "shrinkage")}
    plain |= {**dict.fromkeys(AFTER, False), "chooses_members": False}
    steps = BlendSteps(weights=(1 / n_runs,) * n_runs)
    return Draft(steps, (procedure or BlendProcedure()).model_copy(update=plain))


@dataclass
class Desk:
    """The blend now for the runs `ids`, what can be undone and redone, and the revision that the browser should hold.

    `is_settled` is false while something may have to be fitted again, `is_held` while a pointer has not let go. `content` names the
    predictions that the steps were fitted on.
    """

    ids: tuple[int, ...]
    draft: Draft
    locked: frozenset[int] = frozenset()
    gesture: int = 0
    revision: int = 0
    is_held: bool = False
    is_settled: bool = True
    content: tuple[object, ...] = ()
    history: list[Draft] = field(default_factory=list)
    future: list[Draft] = field(default_factory=list)
    _kept: int = 0

    @property
    def state(self) -> BankState:
        """What the bank shows."""
        weights = dict(zip(self.ids, self.draft.weights, strict=True))
        return BankState(weights, self.locked, self.gesture, self.draft.shrinkage, self.is_held)

    def put(self, draft: Draft) -> None:
        """Take over a blend from outside the browser; it can be undone."""
        self._keep()
        self._show(draft)

    def follow(self, said: BankState) -> None:
        """Take over what the browser says; the first word of a new gesture that moves something keeps what was before it."""
        weights = [said.weights[run_id] for run_id in self.ids]
        is_moved = not are_same(weights, self.draft.weights)
        is_shrunk = not isclose(said.shrinkage, self.draft.shrinkage, abs_tol=SAME)
        if (is_moved or is_shrunk) and said.gesture != self._kept:
            self._keep()
            self._kept = said.gesture
        if is_moved:
            self.draft = self.draft.moved(weights, said.shrinkage)
        elif is_shrunk:
            self.draft = self.draft.shrunk(said.shrinkage)
        if is_moved or is_shrunk:
            self.is_settled = not self.draft.needs_fit
        self.locked, self.gesture, self.is_held = said.locked, said.gesture, said.is_held

    def settle(self, steps: BlendSteps) -> None:
        """Take over what a fit made of the blend that is here: the end of the same gesture, not one of its own."""
        before = self.draft
        self.draft = replace(before, steps=steps)
        if not are_same(before.weights, self.draft.weights) or before.shrinkage != self.draft.shrinkage:
            self.revision += 1
        self.is_settled = True

    def undo(self) -> None:
        """Back to before the last gesture or button, whole; locks stay as they are now."""
        if self.history:
            self.future.append(self.draft)
            self._show(self.history.pop())

    def redo(self) -> None:
        """Forward again to what was undone."""
        if self.future:
            self.history.append(self.draft)
            self._show(self.future.pop())

    def _keep(self) -> None:
        self.history = [*self.history[-MOST_UNDO:], self.draft]
        self.future = []

    def _show(self, draft: Draft) -> None:
        self.draft = draft
        self.is_settled, self.is_held = True, False
        self.revision += 1


def make_desk(ids: Sequence[int]) -> Desk:
    """A new desk, with equal weights."""
    return Desk(tuple(ids), equal_draft(len(ids)))


def adapt(desk: Desk, ids: Sequence[int]) -> Desk:
    """The desk for these runs: the same one while they are the same; else the others keep their proportions, a new run gets its equal share.

    What can be undone is forgotten then, because it spoke of other runs; so is a way, whose weights were found for them. Switches stay.
    """
    if desk.ids == tuple(ids):
        return desk
    if set(desk.ids) == set(ids):
        return _in_order(desk, ids)
    procedure = desk.draft.procedure
    given = dict(zip(desk.ids, desk.draft.weights, strict=True))
    known = {run_id: weight for run_id, weight in given.items() if run_id in ids}
    fresh, total = 1 / len(ids), sum(known.values())
    room = 1 - fresh * (len(ids) - len(known))
    weights = [room * known[run_id] / total if run_id in known and total else fresh for run_id in ids]
    whole = sum(weights)
    shrinkage = 0.0 if desk.draft.kind in ("chosen", "apart") else desk.draft.shrinkage
    start = equal_draft(len(ids), procedure)
    if not desk.draft.is_untuned:
        kept = {name: getattr(procedure, name) for name in ("mean", *AFTER)}
        start = Draft(BlendSteps(weights=start.weights, mean=desk.draft.steps.mean), start.procedure.model_copy(update=kept))
        start = start.moved([weight / whole for weight in weights], shrinkage)
    return Desk(tuple(ids), start, desk.locked & set(ids), desk.gesture, desk.revision + 1, is_settled=not start.needs_fit)


def _in_order(desk: Desk, ids: Sequence[int]) -> Desk:
    """The same desk with its runs in another order, the piles of undo and redo too."""
    order = [desk.ids.index(run_id) for run_id in ids]

    def turned(draft: Draft) -> Draft:
        weights = tuple(draft.procedure.weights[place] for place in order) if draft.is_by_hand else ()
        return Draft(arranged(draft.steps, order), draft.procedure.model_copy(update={"weights": weights}))

    piles = {"history": [turned(draft) for draft in desk.history], "future": [turned(draft) for draft in desk.future]}
    return replace(desk, ids=tuple(ids), draft=turned(desk.draft), revision=desk.revision + 1, **piles)


def draft_of(blend: BlendSpec, procedure: Mapping[str, Any] | None) -> Draft:
    """A saved blend to go on from: by the procedure that was kept with it, else as a base that came by hand."""
    steps = blend.steps
    if procedure is not None:
        return Draft(steps, BlendProcedure.model_validate(procedure))
    after = {"temperature": steps.temperature != 1, "offsets": bool(steps.offsets), "thresholds": bool(steps.thresholds)}
    bare = Draft(steps, BlendProcedure())
    by_hand = {"way": "hand", "weights": bare.weights, "mean": steps.mean, "shrinkage": steps.shrinkage, **after}
    return Draft(steps, BlendProcedure.model_validate(by_hand))


def are_same(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two sets of weights are the same but for rounding."""
    return len(one) == len(other) and all(isclose(a, b, abs_tol=SAME) for a, b in zip(one, other, strict=True))
