"""The rows and the folds of a contest, read once per process: pages and thumbnails ask for them at every rerun.

The route of the galleries, /thumb/{contest id}/{train|test}/{row}, is a small picture of one row of a contest.
"""

import base64
import io
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from app.shell import runtime
from core.base.errors import InputError, NotFoundError, PitwallError
from core.contest.extra_rows import load_rows, rows_of_recipe
from core.contest.table import ContestTable, Truth, load_table, load_truth
from core.data.images import open_image
from core.folds import load_folds, own_groups
from core.recipes.advice import RowFacts, row_facts
from core.specs.recipe import Recipe
from core.splitting import FoldPairs
from core.store.contests import Contest, get_contest
from core.store.folds import Folds
from core.workspace import Workspace


def table_of(contest: Contest) -> ContestTable:
    """The contest's rows, from memory after the first time. Shared by all sessions: never change them."""
    return _load(load_table, str(runtime.workspace().root), contest.id, contest.version)


def pairs_of(folds: Folds) -> FoldPairs:
    """The (train, valid) pairs of folds, from memory after the first time. Shared by all sessions: never change them."""
    return _pairs(str(runtime.workspace().root), folds)


@lru_cache(maxsize=16)
def _pairs(_root: str, folds: Folds) -> FoldPairs:
    return load_folds(runtime.workspace(), folds)


def truth_of(contest: Contest) -> Truth:
    """The contest's current truth, from memory after the first time. Shared by all sessions: never change it."""
    return _load(load_truth, str(runtime.workspace().root), contest.id, contest.truth.fingerprint)


def train_labels_of(contest: Contest, folds: Folds, fold: int, recipe: Recipe | None = None) -> NDArray[np.integer]:
    """The current truth of the rows that a fold trains on, classes (n,) or 0 and 1 for each class (n, n_classes); behind the contest's own those
    of the extra rows that the recipe names."""
    truth = truth_of(contest)
    train_idx = pairs_of(folds).keeping(truth.kept).train_idx(fold)
    described = rows_of_recipe(runtime.workspace(), contest, recipe) if recipe else None
    if described is None:
        return truth.labels[train_idx]
    extra = load_rows(described, table_of(contest).train["id"].tolist(), truth.labels)
    return np.concatenate([truth.labels[train_idx], extra.labels[extra.beside(train_idx)]])


def groups_of(contest: Contest) -> NDArray[np.int64] | None:
    """The code of each training row's group in the contest's own group column, from memory after the first time; None where it has none."""
    return _load(own_groups, str(runtime.workspace().root), contest.id, f"{contest.fingerprint} {contest.spec.group_column}")


def facts_of(contest: Contest) -> RowFacts:
    """What of the contest's rows decides how they are trained on, from memory after the first time."""
    return _load(_facts, str(runtime.workspace().root), contest.id, contest.fingerprint)


def _facts(_: Workspace, contest: Contest) -> RowFacts:
    return row_facts(table_of(contest))


@lru_cache(maxsize=8)
def _load(load: Callable[[Workspace, Contest], Any], _root: str, contest_id: int, _fingerprint: str) -> Any:
    workspace = runtime.workspace()
    return load(workspace, get_contest(workspace.store, contest_id))


SIDE_PX = 192


def thumbnail(request: Request) -> Response:
    """Respond with a WebP of at most 192 px, 404 for a missing row, 415 for an unreadable picture."""
    part = request.path_params["part"]
    try:
        contest_id, row = (int(request.path_params[name]) for name in ("contest", "row"))
        contest = get_contest(runtime.workspace().store, contest_id)
        body = draw(contest, part, row)
    except (NotFoundError, ValueError) as error:
        return Response(str(error), status_code=404, media_type="text/plain")
    except PitwallError as error:
        return Response(str(error), status_code=415, media_type="text/plain")
    return Response(
        body, media_type="image/webp", headers={"Cache-Control": "private, max-age=86400", "ETag": f'"{contest.fingerprint[:16]}-{row}"'}
    )


def picture(contest: Contest, part: str, row: int) -> str:
    """The `src` of a row's picture: its thumbnail address where this server has the route, else a data address.

    The address carries the data's fingerprint, so that browsers may keep the picture. "" for a picture that cannot be drawn here.
    """
    if runtime.has_thumbnails():
        return f"/thumb/{contest.id}/{part}/{row}?v={contest.fingerprint[:8]}"
    try:
        return data_address(draw(contest, part, row))
    except InputError:
        return ""  # it is named where the row is opened


def draw(contest: Contest, part: str, row: int) -> bytes:
    """The thumbnail of row `row` of `part` (train or test) as WebP bytes."""
    table = table_of(contest)
    frame = {"train": table.train, "test": table.test}.get(part)
    if frame is None or table.image_base is None or not 0 <= row < len(frame):
        raise NotFoundError("no such row", where=f"{contest.name}/{part}/{row}", why="it is outside the contest's table")
    return draw_file(table.image_path(frame["input"].iloc[row]), frame["sha256"].iloc[row], table.white_level)


@lru_cache(maxsize=2048)
def draw_file(path: Path, sha256: str = "", white_level: float = 0.0, side_px: int = SIDE_PX) -> bytes:
    """A picture file, decoded as in training, as WebP bytes of at most `side_px`.

    Raises InputError for a damaged picture, and for one that is not that with `sha256`.
    """
    image = open_image(path, sha256=sha256, white_level=white_level)
    image.thumbnail((side_px, side_px))
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=82)
    return stream.getvalue()


def data_address(body: bytes) -> str:
    """A thumbnail as a data address, which needs no route and no registered contest."""
    return f"data:image/webp;base64,{base64.b64encode(body).decode('ascii')}"
