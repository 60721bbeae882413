"""A process that shows what a recipe does to rows before anything is trained (`python -m core.jobs.preview`). It stays, so that torch is loaded once.

It reads a question a line from its standard input and writes an answer a line. It ends with its asker, after IDLE_S without a question, and when an
answer takes LIMIT_S.
"""

import argparse
import base64
import io
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.base.errors import PitwallError, StateError, bug
from core.base.messages import msg
from core.base.settings import parse_settings
from core.jobs.devices import worker_environment
from core.jobs.fold import ids_of_rows, load_task, start_dir
from core.jobs.process import ROOT
from core.specs.recipe import Recipe
from core.store.contests import Contest, get_contest
from core.store.folds import Folds, get_folds
from core.training.task import FoldTask
from core.workspace import Workspace, open_workspace

IDLE_S = 600
LIMIT_S = 60
"""The first answer takes some seconds: torch comes up."""
SHOWN = 12
"""How many rows are shown."""
EXACT_PX = 64
"""Pictures up to this side are stored exactly; larger ones lose what nobody sees."""

log = logging.getLogger("core.jobs.preview")


@dataclass(frozen=True)
class Picture:
    """A row as the network sees it: an image file, and the share of each class that it teaches, where it teaches any of it, the largest first."""

    image: bytes
    shares: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Reading:
    """A text as the network reads it: its row's id, the text as all epochs have it and as this one reads it, the tokens that are read of it, of which window
    (from 0) of how many, the id of the row that its embeddings are mixed with ("" for none), its weight, and the shares of classes as of `Picture`."""

    id: str
    before: str
    after: str
    pieces: tuple[str, ...]
    window: int
    n_windows: int
    mixed_with: str
    weight: float
    shares: tuple[tuple[str, float], ...]


Seen = Picture | Reading


def _picture(said: dict[str, Any]) -> Picture:
    return Picture(base64.b64decode(said["image"]), tuple((name, share) for name, share in said["shares"]))


def _reading(said: dict[str, Any]) -> Reading:
    shares = tuple((name, share) for name, share in said["shares"])
    whole: dict[str, Any] = {**said, "pieces": tuple(said["pieces"]), "shares": shares}
    return Reading(**whole)


@dataclass(frozen=True)
class _Question:
    """The first step of which epoch, of fold 0 of which folds, under which recipe."""

    contest_id: int
    folds_id: int
    recipe: dict[str, Any]
    epoch: int


class Previewer:
    """The process, started by the first question and anew where it has ended. Questions are answered one after another."""

    def __init__(self, workspace: Workspace, *, limit_s: int = LIMIT_S) -> None:
        self._workspace, self._limit_s = workspace, limit_s
        self._asker = ThreadPoolExecutor(1, thread_name_prefix="preview")
        self._process: subprocess.Popen[str] | None = None
        self._is_stopped = False

    def ask(self, contest: Contest, folds: Folds, recipe: Recipe, epoch: int) -> Future[tuple[Seen, ...]]:
        """The first rows of an epoch of fold 0, at most SHOWN, when they are ready.

        The future raises what loading them would, and StateError where the process ended or took too long. One that waits can be canceled.
        """
        question = json.dumps(asdict(_Question(contest.id, folds.id, recipe.to_dict(), epoch)))
        return self._asker.submit(self._look, question)

    def stop(self) -> None:
        """End the process, if there is one, from any thread; what is asked fails."""
        self._is_stopped = True
        self._asker.shutdown(wait=False, cancel_futures=True)
        if self._process is not None:
            self._process.kill()
        self._asker.shutdown(wait=True)
        self._let_go()

    def _look(self, question: str) -> tuple[Seen, ...]:
        said = self._say(question)
        if not said and self._process is not None and self._process.wait() == 0:  # idle for so long that it ended just now
            said = self._say(question)
        if not said:
            code = self._process.wait() if self._process is not None else 0
            is_late = code == -signal.SIGALRM
            raise StateError(
                "the preview was given up after {n} s" if is_late else "the preview ended before it could answer",
                why="the rows are read too slowly" if is_late else msg("its process ended with {code}", code=code),
                fix="ask again",
                n=self._limit_s,
            )
        answer = json.loads(said)
        if "error" in answer:
            raise PitwallError.from_dict(answer["error"])
        read = _reading if answer["modality"] == "text" else _picture
        return tuple(map(read, answer["rows"]))

    def _say(self, question: str) -> str:
        """Ask the process, which is started where none runs; "" where it ended without an answer."""
        if self._process is not None and self._process.poll() is not None:
            self._let_go()
        if self._process is None:
            self._process = self._start()
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.write(question + "\n")
            process.stdin.flush()
            return process.stdout.readline()
        return ""

    def _let_go(self) -> None:
        """Close the pipes of a process that has ended, or is about to."""
        process, self._process = self._process, None
        if process is not None:
            for stream in (process.stdin, process.stdout):
                assert stream is not None
                with suppress(OSError):  # a question that nobody reads any more
                    stream.close()
            process.wait()

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "core.jobs.preview", "--workspace", str(self._workspace.root), "--limit", str(self._limit_s)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,
            env=worker_environment({"OMP_NUM_THREADS": "1"}),
        )
        if self._is_stopped:
            process.kill()
        return process


