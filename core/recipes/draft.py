"""What stands in the form of the page Train, kept beside its contest: a reload, or another day, finds it as it was left."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from core.base.errors import InputError
from core.base.files import write_json, written_aside
from core.base.messages import msg, reason
from core.base.settings import parse_settings
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.workspace import Workspace


@dataclass(frozen=True)
class Draft:
    """A recipe that was not queued yet, and what its page's other controls hold, by their keys."""

    recipe: Recipe
    controls: Mapping[str, str | list[str] | list[int]]


_CONTROLS = TypeAdapter(dict[str, str | list[str] | list[int]])


def save_draft(workspace: Workspace, contest: Contest, draft: Draft) -> None:
    """Keep a draft in place of the one before."""
    with written_aside(_path(workspace, contest)) as path:
        write_json(path, {"recipe": draft.recipe.to_dict(), "controls": dict(draft.controls)})


def load_draft(workspace: Workspace, contest: Contest) -> Draft | None:
    """The draft that was kept, if any. Raises InputError for a file that is none, or one for another modality."""
    path = _path(workspace, contest)
    if not path.exists():
        return None
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        draft = Draft(
            parse_settings(Recipe, dict(kept["recipe"]), where=str(path), error=InputError), _CONTROLS.validate_python(kept["controls"])
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as problem:
        raise InputError("the form that was left cannot be read", where=str(path), why=reason(problem), fix="delete that file") from None
    if draft.recipe.modality != contest.spec.modality:
        raise InputError(
            "the form that was left is for {modality}",
            where=str(path),
            why=msg("the contest's rows are of the kind '{modality}'", modality=contest.spec.modality),
            fix="delete that file",
            modality=draft.recipe.modality,
        )
    return draft


def drop_draft(workspace: Workspace, contest: Contest) -> None:
    """Forget the draft: what it held was queued."""
    _path(workspace, contest).unlink(missing_ok=True)


def _path(workspace: Workspace, contest: Contest) -> Path:
    return workspace.contest_dir(contest.folder) / "train-form.json"
