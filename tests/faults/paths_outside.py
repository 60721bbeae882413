"""G1. Traversal strings, symbolic links and archives that unpack upwards: nothing outside is opened, read, made or removed.

A folder beside the workspace is watched by the kernel while names that lead to it are given wherever a name is taken. The bug to plant:
a name is joined to its folder without a look at where that leads.
"""

from __future__ import annotations

import random
import shutil
import stat
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from sqlalchemy import update

from core import workspace as workspace_module
from core.artefacts import publishing, verify
from core.base.errors import PitwallError
from core.base.files import fingerprint, write_json
from core.base.settings import parse_settings
from core.blend.ensemble import make_spec, save_blend
from core.contest import table as table_module
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.contest.samples import open_sample
from core.contest.table import load_table
from core.contest.uploads import extract_archive
from core.data.images import open_image
from core.folds import load_folds, save_folds
from core.predictions.oof import load_oof
from core.recipes.plan import load_preset
from core.specs.folds import FoldsSpec
from core.specs.recipe import Recipe
from core.store import tables
from core.store.contests import Contest, get_contest
from core.store.folds import Folds
from core.store.runs import Run, get_run
from core.workspace import Workspace, open_workspace
from tests.contest.contest_folders import folder_contest, image_contest, write_csv, write_image
from tests.faults.fault import Given, Outcome, main
from tests.faults.watch import Watch
from tests.finished_workspace import finish_run, make_recipe

PER_KIND = 50


@dataclass(frozen=True)
class Opened:
    """A workspace with a contest of images and a finished run, and the watched folder beside it."""

    root: Path
    workspace: Workspace
    contest: Contest
    folds: Folds
    run: Run

    @property
    def outside(self) -> Path:
        """The folder that nothing may touch."""
        return self.root / "outside"


def run(given: Given) -> Outcome:
    """Give `n` names that lead outside, each kind in turn."""
    outcome, opened = Outcome(), make_opened(given.root)
    if given.is_mutant:
        for module in (workspace_module, table_module):
            module.__dict__["resolve_inside"] = lambda root, name: root / name
    for number, (kind, make) in enumerate(islice(cycle(KINDS.items()), given.n)):
        folder = given.root / "inputs" / str(number)
        folder.mkdir(parents=True)
        give = make(given.rng, opened, folder)
        watch = Watch(opened.outside)
        wrong = ""
        try:
            give()
        except PitwallError as problem:
            if not problem.fix:
                wrong = f"an error without a fix: {problem}"
        except Exception as problem:  # noqa: BLE001  # whatever else is raised is what this looks for
            wrong = f"{type(problem).__name__}: {problem}"
        seen = watch.seen()
        watch.close()
        if seen or wrong:
            outcome.wrong(f"{kind}: {wrong or sorted(set(seen))}")
        shutil.rmtree(folder)
    return outcome


def make_opened(root: Path) -> Opened:
    """Everything that names are given to, and what they lead to: an image, tables, an array and a recipe."""
    outside = root / "outside"
    write_image(outside / "secret.png", 1)
    for name in ("a", "b"):
        write_image(outside / "train" / name / "1.png", 2)
    write_csv(outside / "secret.csv", ("id", "path", "label"), [("1", "secret.png", "a"), ("2", "secret.png", "b")])
    (outside / "secret.yaml").write_text("name: secret\n")
    workspace = open_workspace(root / "workspace")
    contest = add_contest(workspace, inspect_path(image_contest(root / "there"), name="there").draft)
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=3))
    finished = finish_run(workspace, contest, folds, make_recipe(contest, "done"))
    with publishing(outside / "artefact", kind="folds", parents={}) as folder:
        (folder / "folds.npy").write_bytes(b"secret")
    return Opened(root, workspace, contest, folds, finished)