# From here on the process that answers


@dataclass
class Kept:
    """What the last questions needed: the task of their rows with the ids of these, and the tokenizer of their texts, each with what it was loaded for."""

    task: tuple[object, FoldTask, list[str]] | None = None
    tokenizer: tuple[object, Any] | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer until nothing is asked any more. An alarm that nobody handles ends the process, wherever it hangs."""
    parser = argparse.ArgumentParser(prog="core.jobs.preview", description="Show what a recipe does to rows. Not started by hand.")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--limit", type=int, required=True)
    given = parser.parse_args(arguments)
    signal.alarm(given.limit)
    workspace = open_workspace(given.workspace)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(message)s")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is no answer
    questions: queue.SimpleQueue[str] = queue.SimpleQueue()
    kept = Kept()
    threading.Thread(target=_listen, args=(questions,), name="listener", daemon=True).start()
    while True:
        try:
            question = questions.get(timeout=IDLE_S)
        except queue.Empty:
            return 0
        signal.alarm(given.limit)
        answers.write(json.dumps(_answer(workspace, _Question(**json.loads(question)), kept)) + "\n")
        answers.flush()
        signal.alarm(0)


def _listen(questions: "queue.SimpleQueue[str]") -> None:
    """Take questions; when there can be no more, the asker is gone, and nothing here needs to end in order."""
    for line in sys.stdin:
        questions.put(line)
    os._exit(0)


def _answer(workspace: Workspace, asked: _Question, kept: Kept) -> dict[str, Any]:
    try:
        return _look(workspace, asked, kept)
    except PitwallError as error:
        return {"error": error.to_dict()}
    except Exception as problem:  # a bug is an answer too, and keeps its traceback in the log
        log.exception("a preview met a bug")
        return {"error": bug(problem, where="a preview", fix="please report it; its traceback is in the terminal that runs Pitwall")}


def _look(workspace: Workspace, asked: _Question, kept: Kept) -> dict[str, Any]:
    contest, folds = get_contest(workspace.store, asked.contest_id), get_folds(workspace.store, asked.folds_id)
    recipe = parse_settings(Recipe, asked.recipe, where="recipe")
    rows = (contest.version, folds.fingerprint, recipe.input.compose_settings, recipe.clean, recipe.train.extra_rows)
    if kept.task is None or kept.task[0] != rows:  # tens of thousands of rows take seconds to read and verify
        task = load_task(workspace, contest, folds, recipe, 0, device="cpu", out_dir=workspace.root)
        kept.task = (rows, task, ids_of_rows(workspace, contest, recipe))
    task = replace(kept.task[1], recipe=recipe, start_dir=start_dir(workspace, contest, folds, recipe, 0))
    look = _texts if recipe.modality == "text" else _pictures
    return {"modality": recipe.modality, "rows": look(task, asked.epoch, kept)}


def _pictures(task: FoldTask, epoch: int, _kept: Kept) -> list[dict[str, Any]]:
    from core.training.preview import see_rows  # torch takes seconds to come up

    seen = see_rows(task, epoch, SHOWN)
    return [{"image": _encoded(pixels), "shares": _shares(task, target)} for pixels, target in zip(seen.pixels, seen.targets, strict=True)]


def _texts(task: FoldTask, epoch: int, kept: Kept) -> list[dict[str, Any]]:
    from core.training.text_preview import load_tokenizer, read_texts

    assert kept.task is not None
    model = task.recipe.model
    wanted = (kept.task[0], model.backbone, model.pretrained, model.lora != "none", task.start_dir, task.recipe.input.max_tokens)
    if kept.tokenizer is None or kept.tokenizer[0] != wanted:
        kept.tokenizer = (wanted, load_tokenizer(task))
    ids = kept.task[2]
    return [
        {
            **{name: getattr(each, name) for name in ("before", "after", "pieces", "window", "n_windows", "weight")},
            "id": ids[each.row],
            "mixed_with": ids[each.mixed_with] if each.mixed_with >= 0 else "",
            "shares": _shares(task, each.target),
        }
        for each in read_texts(task, kept.tokenizer[1], epoch, SHOWN)
    ]


def _shares(task: FoldTask, target: NDArray[np.float32]) -> list[tuple[str, float]]:
    """The classes of which a row teaches any share, the largest first."""
    named = ((name, float(share)) for name, share in zip(task.classes, target, strict=True) if share > 0)
    return sorted(named, key=lambda pair: -pair[1])


def _encoded(pixels: NDArray[np.uint8]) -> str:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "WEBP", quality=90, lossless=max(pixels.shape) <= EXACT_PX)
    return base64.b64encode(stream.getvalue()).decode("ascii")


if __name__ == "__main__":
    code = main()
    # torch takes seconds to take itself down, and nobody waits for that.
    os._exit(code)
