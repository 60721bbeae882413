"""Every error a person can cause or meet, as one small tree.

PitwallError                 what happened, where, why, and what to do about it
├── InputError               a file or a value that a person gave us
├── RecipeError              a setting that cannot be trained with
├── NotFoundError            a name that is not there; lists what is
├── AlignmentError           ids, classes, folds or fingerprints that differ
├── StateError               a step that is not allowed from here
├── CheckpointError          an artefact on disk that does not verify
├── OutOfMemory              the device ran out of memory
├── DiskFull                 the disk ran out of space
├── WeightsError             pretrained weights that are not here and could not be fetched
└── SubmissionError          a submission that the contest would refuse

Anything else that is raised is a bug, and keeps its traceback.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Self

from core.base.messages import Joined, Message, cut, from_json, msg, to_json


class PitwallError(Exception):
    """An error that says what, where, why and the fix; shown as a card in a page, as one message on a terminal.

    Each part is a template as in `core.base.messages`, filled with the named values: `InputError("{n} groups cannot fill {k} folds",
    n=n, k=k, fix="use at most {n} folds")`. Without values the parts are taken as they are.
    """

    def __init__(self, what: str, *, where: str = "", why: str = "", fix: str = "", **values: Any) -> None:
        filled = [
            cut(part) if not values or isinstance(part, Message | Joined) else msg(part, **values) for part in (what, where, why, fix)
        ]
        self.what, self.where, self.why, self.fix = filled
        super().__init__(self.what)

    @property
    def kind(self) -> str:
        """The class name, which is how an error is stored and shown."""
        return type(self).__name__

    @property
    def parts(self) -> dict[str, str]:
        """what, where, why and fix by name."""
        return {"what": self.what, "where": self.where, "why": self.why, "fix": self.fix}

    def to_dict(self) -> dict[str, Any]:
        """The error as plain strings, for the store and for `--json`; `texts` keeps templates and values for other languages."""
        texts = {name: to_json(part) for name, part in self.parts.items() if isinstance(part, Message | Joined)}
        return {"type": self.kind} | {name: str(part) for name, part in self.parts.items()} | ({"texts": texts} if texts else {})

    @staticmethod
    def from_dict(stored: Mapping[str, Any]) -> "PitwallError":
        """The inverse of `to_dict`; a type that is none of ours, such as "Bug", gives a PitwallError."""
        texts = stored.get("texts", {})
        parts = {name: from_json(texts[name]) if name in texts else stored[name] for name in ("what", "where", "why", "fix")}
        return KINDS.get(stored["type"], PitwallError)(parts.pop("what"), **parts)

    def __str__(self) -> str:
        return "\n".join([self.what, *(f"{name}: {part}" for name, part in self.parts.items() if part and name != "what")])


class InputError(PitwallError):
    """A person's file or value cannot be used."""


class RecipeError(PitwallError):
    """A setting, or a combination of settings, cannot be trained with."""


class NotFoundError(PitwallError):
    """A name does not exist; `known` says which do."""

    @classmethod
    def among(cls, thing: str, name: str, known: Iterable[str], *, fix: str = "") -> Self:
        """Build the error for `name`, listing what exists in the reason."""
        names = sorted(known)
        return cls(
            "no {thing} named '{name}'",
            where="{thing}",
            why="known: {names}" if names else "there is no {thing} yet",
            fix=fix or "use one of the known names of a {thing}",
            thing=thing,
            name=name,
            names=", ".join(names),
        )


class AlignmentError(PitwallError):
    """Two things that must agree on ids, classes, folds or data do not."""


class StateError(PitwallError):
    """A step is not allowed in the present state."""


class CheckpointError(PitwallError):
    """An artefact on disk is incomplete or does not match its sha256."""


class OutOfMemory(PitwallError):
    """The device ran out of memory."""


class DiskFull(PitwallError):
    """The disk ran out of space."""


class WeightsError(PitwallError):
    """Pretrained weights are in none of the places they are looked for."""


class SubmissionError(PitwallError):
    """A submission does not fit the contest's sample."""


def bug(problem: BaseException, *, where: str, fix: str) -> dict[str, str]:
    """What is not one of ours, in the shape of `PitwallError.to_dict`, so that it can be stored and shown beside them."""
    what, why = f"{type(problem).__name__}: {problem}", "this is a bug in Pitwall or in a library it uses"
    return {"type": "Bug", "what": what, "where": where, "why": why, "fix": fix}


KINDS: dict[str, type[PitwallError]] = {cls.__name__: cls for cls in PitwallError.__subclasses__()}