def leading_to(rng: random.Random, target: Path, start: Path) -> str:
    """A name that leads from a folder to a path outside, or would after one more decoding than there is."""
    up = "/".join([".."] * (len(start.parts) - len(target.parents[1].parts)))
    plain = f"{up}/{target.parent.name}/{target.name}"
    return rng.choice(
        [
            plain,
            str(target),
            f"./{plain}",
            f"images/../{plain}",
            f"images/./../{plain}",
            plain.replace("/", "\\"),
            plain.replace("..", "..."),
            plain.replace("../", "....//"),
            plain.replace("..", "%2e%2e").replace("/", "%2f"),
            plain.replace("/", "%2F"),
            plain.replace(".", "\uff0e"),
            plain.replace("/", "\u2215"),
            f"{plain}\0.png",
            f"file://{target}",
            f"/proc/self/root{target}",
            f"/proc/self/cwd/{plain}",
            f"~/../..{target}",
            f"\\\\?\\{target}",
            f"{plain}/",
            f" {plain} ",
            f"{start}/{plain}",
        ]
    )


def _cell(rng: random.Random, opened: Opened, folder: Path) -> Callable[[], object]:
    """A cell of a table that names an image."""
    root = image_contest(folder / "c")
    name = leading_to(rng, opened.outside / "secret.png", root)
    rows = [(f"{number:03d}", f"images/{number:03d}.png", "ab"[number % 2]) for number in range(6)]
    table = rng.choice(("train.csv", "test.csv"))
    header = ("id", "path", "label") if table == "train.csv" else ("id", "path")
    spoiled = [(row[0], name if number == 2 else row[1], row[2])[: len(header)] for number, row in enumerate(rows)]
    write_csv(root / table, header, spoiled)
    return lambda: add_contest(opened.workspace, inspect_path(root, name=f"c{rng.random()}"[:9].replace(".", "")).draft)


def _correction(rng: random.Random, opened: Opened, folder: Path) -> Callable[[], object]:
    """A setting of a contest that names a file or a folder."""
    root = image_contest(folder / "c")
    setting, target = rng.choice(
        [
            ("train", opened.outside / "secret.csv"),
            ("test", opened.outside / "secret.csv"),
            ("sample_submission", opened.outside / "secret.csv"),
            ("image_root", opened.outside / "train"),
            ("test_image_root", opened.outside / "train"),
            ("test", opened.outside / "train"),
            ("name", opened.outside / "train"),
        ]
    )
    return lambda: inspect_path(root, sets=[f"{setting}={leading_to(rng, target, root)}"])


def _class_root(rng: random.Random, opened: Opened, folder: Path) -> Callable[[], object]:
    root = folder_contest(folder / "c")
    return lambda: inspect_path(root, sets=["layout=folders", f"train={leading_to(rng, opened.outside / 'train', root)}"])


def _link(rng: random.Random, opened: Opened, folder: Path) -> Callable[[], object]:
    """A file or a folder of a contest that is a link."""
    root = rng.choice((image_contest, folder_contest))(folder / "c")
    places = [path for path in sorted(root.rglob("*")) if path.is_file() or path.name in ("train", "test", "images")]
    path = rng.choice(places)
    target = opened.outside / "train" if path.is_dir() else opened.outside / ("secret.csv" if path.suffix == ".csv" else "secret.png")
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    if rng.random() < 0.3:  # a link to a link
        (folder / "step").symlink_to(target)
        target = folder / "step"
    path.symlink_to(
        target
        if rng.random() < 0.5
        else Path(*[".."] * (len(path.parent.parts) - len(opened.root.parts)), *target.relative_to(opened.root).parts)
    )
    return lambda: add_contest(opened.workspace, inspect_path(root, name="linked").draft)


def _later_link(rng: random.Random, opened: Opened, folder: Path) -> Callable[[], object]:
    """An image that becomes a link after its contest was registered, as training and galleries open it."""
    table = load_table(opened.workspace, opened.contest)
    name = rng.choice(table.train["input"].tolist())
    path = opened.root / "there" / name

    def give() -> None:
        kept = path.read_bytes()
        path.unlink()
        path.symlink_to(opened.outside / "secret.png")
        try:
            open_image(table.image_path(name))
        finally:
            path.unlink()
            path.write_bytes(kept)

    return give


