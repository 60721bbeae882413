"""A text network as a folder for plain transformers: an encoder that AutoModel loads, its tokenizer, the head beside it, and a `predict.py` that needs
nothing of ours. Needs torch."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from safetensors.torch import save_file
from transformers import AutoTokenizer

from core.base.errors import InputError, StateError
from core.base.files import write_json
from core.base.messages import msg
from core.base.names import file_name
from core.contest.table import load_table, load_truth
from core.data import tokens
from core.data.texts import TextRows
from core.folds import load_folds
from core.predictions import predict_folder
from core.predictions.again import load_fold, rows_of_train
from core.predictions.export import N_COMPARED, spread
from core.predictions.networks import networks_of
from core.predictions.oof import finished_folds
from core.predictions.predict_folder import HEAD_FILE, SETTINGS_FILE, FolderClassifier
from core.specs.network import NetworkSpec
from core.specs.text_settings import CleanSettings
from core.store.contests import Contest, get_truth
from core.store.folds import get_folds
from core.store.runs import Run
from core.training.precision import Precision
from core.training.predictor import Predictor, TorchPredictor
from core.workspace import Workspace
from models import head
from models.catalog import UnknownBackbone
from models.local import NoBackbone, any_backbone
from models.text import COARSE_HEAD, LOCAL, TextClassifier

MOST = 1e-5
"""A probability of the folder may differ by so much from the network's in fp32."""
SOURCES = {
    "predict.py": (predict_folder, {"core.data.tokens": "cut", "models.head": "head"}),
    "cut.py": (tokens, {"from core.specs.data_settings import Truncation": "Truncation = str"}),
    "head.py": (head, {}),
}
"""The files of code in a folder: modules of ours, and what is said otherwise in them where they stand alone."""
README = """# {run}, fold {fold}

A text classifier with {n} classes{several}: an encoder of transformers (`config.json`, `model.safetensors`), its tokenizer, and a head
(`head.safetensors`, `head.json`) that reads the tokens with pooling "{pooling}". The head is none of transformers' own, so that `AutoModelForSequenceClassification`
cannot load it; `predict.py` does, with torch, transformers, numpy and safetensors alone.

    python predict.py "a text" "another text"
    python predict.py < texts.txt

It was trained without the rows of fold {fold}. On {rows} texts a probability differs from the trained network's by {difference:.1e} at most.
{composed}
Backbone: {backbone}. Licence of its pretrained weights: {licence}. What was trained from them may be bound to it.
"""
COMPOSED = """
Its texts are made of columns by the template `{template}`, with entity markers: {markers}. `predict.py` takes texts that are made already.
"""


@dataclass(frozen=True)
class NetworkFolder:
    """What was written of one network of a fold, and by how much a probability differs from the network's in fp32."""

    fold: int
    folder: Path
    difference: float


def export_folders(
    workspace: Workspace, contest: Contest, run: Run, output: Path, *, after_network: Callable[[int, int], None]
) -> tuple[NetworkFolder, ...]:
    """Write a folder for each network of a run's finished folds into `output`; `after_network(done, n)` hears of each.

    Raises StateError for networks that transformers cannot say, or a folder that says something else; InputError where a folder is there already.
    """
    table = load_table(workspace, contest)
    truth = load_truth(workspace, contest, get_truth(workspace.store, run.truth_id))
    pairs = load_folds(workspace, get_folds(workspace.store, run.folds_id)).keeping(truth.kept)
    results, found = finished_folds(run), list[NetworkFolder]()
    n = sum(len(networks_of(workspace, run, result)) or 1 for result in results)
    output.mkdir(parents=True, exist_ok=True)
    for result in results:
        places = networks_of(workspace, run, result) or (workspace.absolute(result.path),)
        rows = rows_of_train(table, spread(pairs.valid_idx(result.fold), N_COMPARED))
        for place, (network, kept) in enumerate(zip(load_fold(workspace, contest, run, result, device="cpu"), places, strict=True)):
            to = output / file_name(run.name, f"fold-{result.fold}", str(place))
            if to.exists():
                raise InputError(
                    "there is something at {path} already",
                    where=str(to),
                    why="a folder is written whole, or not at all",
                    fix="name another folder, or remove this one",
                    path=to.name,
                )
            with TemporaryDirectory(dir=output, prefix=".") as temporary:
                folder = Path(temporary) / "network"
                folder.mkdir()
                texts = [str(text) for text in rows.inputs_of(network.spec)]
                difference = write_folder(network, kept, folder, texts, name=run.name, weights_dir=workspace.weights_dir)
                folder.rename(to)
            found.append(NetworkFolder(result.fold, to, difference))
            after_network(len(found), n)
    return tuple(found)


