"""A4. A checkpoint lacks one piece: a file, a key of its state, a tensor. It is refused by name; or set aside, and the one before is used.

A file that is gone although the manifest names it is damage: set aside. A piece that is gone while the manifest is true (another
version wrote it, or a person did) is a refusal: to train on without it would end in other numbers, unseen.
The bug to plant: what is missing is filled with a default.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from core.artefacts import MANIFEST, OWN_HASH
from core.base.errors import PitwallError
from core.specs.progress import EpochReport, Progress
from core.training import state
from core.training.checkpoint import list_checkpoints, list_quarantined
from core.training.fold import train_fold
from core.training.state import STATE_FILE, TrainPosition
from core.training.task import FoldTask
from tests.faults.fault import Given, Outcome, main
from tests.training.small_tasks import IMAGE, TEXT, recipe_of
from tests.training.stopped import HARD, Crash, rewrite_manifest, stopped_task

FULL_N = 10**4
"""All pieces of both modalities; how many there are is what is printed."""
TENSORS = ("network", "optimizer", "average", "best")


@dataclass(frozen=True)
class Piece:
    """One piece, how to take it out of a checkpoint's folder, and the word by which it must be named.

    `is_damage`: the manifest shows that something is wrong, so the checkpoint before is used.
    """

    name: str
    take: Callable[[Path], None]
    word: str
    is_damage: bool = False


def run(given: Given) -> Outcome:
    """Take away the first `n` pieces, one at a time; kinds of pieces come in turn, and texts before images."""
    torch.set_num_threads(1)
    outcome, n_taken = Outcome(), 0
    if given.is_mutant:
        state._read_position = _with_defaults  # pyright: ignore[reportPrivateUsage]
    for base in (TEXT, IMAGE):
        if n_taken == given.n:
            break
        folder = given.root / base["modality"]
        folder.mkdir()
        task = stopped_task(folder, recipe_of(base, **HARD))
        assert task.checkpointing is not None
        kept, whole = task.checkpointing.folder, folder / "whole"
        kept.rename(whole)
        newest = list_checkpoints(whole)[0].path.name
        for piece in islice(_pieces(whole / newest), given.n - n_taken):
            n_taken += 1
            shutil.copytree(whole, kept, copy_function=os.link)
            piece.take(kept / newest)
            if problem := _problem(piece, task):
                outcome.wrong(f"{base['modality']}, without {piece.name}: {problem}")
            shutil.rmtree(kept)
    outcome.n = n_taken
    return outcome


def _problem(piece: Piece, task: FoldTask) -> str:
    """What is wrong with how the next attempt takes it; empty when nothing is."""
    assert task.checkpointing is not None
    newest, before = list_checkpoints(task.checkpointing.folder)
    shutil.rmtree(task.out_dir)
    task.out_dir.mkdir()
    began: list[tuple[int, int]] = []

    def report(said: Progress | EpochReport) -> None:
        if isinstance(said, Progress) and said.phase == "training":
            began.append((said.epoch, said.step - 1))
            raise Crash

    try:
        train_fold(replace(task, checkpointing=replace(task.checkpointing, every_s=9999)), report=report, should_stop=lambda: False)
    except Crash:
        set_aside = [found.path.name for found in list_quarantined(task.checkpointing.folder)]
        if piece.is_damage and (set_aside, began) == ([newest.path.name], [(before.epoch, before.step)]):
            return ""
        return f"it went on from {began[0]}; set aside: {set_aside}"
    except PitwallError as refusal:
        if piece.is_damage:
            return f"refused instead of set aside: {refusal.what}"
        return "" if piece.word in f"{refusal.what} {refusal.why}" else f"not named: {refusal.what}, {refusal.why}"
    return "it was not resumed at all"


def _pieces(whole: Path) -> Iterator[Piece]:
    """Every piece of a checkpoint; one of each kind, then the next ones."""
    held = json.loads((whole / STATE_FILE).read_text(encoding="utf-8"))
    manifest = json.loads((whole / MANIFEST).read_text(encoding="utf-8"))
    names = sorted(manifest["files"])
    kinds: list[Iterable[Piece]] = [
        (_key(STATE_FILE, "position", key) for key in held["position"]),
        (_tensor(name, key) for name in TENSORS for key in load_file(whole / f"{name}.safetensors")),
        (Piece(f"the file {name}", partial(_remove, name=name), name, is_damage=True) for name in (*names, MANIFEST)),
        (Piece(f"the file {name}, nor in the manifest", partial(_remove, name=name, is_said=True), name) for name in names),
        (_key(STATE_FILE, "position", "epochs", 0, key) for key in held["position"]["epochs"][0]),
        (_key(STATE_FILE, "tensors", name) for name in held["tensors"]),
        (_key(STATE_FILE, "tensors", name, number, word=key) for name in TENSORS for number, key in enumerate(held["tensors"][name])),
        (_key(STATE_FILE, name) for name in held),
        (_key(MANIFEST, "files", name) for name in names),
        (_key(MANIFEST, "parents", name) for name in manifest["parents"]),
        (_key(MANIFEST, name, is_damage=True) for name in manifest if name != OWN_HASH),
    ]
    for turn in zip_longest(*kinds):
        yield from (piece for piece in turn if piece is not None)


def _key(file: str, *path: Any, word: str = "", is_damage: bool = False) -> Piece:
    return Piece(f"{'.'.join(map(str, path))} of {file}", partial(_remove_key, file=file, path=path), word or str(path[-1]), is_damage)


def _tensor(name: str, key: str) -> Piece:
    return Piece(f"{key} of {name}", partial(_remove_tensor, name=name, key=key), f"{key} of {name}")


def _remove(folder: Path, *, name: str, is_said: bool = False) -> None:
    (folder / name).unlink()
    if is_said:
        _rewrite(folder)


def _remove_key(folder: Path, *, file: str, path: tuple[Any, ...]) -> None:
    raw = json.loads((folder / file).read_text(encoding="utf-8"))
    place = raw
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    if file == MANIFEST:
        raw.pop(OWN_HASH, None)  # it may be without one
    (folder / file).unlink()  # the others are links to it
    (folder / file).write_text(json.dumps(raw), encoding="utf-8")
    if file != MANIFEST:
        _rewrite(folder)


def _remove_tensor(folder: Path, *, name: str, key: str) -> None:
    path = folder / f"{name}.safetensors"
    tensors = load_file(path)
    del tensors[key]
    path.unlink()
    save_file(tensors, path)
    _rewrite(folder)


def _rewrite(folder: Path) -> None:
    """A manifest of its own, and a true one."""
    text = (folder / MANIFEST).read_bytes()
    (folder / MANIFEST).unlink()
    (folder / MANIFEST).write_bytes(text)
    rewrite_manifest(folder)


def _with_defaults(folder: Path) -> tuple[TrainPosition, dict[str, list[str]]]:
    raw = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
    known = {item.name for item in fields(TrainPosition)}
    return TrainPosition(**{key: value for key, value in raw["position"].items() if key in known}), raw["tensors"]


if __name__ == "__main__":
    sys.exit(main(run, full_n=FULL_N))