def _archive(rng: random.Random, opened: Opened, folder: Path) -> Callable[[], object]:
    """An archive with a member that leads upwards, or is a link."""
    path, out = folder / "a.zip", folder / "out" / "here"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("first.txt", b"x")
        if rng.random() < 0.7:
            archive.writestr(leading_to(rng, opened.outside / rng.choice(("new.txt", "secret.png")), out).replace("\0", ""), b"written")
        else:
            info = zipfile.ZipInfo("link")
            info.create_system = 3
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, str(opened.outside))
            archive.writestr("link/new.txt", b"written")
    return lambda: extract_archive(path, out)


def _name(rng: random.Random, opened: Opened, folder: Path) -> Callable[[], object]:
    """Names of things, which become names of files: contests, runs, blends, presets, samples, references in an address."""
    store = opened.workspace.store
    name = leading_to(rng, opened.outside / "secret.yaml", opened.workspace.root / "contests" / "there" / "runs")
    without_suffix = name.removesuffix(".yaml")
    return rng.choice(
        [
            lambda: load_preset(without_suffix),
            lambda: open_sample(opened.workspace, without_suffix),
            lambda: get_contest(store, name),
            lambda: get_run(store, name),
            lambda: parse_settings(Recipe, {"name": name}, where="recipe"),
            lambda: parse_settings(type(opened.contest.spec), {**opened.contest.spec.to_dict(), "name": name}, where="contest"),
            lambda: save_blend(opened.workspace, opened.contest, make_spec((opened.run.id, opened.run.id)), name=name),
        ]
    )


def _stored_path(rng: random.Random, opened: Opened, folder: Path) -> Callable[[], object]:
    """A path in the database that leads outside, as a workspace from a stranger may hold."""
    store, stored = opened.workspace.store, leading_to(rng, opened.outside / "artefact", opened.workspace.root)

    def with_path(table: Any, read: Callable[[str], object]) -> Callable[[], object]:
        def give() -> None:
            with store.transaction() as connection:
                kept = connection.execute(table.select().with_only_columns(table.c.path)).scalars().first()
                connection.execute(update(table).values(path=stored.replace("\0", "")))
            try:
                read(stored)
            finally:
                with store.transaction() as connection:
                    connection.execute(update(table).values(path=kept))

        return give

    def folds_there(path: str) -> object:
        return load_folds(opened.workspace, cast(Folds, SimpleNamespace(path=path)))

    return rng.choice(
        [
            with_path(tables.folds, folds_there),
            with_path(tables.contests, lambda _: load_table(opened.workspace, get_contest(store, "there"))),
            lambda: load_oof(
                opened.workspace,
                cast(
                    Run,
                    SimpleNamespace(
                        results=[SimpleNamespace(path=stored, fold=0)], folds_id=opened.folds.id, truth_id=opened.contest.truth.id, name="x"
                    ),
                ),
                opened.contest,
            ),
        ]
    )


def _manifest(rng: random.Random, opened: Opened, folder: Path) -> Callable[[], object]:
    """A manifest, whole in itself, that names files elsewhere."""
    artefact = folder / "artefact"
    artefact.mkdir()
    content = {"kind": "fold", "parents": {}, "files": {leading_to(rng, opened.outside / "secret.png", artefact): "0" * 64}, "facts": {}}
    write_json(artefact / "manifest.json", {**content, "sha256": fingerprint(content)})
    return lambda: verify(artefact)


KINDS: dict[str, Callable[[random.Random, Opened, Path], Callable[[], object]]] = {
    "cell of a table": _cell,
    "correction": _correction,
    "folder of classes": _class_root,
    "link": _link,
    "link made later": _later_link,
    "archive": _archive,
    "name": _name,
    "path in the database": _stored_path,
    "manifest": _manifest,
}
FULL_N = PER_KIND * len(KINDS)


if __name__ == "__main__":
    sys.exit(main(run, full_n=FULL_N))