def write_folder(network: Predictor, kept: Path, folder: Path, texts: list[str], *, name: str, weights_dir: Path) -> float:
    """Write a network, whose tokenizer is in the folder `kept`, and return by how much the two differ on `texts` and on one that is as long as it
    reads. Raises StateError."""
    network = _written_by_transformers(network, kept)
    model, spec = network.model, network.spec
    assert isinstance(model, TextClassifier)
    model.float()  # bfloat16 in float32 is the same numbers
    rows = network.make_rows([], [])
    assert isinstance(rows, TextRows)
    encoder: Any = model.encoder
    encoder.config.id2label = dict(enumerate(spec.classes))
    encoder.config.label2id = {label: number for number, label in enumerate(spec.classes)}
    encoder.config.problem_type = "multi_label_classification" if spec.labels == "several" else "single_label_classification"
    encoder.save_pretrained(folder)
    AutoTokenizer.from_pretrained(kept, **LOCAL).save_pretrained(folder)
    tensors = {key: value.contiguous() for key, value in model.state_dict().items() if not key.startswith(("encoder.", COARSE_HEAD))}
    save_file(tensors, folder / HEAD_FILE)
    said = {
        "classes": spec.classes,
        "labels": spec.labels,
        "one_vs_rest": spec.one_vs_rest,
        "pooling": model.kind,
        "layers": spec.layers,
        "coarse": spec.coarse,
    }
    write_json(folder / SETTINGS_FILE, {**said, "pad_id": rows.pad_id, "cut": asdict(rows.cut)})
    for file, (module, changes) in SOURCES.items():
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        for ours, alone in changes.items():
            source = source.replace(ours, alone)
        (folder / file).write_text(source, encoding="utf-8")
    compared = [*texts, " ".join([*texts, *(["text"] * spec.max_tokens)])]
    ours = replace(network, precision=Precision("fp32", "compared")).predict(compared)
    difference = float(np.abs(ours - FolderClassifier(folder).predict(compared)).max())
    if difference > MOST:
        raise StateError(
            "the folder says something else than its network",
            where=str(folder),
            why=msg("a probability differs by {n:.1e}, more than {most:.0e}", n=difference, most=MOST),
            fix="export to ONNX, or predict with torch",
        )
    (folder / "README.md").write_text(_readme(spec, weights_dir, name, len(compared), difference, model.kind), encoding="utf-8")
    return difference


def _written_by_transformers(network: Predictor, kept: Path) -> TorchPredictor:
    """The network, where transformers can read what it is. Raises StateError."""
    spec = network.spec
    if spec.modality != "text" or spec.library != "transformers" or not isinstance(network, TorchPredictor):
        raise _cannot(spec, kept, "it is no network of texts that transformers builds")
    if spec.is_separate:
        raise _cannot(spec, kept, "it is several networks, one for each level")
    if not isinstance(network.model, TextClassifier):
        raise _cannot(spec, kept, "it is a ready classifier, and its folder is one already")
    if not (kept / "tokenizer_config.json").is_file():
        raise _cannot(spec, kept, "an earlier version kept it without its tokenizer")
    if spec.clean != CleanSettings():
        raise _cannot(spec, kept, "its texts are cleaned before they are cut into tokens, which transformers knows nothing of")
    if spec.t2 != 1:
        raise _cannot(spec, kept, "it predicts by a tempered softmax, which transformers has not")
    return network


def _cannot(spec: NetworkSpec, kept: Path, why: str) -> StateError:
    return StateError(
        "{backbone} cannot be exported as a folder for transformers",
        where=str(kept),
        why=why,
        fix="leave out --format, which exports to ONNX, or predict with it as it is",
        backbone=spec.backbone,
    )


def _readme(spec: NetworkSpec, weights_dir: Path, name: str, n_rows: int, difference: float, pooling: str) -> str:
    licence = ""
    with suppress(UnknownBackbone, NoBackbone):
        licence = any_backbone(spec.backbone, weights_dir).licence
    return README.format(
        run=name,
        fold=spec.fold,
        n=len(spec.classes),
        several=", of which a text may have several" if spec.labels == "several" else "",
        pooling=pooling,
        rows=n_rows,
        difference=difference,
        composed=COMPOSED.format(template=spec.compose.full_template, markers=spec.compose.markers) if spec.compose.composes else "",
        backbone=spec.backbone,
        licence=licence or "not known here; ask whoever made them",
    )
