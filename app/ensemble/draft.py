"""The blend that a session is working on, how it came to be, and how it was before.

Plain arithmetic apart from the page, so that it can be tested without one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isclose
from typing import Any

from app.ui.components.weight_sliders.component import Kind, SliderState
from core.blend.procedure import CONVEX_MEANS, BlendProcedure
from core.blend.steps import arranged
from core.specs.blend import BlendSpec, BlendSteps

MOST_UNDO = 100
AFTER = ("temperature", "offsets", "thresholds")
"""What comes after the mean: switches of a procedure, and values of steps, under the same names."""

SAME = 1e-9
"""Weights make a round trip through the browser, which shares them out again."""


@dataclass(frozen=True)
class Draft:
    """The steps of a blend, and the settings of the procedure that leads to them.

    Weights stand in the steps only, as they were given; those of a blend by hand are no setting of their own.
    """

    steps: BlendSteps
    settings: BlendProcedure

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", self.settings.model_copy(update={"weights": ()}))

    @property
    def procedure(self) -> BlendProcedure:
        """What can be fitted again; of a blend by hand with its weights."""
        return self.settings.model_copy(update={"weights": self.weights}) if self.is_by_hand else self.settings

    @property
    def weights(self) -> tuple[float, ...]:
        """What the sliders show, with sum one and before shrinkage: the weights, or the mean over classes of weights by class."""
        return self.steps.model_copy(update={"shrinkage": 0.0}).normalised()

    @property
    def shrinkage(self) -> float:
        """Where its slider stands. Runs that were chosen are drawn together before the others are left out: in the weights already."""
        return self.settings.shrinkage if self.settings.chooses_members else self.steps.shrinkage

    @property
    def kind(self) -> Kind:
        """What the weights that are shown mean for the blend."""
        if self.steps.stack:
            return "stacking"
        if self.settings.chooses_members:
            return "chosen"
        return "by_class" if self.steps.class_weights else "plain"

    @property
    def is_by_hand(self) -> bool:
        return self.settings.way == "hand"

    @property
    def is_untuned(self) -> bool:
        """Equal weights under the arithmetic mean and nothing after it: nothing was chosen by looking at scores."""
        is_bare = self.steps.is_plain and self.steps.mean == "arithmetic" and self.settings.mean == "arithmetic"
        is_given = self.settings.way in ("hand", "equal") and are_same(self.weights, [1 / len(self.weights)] * len(self.weights))
        return is_bare and not self.needs_fit and (self.steps.shrinkage == 1 or is_given)

    @property
    def needs_fit(self) -> bool:
        """Something in the procedure depends on weights and shrinkage, and has to be fitted again when these move."""
        settings = self.settings
        return settings.mean == "auto" or settings.chooses_members or any(getattr(settings, name) for name in AFTER)

    def moved(self, weights: Sequence[float], shrinkage: float) -> "Draft":
        """Weights by hand: they leave the way they came from, and what comes after the mean stays until it is fitted again."""
        after: dict[str, Any] = {name: getattr(self.steps, name) for name in AFTER}
        steps = BlendSteps(weights=tuple(weights), mean=self.steps.mean, shrinkage=shrinkage, **after)
        by_hand = {"way": "hand", "shrinkage": shrinkage, "chooses_members": False}
        return Draft(steps, self.settings.model_copy(update=by_hand))

    def shrunk(self, shrinkage: float) -> "Draft":
        """The same under another shrinkage; chosen members are shrunk by their fit, a regression not at all."""
        is_in_steps = self.kind not in ("chosen", "stacking")
        steps = self.steps.model_copy(update={"shrinkage": shrinkage}) if is_in_steps else self.steps
        return Draft(steps, self.settings.model_copy(update={"shrinkage": shrinkage}))

    def asked(self, changes: Mapping[str, Any]) -> BlendProcedure:
        """The procedure with some settings changed, and what these do not allow changed along."""
        values = {**self.settings.to_dict(), **changes}
        if values["way"] == "optimal" and values["mean"] not in (*CONVEX_MEANS, "auto"):
            values["way"] = "hand"  # the mean was changed: its weights stay, but nothing proves them any more
        if values["way"] in ("by_class", "stacking"):
            values["mean"] = "arithmetic"
        if values["way"] in ("hand", "stacking"):
            values["chooses_members"] = False
        if self.kind == "chosen" and values["way"] == "hand":
            values["shrinkage"] = 0.0
        return BlendProcedure.model_validate(values | {"weights": self.weights if values["way"] == "hand" else ()})


def equal_draft(n_runs: int, settings: BlendProcedure | None = None) -> Draft:
    """Equal weights and nothing else; the settings of ways that are not used now stay as they are in `settings`."""
    plain: dict[str, Any] = {name: BlendProcedure.model_fields[name].default for name in ("way", "mean", "shrinkage")}
    plain |= {**dict.fromkeys(AFTER, False), "chooses_members": False}
    return Draft(BlendSteps(weights=(1 / n_runs,) * n_runs), (settings or BlendProcedure()).model_copy(update=plain))


def draft_of(blend: BlendSpec, procedure: Mapping[str, Any] | None) -> Draft:
    """A saved blend to go on from: by the procedure that was kept with it, else as a base that came by hand."""
    steps = blend.steps
    if procedure is not None:
        return Draft(steps, BlendProcedure.model_validate(procedure))
    after = {"temperature": steps.temperature != 1, "offsets": bool(steps.offsets), "thresholds": bool(steps.thresholds)}
    return Draft(steps, BlendProcedure().model_copy(update={"way": "hand", "mean": steps.mean, "shrinkage": steps.shrinkage, **after}))


@dataclass
class BlendEditor:
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
    def state(self) -> SliderState:
        """What the sliders show."""
        weights = dict(zip(self.ids, self.draft.weights, strict=True))
        return SliderState(weights, self.locked, self.gesture, self.draft.shrinkage, self.is_held)

    def put(self, draft: Draft) -> None:
        """Take over a blend from outside the browser; it can be undone."""
        self._keep()
        self._show(draft)

    def follow(self, state: SliderState) -> None:
        """Take over what the browser says; the first message of a new gesture that moves something keeps what was before it."""
        weights = [state.weights[run_id] for run_id in self.ids]
        is_moved = not are_same(weights, self.draft.weights)
        if is_moved or not isclose(state.shrinkage, self.draft.shrinkage, abs_tol=SAME):
            if state.gesture != self._kept:
                self._keep()
                self._kept = state.gesture
            self.draft = self.draft.moved(weights, state.shrinkage) if is_moved else self.draft.shrunk(state.shrinkage)
            self.is_settled = not self.draft.needs_fit
        self.locked, self.gesture, self.is_held = state.locked, state.gesture, state.is_held

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


def make_editor(ids: Sequence[int]) -> BlendEditor:
    """A new editor, with equal weights."""
    return BlendEditor(tuple(ids), equal_draft(len(ids)))


def adapt(editor: BlendEditor, ids: Sequence[int]) -> BlendEditor:
    """The editor for these runs: the same one while they are the same; else the others keep their proportions, a new run gets its equal share.

    What can be undone is forgotten then, because it spoke of other runs; so is a way, whose weights were found for them. Switches stay.
    """
    if editor.ids == tuple(ids):
        return editor
    if set(editor.ids) == set(ids):
        return _in_order(editor, ids)
    draft, given = editor.draft, dict(zip(editor.ids, editor.draft.weights, strict=True))
    known = {run_id: given[run_id] for run_id in ids if run_id in given}
    total = sum(known.values())
    start = equal_draft(len(ids), draft.settings)
    if not draft.is_untuned:
        kept = {name: getattr(draft.settings, name) for name in ("mean", *AFTER)}
        start = Draft(BlendSteps(weights=start.weights, mean=draft.steps.mean), start.settings.model_copy(update=kept))
        weights = [len(known) * known[run_id] / total if run_id in known and total else 1.0 for run_id in ids]
        start = start.moved(weights, 0.0 if draft.kind in ("chosen", "stacking") else draft.shrinkage)
    return BlendEditor(tuple(ids), start, editor.locked & set(ids), editor.gesture, editor.revision + 1, is_settled=not start.needs_fit)


def _in_order(editor: BlendEditor, ids: Sequence[int]) -> BlendEditor:
    """The same editor with its runs in another order, the piles of undo and redo too."""
    order = [editor.ids.index(run_id) for run_id in ids]
    draft, *piled = [replace(each, steps=arranged(each.steps, order)) for each in (editor.draft, *editor.history, *editor.future)]
    n_before = len(editor.history)
    return replace(editor, ids=tuple(ids), draft=draft, revision=editor.revision + 1, history=piled[:n_before], future=piled[n_before:])


def are_same(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two sets of weights are the same but for rounding."""
    return len(one) == len(other) and all(isclose(a, b, abs_tol=SAME) for a, b in zip(one, other, strict=True))
