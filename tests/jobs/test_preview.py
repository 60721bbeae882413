"""The process that shows a batch: it stays, answers anew, and a failure is typed."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from core.base.errors import NotFoundError, StateError
from core.base.settings import apply_sets
from core.jobs.preview import Picture, Previewer
from core.specs.recipe import Recipe
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
    return previewer.ask(ready.contest, ready.folds, recipe, 1).result(timeout=90)


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
