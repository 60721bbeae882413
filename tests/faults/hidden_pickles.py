"""G2. Pickles dressed as weights, arrays, tables, images, recipes and models with code of their own: nothing of them is executed.

Every pickle makes a folder when it is opened; none may be there afterwards, and what is given is refused with a typed error. The bug to
plant: arrays may hold objects, which numpy unpickles.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from core.artefacts import publishing
from core.base.errors import PitwallError
from core.base.settings import load_settings
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.contest.table import load_table
from core.data.images import open_image
from core.exchange.exchange import import_predictions
from core.folds import load_folds, save_folds
from core.predictions.oof import load_oof
from core.predictions.source import Source
from core.specs.blend import BlendSpec
from core.specs.folds import FoldsSpec
from core.specs.kept import BlendScores
from core.specs.recipe import Recipe
from core.store.blends import Blend
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run
from core.workspace import Workspace, open_workspace
from tests.conftest import write_headlines_to
from tests.faults.fault import Given, Outcome, main
from tests.inputs.pickles import PLAIN, TORCH, as_array, as_joblib

PER_KIND = 50
TINY_BERT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 8}


@dataclass(frozen=True)
class Opened:
    """A workspace with a contest of texts on folds."""

    workspace: Workspace
    contest: Contest
    folds: Folds


def run(given: Given) -> Outcome:
    """Give `n` pickles, each kind in turn."""
    warnings.filterwarnings("ignore", module="torch")  # it remarks on the age of the pickles that it refuses
    outcome, opened = Outcome(), make_opened(given.root)
    if given.is_mutant:
        read_array = np.lib.format.read_array
        np.lib.format.read_array = lambda stream, **_: read_array(stream, allow_pickle=True)
    for number, (kind, make) in enumerate(islice(cycle(KINDS.items()), given.n)):
        folder = given.root / "inputs" / str(number)
        folder.mkdir(parents=True)
        mark = given.root / f"mark-{number}"
        name, give = make(given.rng, opened, folder, mark)
        wrong = "accepted"
        try:
            give()
        except PitwallError as problem:
            wrong = "" if problem.what and problem.fix else f"an error without a fix: {problem}"
        except Exception as problem:  # noqa: BLE001  # whatever else is raised is what this looks for
            wrong = f"{type(problem).__name__}: {problem}"
        if mark.exists():
            outcome.missing(f"{kind}, {name}: it was executed")
        elif wrong:
            outcome.wrong(f"{kind}, {name}: {wrong}")
        shutil.rmtree(folder)
    return outcome


def make_opened(root: Path) -> Opened:
    """A registered contest with three folds."""
    workspace = open_workspace(root / "workspace")
    contest = add_contest(workspace, inspect_path(write_headlines_to(root / "headlines")).draft)
    return Opened(workspace, contest, save_folds(workspace, contest, FoldsSpec(n_folds=3)))


Made = tuple[str, Callable[[], object]]


def _predictions(rng: random.Random, opened: Opened, folder: Path, mark: Path) -> Made:
    """Predictions of a team-mate."""
    dress = rng.choice([*PLAIN, *TORCH])
    path = folder / f"oof{rng.choice(('.npy', '.npy', '.csv', '.parquet'))}"
    dress(path, mark)
    return f"{dress.__name__} as {path.suffix}", lambda: import_predictions(
        opened.workspace, opened.contest, opened.folds, oof=path, test=path
    )


def _artefact(rng: random.Random, opened: Opened, folder: Path, mark: Path) -> Made:
    """Arrays in artefacts whose manifests are whole, as a workspace from a stranger may hold."""
    dress = rng.choice([as_array, *PLAIN])
    parents = {"contest": opened.contest.fingerprint, "folds": opened.folds.fingerprint}
    kind, files, read = rng.choice(
        [
            ("fold", ("valid_idx.npy", "valid_prob.npy", "test_prob.npy"), _read_fold),
            ("folds", ("roles.npy",), lambda opened, path: load_folds(opened.workspace, cast(Folds, SimpleNamespace(path=path)))),
            (
                "blend",
                ("oof_prob.npy", "test_prob.npy"),
                lambda opened, path: Source(opened.workspace, opened.contest, opened.folds, _strange_blend(path)).test(),
            ),
            ("contest", ("train.parquet", "test.parquet"), _read_table),
        ]
    )
    destination = opened.workspace.root / "strange" / mark.name
    with publishing(destination, kind=kind, parents=parents) as temporary:
        for name in files:
            dress(temporary / name, mark)
    return f"{dress.__name__} as {kind}", lambda: read(opened, opened.workspace.relative(destination))


def _strange_blend(path: str) -> Blend:
    spec, scores = (
        BlendSpec(weights=(1.0,), members=(1,)),
        BlendScores(metric="", oof_score=0, fold_scores=(), cv_score=0, cv_sd=0, equal_score=0),
    )
    return Blend(1, 1, 1, "strange", spec, (1,), scores, "", path, 0.0, 1)


def _read_fold(opened: Opened, path: str) -> object:
    run = SimpleNamespace(
        results=[SimpleNamespace(path=path, fold=0)], folds_id=opened.folds.id, truth_id=opened.contest.truth.id, name="strange"
    )
    return load_oof(opened.workspace, cast(Run, run), opened.contest)


def _read_table(opened: Opened, path: str) -> object:
    return load_table(opened.workspace, cast(Contest, SimpleNamespace(path=path, spec=opened.contest.spec)))


def _image_weights(rng: random.Random, opened: Opened, folder: Path, mark: Path) -> Made:
    """Weights of an image network: a file of the workspace, or one that a package ships as .pth."""
    from models import weights
    from models.catalog import find_backbone

    dress = rng.choice([*TORCH, *PLAIN])
    if rng.random() < 0.5:
        backbone = find_backbone("test_resnet.r160_in1k")
        dress(folder / f"{backbone.name}.safetensors", mark)
        return f"{dress.__name__} as .safetensors", lambda: _build(backbone, folder)
    backbone = find_backbone("tf_efficientnet_lite0.in1k")
    path = folder / "lite0.pth"
    dress(path, mark)
    module, kept = weights.PACKAGE_FILES[backbone.package]

    def give() -> None:
        weights.PACKAGE_FILES[backbone.package] = (module, str(path))
        try:
            _build(backbone, folder)
        finally:
            weights.PACKAGE_FILES[backbone.package] = (module, kept)

    return f"{dress.__name__} as .pth", give


def _text_weights(rng: random.Random, opened: Opened, folder: Path, mark: Path) -> Made:
    """The folder of a text network: weights that are a pickle, or code of its own that it asks to be run."""
    from models.catalog import find_backbone

    backbone = find_backbone("klue/roberta-base")
    inside = folder / backbone.name
    inside.mkdir(parents=True)
    config: dict[str, Any] = {"model_type": "bert", **TINY_BERT}
    (inside / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\n")
    if rng.random() < 0.6:
        dress = rng.choice([*TORCH, *PLAIN])
        name = rng.choice(("pytorch_model.bin", "model.safetensors"))
        dress(inside / name, mark)
        said = f"{dress.__name__} as {name}"
    else:
        said = "code of its own"
        (inside / "modeling_own.py").write_text(f"import os\nos.mkdir({str(mark)!r})\nclass Own: pass\n")
        config |= {"model_type": "own", "auto_map": {"AutoConfig": "modeling_own.Own", "AutoModel": "modeling_own.Own"}}
        (inside / "model.safetensors").write_bytes(b"")
    (inside / "config.json").write_text(json.dumps(config))
    return said, lambda: _build(backbone, folder)


def _build(backbone: Any, weights_dir: Path) -> None:
    from core.training.failures import typed_failures
    from models.build import build_model
    from models.spec import ModelSpec

    with typed_failures(Recipe(), "fold 0"):
        build_model(ModelSpec(backbone, 3, weights_dir, pretrained=True, max_tokens=16))


def _tokenizer(rng: random.Random, opened: Opened, folder: Path, mark: Path) -> Made:
    """A tokenizer that is a pickle, or that asks for code of its own."""
    from core.training.failures import typed_failures
    from models.catalog import find_backbone
    from models.spec import ModelSpec
    from models.text import build_tokenizer

    backbone = find_backbone("klue/roberta-base")
    inside = folder / backbone.name
    inside.mkdir(parents=True)
    (inside / "model.safetensors").write_bytes(b"")
    (inside / "config.json").write_text(json.dumps({"model_type": "own", **TINY_BERT}))
    own = rng.random() < 0.5
    if own:
        (inside / "tokenization_own.py").write_text(f"import os\nos.mkdir({str(mark)!r})\nclass Own: pass\n")
        map_ = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["tokenization_own.Own", None]}}
        (inside / "tokenizer_config.json").write_text(json.dumps(map_))
        (inside / "vocab.txt").write_text("a\n")
    else:
        rng.choice(PLAIN)(inside / "tokenizer.json", mark)

    def give() -> None:
        with typed_failures(Recipe(), "fold 0"):
            build_tokenizer(ModelSpec(backbone, 3, folder, pretrained=True, max_tokens=16), [])

    return "code of its own" if own else "tokenizer.json", give


def _checkpoint(rng: random.Random, opened: Opened, folder: Path, mark: Path) -> Made:
    """The state of a training that goes on."""
    import torch

    from core.training.state import TrainState

    model = torch.nn.Linear(2, 2)
    state = TrainState(model, torch.optim.AdamW(model.parameters()), None)
    dress = rng.choice([*TORCH, *PLAIN])
    state.snapshot().write(folder)
    name = rng.choice(("network.safetensors", "optimizer.safetensors", "state.json"))
    dress(folder / name, mark)
    return f"{dress.__name__} as {name}", lambda: state.restore(folder)


def _image(rng: random.Random, opened: Opened, folder: Path, mark: Path) -> Made:
    dress = rng.choice([*PLAIN, *TORCH])
    dress(folder / "x.png", mark)
    return dress.__name__, lambda: open_image(folder / "x.png")


def _contest(rng: random.Random, opened: Opened, folder: Path, mark: Path) -> Made:
    """A table of a contest."""
    dress = rng.choice([*PLAIN, *TORCH])
    write_headlines_to(folder / "c")
    name = rng.choice(("train.csv", "test.csv", "sample_submission.csv"))
    dress(folder / "c" / name, mark)
    return f"{dress.__name__} as {name}", lambda: add_contest(opened.workspace, inspect_path(folder / "c").draft)


def _recipe(rng: random.Random, opened: Opened, folder: Path, mark: Path) -> Made:
    """A recipe that asks YAML to call something."""
    path = folder / "recipe.yaml"
    call = rng.choice(
        [
            f"name: !!python/object/apply:os.mkdir ['{mark}']",
            f"name: !!python/object/new:os.mkdir ['{mark}']",
            f"!!python/object/apply:os.mkdir\nargs: ['{mark}']",
            f"name: !!python/object/apply:subprocess.check_call [['mkdir', '{mark}']]",
        ]
    )
    if rng.random() < 0.3:
        as_joblib(path, mark)
        call = "joblib"
    else:
        path.write_text(call + "\n")
    return call.split(" ")[0], lambda: load_settings(Recipe, path)


KINDS: dict[str, Callable[[random.Random, Opened, Path, Path], Made]] = {
    "predictions": _predictions,
    "artefact": _artefact,
    "weights of an image network": _image_weights,
    "weights of a text network": _text_weights,
    "tokenizer": _tokenizer,
    "checkpoint": _checkpoint,
    "image": _image,
    "contest": _contest,
    "recipe": _recipe,
}
FULL_N = PER_KIND * len(KINDS)


if __name__ == "__main__":
    sys.exit(main(run, full_n=FULL_N))
