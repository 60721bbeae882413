"""The process that shows a batch: it stays, answers anew, and a failure is typed."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.base.errors import NotFoundError, StateError
from core.base.settings import apply_sets
from core.contest.extra_rows import add_rows
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.jobs.preview import SHOWN, Picture, Previewer, Reading, Seen
from core.specs.folds import FoldsSpec
from core.specs.recipe import Recipe
from tests.contest.contest_folders import write_csv
from tests.jobs.conftest import CLASSES, Ready

pytestmark = pytest.mark.slow  # torch comes up in a process of its own

PLAIN = {"min_crop": 1.0, "hflip": False, "jitter": 0.0}


@pytest.fixture
def previewer(ready: Ready) -> Iterator[Previewer]:
    found = Previewer(ready.workspace)
    yield found
    found.stop()


def recipe_of(**augment: object) -> Recipe:
    return Recipe.model_validate(
        {
            "model": {"backbone": "test_vit", "pretrained": False},
            "input": {"size_px": 32},
            "augment": {**PLAIN, **augment},
            "train": {"batch_size": 10},
        }
    )


def main_channel(picture: Picture) -> str:
    return CLASSES[int(np.asarray(Image.open(io.BytesIO(picture.image))).mean(axis=(0, 1)).argmax())]


def look(previewer: Previewer, ready: Ready, recipe: Recipe) -> tuple[Picture, ...]:
    return pictures_of(previewer.ask(ready.contest, ready.folds, recipe, 1).result(timeout=90))


def pictures_of(seen: tuple[Seen, ...]) -> tuple[Picture, ...]:
    assert all(isinstance(each, Picture) for each in seen)
    return tuple(each for each in seen if isinstance(each, Picture))


def test_it_shows_images_with_their_labels_and_stays(ready: Ready, previewer: Previewer) -> None:
    pictures = look(previewer, ready, recipe_of())
    assert len(pictures) == 10
    assert [picture.shares for picture in pictures] == [((main_channel(picture), 1.0),) for picture in pictures]
    began = time.monotonic()
    mixed = look(previewer, ready, recipe_of(mixup=1.0))
    assert time.monotonic() - began < 2
    shares = [share for picture in mixed for _, share in picture.shares]
    assert sum(shares) == pytest.approx(10, abs=1e-4) and max(len(picture.shares) for picture in mixed) == 2
    assert [picture.shares[0][1] >= 0.5 for picture in mixed] == [True] * 10, "the larger share comes first"


def test_it_shows_texts_with_extra_rows_and_answers_a_change_soon(ready: Ready, previewer: Previewer, tmp_path: Path) -> None:
    rows = [(f"r{number}", f"body {number} of a review", ("good", "poor")[number % 2]) for number in range(30)]
    write_csv(tmp_path / "reviews" / "train.csv", ("id", "text", "label"), rows)
    write_csv(tmp_path / "reviews" / "test.csv", ("id", "text"), [("t1", "a")])
    contest = add_contest(ready.workspace, inspect_path(tmp_path / "reviews", sets=["label_column=label", "id_column=id"]).draft)
    folds = save_folds(ready.workspace, contest, FoldsSpec(n_folds=3))
    write_csv(tmp_path / "more.csv", ("source", "text"), [(name, "other words of it") for name, *_ in rows])
    add_rows(ready.workspace, contest, tmp_path / "more.csv", kind="augmented", weight=0.5)

    def read(**train: object) -> list[Reading]:
        settings = {"batch_size": 40, "extra_rows": "more", **train}
        recipe = Recipe.model_validate(
            {
                "modality": "text",
                "model": {"backbone": "tiny_transformer", "pretrained": False},
                "augment": {"mixup": 0.4},
                "train": settings,
            }
        )
        return [each for each in previewer.ask(contest, folds, recipe, 1).result(timeout=90) if isinstance(each, Reading)]

    seen = read()
    assert len(seen) == SHOWN and {each.id.partition(":")[0] for each in seen} & {"more"}, "extra rows go by their names"
    assert [each.mixed_with for each in seen[1:]] == [each.id for each in seen[:-1]]
    began = time.monotonic()
    plain = read(extra_rows="")
    assert time.monotonic() - began < 2 and all(each.weight == 1 and each.id.startswith("r") for each in plain)
    assert all(each.before == each.after and each.pieces and each.shares for each in plain)


def test_a_failure_is_typed_and_a_process_that_is_gone_is_replaced(ready: Ready, previewer: Previewer) -> None:
    with pytest.raises(NotFoundError):
        look(previewer, ready, apply_sets(recipe_of(), ["model.start_from=r99"]))
    process = previewer._process  # pyright: ignore[reportPrivateUsage]
    assert process is not None and process.poll() is None, "it answers on"
    assert process.stdin is not None
    process.stdin.close()  # as when the server dies
    assert process.wait(timeout=10) == 0
    assert len(look(previewer, ready, recipe_of())) == 10


def test_one_that_takes_too_long_is_given_up(ready: Ready) -> None:
    hasty = Previewer(ready.workspace, limit_s=1)
    try:
        with pytest.raises(StateError, match="given up after 1 s"):
            look(hasty, ready, recipe_of())
    finally:
        hasty.stop()
