"""From a task to its network and its rows. Imports only the libraries of the task's modality: each takes seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from core.data.batches import Rows
from core.training.backbone import backbone_of
from core.training.task import FoldTask
from models.build import build_model
from models.spec import Classifier, ModelSpec


def build_network(task: FoldTask) -> tuple[Classifier, Rows, Rows]:
    """The network, the rows that have labels, and the test rows. A tokenizer that is learned is left in `out_dir`."""
    recipe = task.recipe
    spec = ModelSpec(
        backbone=backbone_of(recipe),
        n_outputs=len(task.classes),
        weights_dir=task.weights_dir,
        pretrained=recipe.model.pretrained,
        dropout=recipe.model.dropout,
        drop_path=recipe.model.drop_path,
    )
    if recipe.modality == "image":
        return _image_network(task, replace(spec, input_px=recipe.input.size_px))
    return _text_network(task, replace(spec, pooling=recipe.model.pooling, max_tokens=recipe.input.max_tokens))


def _image_network(task: FoldTask, spec: ModelSpec) -> tuple[Classifier, Rows, Rows]:
    from core.data.pixels import ImageRows
    from models.image import ImageClassifier

    model = build_model(spec)
    assert isinstance(model, ImageClassifier)
    recipe, interpolation = task.recipe, model.interpolation

    def rows(inputs: Sequence[str] | Sequence[Path], sha256: Sequence[str]) -> ImageRows:
        paths = [Path(path) for path in inputs]
        return ImageRows(
            paths,
            recipe.augment,
            size_px=recipe.input.size_px,
            interpolation=interpolation,
            seed=recipe.train.seed,
            fold=task.fold,
            sha256=sha256,
        )

    return model, rows(task.inputs, task.sha256), rows(task.test_inputs, task.test_sha256)


def _text_network(task: FoldTask, spec: ModelSpec) -> tuple[Classifier, Rows, Rows]:
    from core.data.texts import TextRows
    from models.text import build_tokenizer

    texts = [str(text) for text in task.inputs]
    tokenizer = build_tokenizer(spec, [texts[row] for row in task.train_idx])
    tokenizer.save(task.out_dir)
    model = build_model(replace(spec, vocab_size=tokenizer.vocab_size))

    def rows(texts: list[str]) -> TextRows:
        return TextRows(texts, tokenizer, max_tokens=spec.max_tokens)

    return model, rows(texts), rows([str(text) for text in task.test_inputs])
