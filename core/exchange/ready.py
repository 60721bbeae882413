"""A ready classifier, of transformers or timm with a head of its own, becomes a run without training."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.artefacts import load_manifest, write_manifest
from core.base.errors import AlignmentError, InputError
from core.base.files import nfc, write_json
from core.base.messages import msg, reason
from core.base.settings import load_yaml
from core.contest.table import load_table, load_truth
from core.exchange.exchange import Delivery, accept_delivery
from core.folds import load_folds
from core.predictions.again import rows_of_test, rows_of_train
from core.specs.kept import ImportOrigin
from core.specs.network import NETWORK_FILE, NetworkSpec
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run
from core.workspace import Workspace

Array = NDArray[np.float32]


def add_ready_classifier(
    workspace: Workspace,
    contest: Contest,
    folds: Folds,
    folder: Path,
    *,
    labels: Mapping[str, Sequence[str]] | None = None,
    name: str = "",
    max_tokens: int = 256,
    device: str = "cpu",
) -> Run:
    """Predict the contest's rows by the classifier in a folder (of transformers or timm), and keep it as a run with a network in each fold.

    Nobody trained it on any fold, so that it predicts all of them; what it has seen before nobody knows, and the run says so. `labels`
    names the labels that stand for each class where names alone do not. Raises AlignmentError listing the labels and classes that have
    no partner, InputError for a folder that is no classifier of the contest's rows.
    """
    import torch

    from core.training.predictor import load_network
    from models.ready import CannotBuild, load_ready, ready_labels, ready_modality, ready_pixels

    spec = contest.spec
    table = load_table(workspace, contest)
    rows = np.flatnonzero(load_folds(workspace, folds).validated & load_truth(workspace, contest).kept)
    try:
        own = ready_labels(folder)
        modality = ready_modality(folder)
        groups = match_labels(own, spec.classes, labels or {})
        if modality != spec.modality:
            raise CannotBuild(
                "{name} reads {modality}s, the contest's rows are {rows}s",
                "choose another classifier",
                name=folder.name,
                modality=modality,
                rows=spec.modality,
            )
        model = load_ready(folder, groups, is_multilabel=spec.is_multilabel)
        pixels, size_px = ready_pixels(folder) if modality == "image" else (None, 0)
    except CannotBuild as problem:
        why, fix = msg(problem.what, **problem.values), msg(problem.fix, **problem.values)
        raise InputError("this is no classifier for the contest", where=str(folder), why=why, fix=fix) from problem
    network = NetworkSpec(
        family="ready",
        modality=spec.modality,
        labels=spec.labels,
        classes=spec.classes,
        fold=-1,
        backbone=folder.name,
        library="timm" if modality == "image" else "transformers",
        input_px=size_px,
        interpolation=pixels.interpolation if pixels else "",
        white_level=spec.white_level,
        max_tokens=0 if pixels else max_tokens,
        label_groups=groups,
        device=torch.device(device).type,
        threads=torch.get_num_threads(),
    )
    with tempfile.TemporaryDirectory(dir=workspace.root) as scratch:
        place = Path(scratch) / "classifier"
        place.mkdir()
        model.save(place)
        write_json(place / NETWORK_FILE, network.to_dict())
        write_manifest(place, kind="network")
        predictor = load_network(place, device=device)
        train, test = rows_of_train(table, rows), rows_of_test(table)
        delivery = Delivery(
            predictor.predict(train.inputs, sha256=train.sha256),
            predictor.predict(test.inputs, sha256=test.sha256),
            ImportOrigin(classifier=folder.name, classifier_fingerprint=load_manifest(place).fingerprint, n_epochs=0),
            unchecked=("seen",),
        )
        return accept_delivery(workspace, contest, folds, delivery, name=name or folder.name, network=place)


def classify_texts(
    folder: Path, texts: Sequence[str], *, max_tokens: int = 256, device: str = "cpu"
) -> tuple[tuple[str, ...], bool, Array]:
    """What the text classifier in a folder of transformers says of texts, without a contest.

    Gives its labels in its own order, whether a text may have several of them (its `problem_type`), and probabilities (n, n_labels).
    Raises InputError for a folder that is no classifier of texts.
    """
    from core.training.predictor import FAMILIES
    from models.ready import CannotBuild, load_ready, reads_several, ready_labels, ready_modality

    try:
        own, several = ready_labels(folder), reads_several(folder)
        if ready_modality(folder) != "text":
            raise CannotBuild("{name} reads images", "give a classifier of texts, of transformers", name=folder.name)
        groups = tuple((place,) for place in range(len(own)))
        load_ready(folder, groups, is_multilabel=several)
    except CannotBuild as problem:
        why, fix = msg(problem.what, **problem.values), msg(problem.fix, **problem.values)
        raise InputError("this is no classifier of texts", where=str(folder), why=why, fix=fix) from problem
    network = NetworkSpec(
        family="ready",
        modality="text",
        labels="several" if several else "one",
        classes=own,
        fold=-1,
        backbone=folder.name,
        library="transformers",
        max_tokens=max_tokens,
        label_groups=groups,
    )
    return own, several, FAMILIES["ready"](folder, network, device).predict(texts)


def match_labels(own: Sequence[str], classes: Sequence[str], given: Mapping[str, Sequence[str]]) -> tuple[tuple[int, ...], ...]:
    """For each class the places of the labels that stand for it: as given, else those of its name, whatever their case.

    Raises AlignmentError, listing both sides, when a class has no label or a label stands for two.
    """
    places: dict[str, list[int]] = {}
    for place, label in enumerate(own):
        places.setdefault(nfc(label).strip().casefold(), []).append(place)
    groups = []
    for name in classes:
        wanted = given.get(name, [name] if not given else [])
        groups.append(tuple(place for label in wanted for place in places.get(nfc(label).strip().casefold(), ())))
    used = [place for group in groups for place in group]
    lonely = [name for name, group in zip(classes, groups, strict=True) if not group]
    unknown = sorted({label for labels in given.values() for label in labels if nfc(label).strip().casefold() not in places})
    strangers = sorted(set(given) - set(classes))
    if lonely or unknown or strangers or len(set(used)) != len(used):
        free = [label for place, label in enumerate(own) if place not in used]
        raise AlignmentError(
            "the classifier's labels do not fit the contest's classes",
            where="classes without a label: {classes}",
            why="labels of the classifier that stand for no class: {labels}; unknown names: {names}",
            fix="give a file with `class: [label, label]` for every class, each label once",
            classes=", ".join(lonely) or "none",
            labels=", ".join(free[:40]) or "none",
            names=", ".join([*unknown, *strangers]) or "none",
        )
    return tuple(groups)


def read_labels(path: Path) -> dict[str, list[str]]:
    """The labels of each class from a YAML or JSON file, `class: label` or `class: [label, label]`. Raises InputError."""
    try:
        raw = load_yaml(path.read_text(encoding="utf-8-sig"), where=str(path))
    except (OSError, UnicodeDecodeError) as problem:
        raise InputError(
            "cannot read {file}", where=str(path), why=reason(problem), fix="give a YAML or JSON file in UTF-8", file=path.name
        ) from None
    if not isinstance(raw, dict):
        raise InputError(
            "{name} names no labels",
            where=str(path),
            why="expected `class: label` lines",
            fix="write a line for each class",
            name=path.name,
        )
    return {str(name): [str(label) for label in (labels if isinstance(labels, list) else [labels])] for name, labels in raw.items()}
