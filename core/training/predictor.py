"""From a network and rows to class probabilities; and trained networks that predict again, each from its folder alone: no database, no
contest, no pretrained weights, no hub."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.artefacts import verify
from core.base.errors import CheckpointError, OutOfMemory
from core.base.messages import msg, reason
from core.data.batches import Batch, RowLoader, Rows, batches_of
from core.data.cleaning import clean_for
from core.data.texts import TextRows
from core.data.token_cache import tokens_of
from core.data.tokens import Cut
from core.data.views import VIEWS, Transform
from core.specs.data_settings import AugmentSettings
from core.specs.network import NetworkSpec, read_network_spec
from core.training.loss import Activation
from core.training.machine import is_memory
from core.training.network import MakeRows, load_weights, restore_network
from core.training.precision import Precision, choose_precision
from core.training.setup import Setup, open_device
from core.training.task import FoldTask
from models.spec import CannotBuild
from models.weights import WeightsNotFound, WeightsUnreadable

EVALUATION_FACTOR = 2  # without gradients twice the rows fit


View = tuple[Transform, ...]
"""What is done to the images of a batch, on the device, before the network reads them; of several transforms the mean is predicted."""


def predict(
    model: nn.Module,
    loader: RowLoader,
    idx: NDArray[np.int64],
    n_classes: int,
    *,
    batch_size: int,
    device: torch.device,
    precision: Precision,
    after_batch: Callable[[int], object],
    activation: Activation,
    views: Sequence[View] = (VIEWS["plain"],),
    by_length: bool = False,
) -> NDArray[np.float32]:
    """Probabilities (len(idx), n_classes) of the rows `idx`, `batch_size` at once, not augmented; of one label every row sums to one in float32.
    Of several views the mean. `by_length` computes rows of similar length together, the longest first, which changes the last digits at most.

    `after_batch(n)` is called with the number of rows of each batch, and may raise to stop.
    """
    prob = np.full((len(idx), n_classes), np.nan, dtype=np.float32)
    if not len(idx):
        return prob
    model.eval()
    done, order = 0, np.argsort(-loader.rows.lengths[idx], kind="stable") if by_length else np.arange(len(idx))
    with torch.inference_mode():
        for batch in loader.load(0, batches_of(idx[order], batch_size)):
            inputs = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
            each = [
                [_probabilities(model, _seen(inputs, how), batch_size, device, precision, activation) for how in view] for view in views
            ]
            found = np.mean([np.mean(of_view, axis=0) for of_view in each], axis=0)
            prob[order[done : done + len(found)]] = found
            done += len(found)
            after_batch(len(found))
    return prob


def predict_task(
    task: FoldTask, setup: Setup, loader: RowLoader, idx: NDArray[np.int64], after_batch: Callable[[int], object] = lambda _: None
) -> NDArray[np.float32]:
    """Probabilities (len(idx), n_classes) of rows of a fold, by the network that is validated and kept; see `predict`."""
    return predict(
        setup.eval_model,
        loader,
        idx,
        len(task.classes),
        batch_size=task.micro_batch * EVALUATION_FACTOR,
        device=setup.device,
        precision=setup.precision,
        after_batch=after_batch,
        activation=setup.objective.activation,
        views=[VIEWS[view] for view in task.recipe.predict.views],
        by_length=task.recipe.train.group_by_length,
    )


def _seen(inputs: Batch, transform: Transform) -> Batch:
    """A batch with its images transformed; texts have only the plain view."""
    return {**inputs, "image": transform(inputs["image"])} if "image" in inputs else inputs


def _probabilities(
    model: nn.Module, inputs: Batch, batch_size: int, device: torch.device, precision: Precision, activation: Activation
) -> NDArray[np.float64]:
    with precision.autocast(device):
        logits = model(inputs) if "n_windows" not in inputs else _over_windows(model, inputs, batch_size)
    return activation.probabilities(logits.float().cpu().double()).numpy()


def _over_windows(model: nn.Module, inputs: Batch, n_at_once: int) -> Tensor:
    """Of each text the mean of its windows' logits; so many windows are computed at once as texts without."""
    parts = zip(inputs["input_ids"].split(n_at_once), inputs["attention_mask"].split(n_at_once), strict=True)
    logits = torch.cat([model({"input_ids": ids, "attention_mask": mask}) for ids, mask in parts]).float()
    return torch.stack([of_text.mean(dim=0) for of_text in logits.split(inputs["n_windows"].tolist())])


Array = NDArray[np.float32]
AfterBatch = Callable[[int], None]


class Predictor(Protocol):
    """What every family of networks is, once it is loaded."""

    @property
    def spec(self) -> NetworkSpec: ...

    def predict(self, rows: Sequence[str] | Sequence[Path], *, sha256: Sequence[str] = (), after_batch: AfterBatch | None = None) -> Array:
        """Probabilities (n, n_classes) of texts, which it cleans as those it was trained on, or of the images at these paths; refused where a
        `sha256` is given and differs.

        `after_batch(n)` hears of every n rows, and may raise to stop.
        """
        ...


@dataclass(frozen=True)
class TorchPredictor:
    """A network of torch with the rows it reads. It predicts in the batches, precision and threads of the end of its training."""

    spec: NetworkSpec
    model: nn.Module
    make_rows: MakeRows
    device: torch.device
    precision: Precision

    def predict(
        self,
        rows: Sequence[str] | Sequence[Path],
        *,
        sha256: Sequence[str] = (),
        after_batch: AfterBatch | None = None,
        view: View | None = None,
        batch_size: int = 0,
    ) -> Array:
        """See `Predictor`. `view` takes the place of the mean over the network's own views, `batch_size` of the rows that it predicted at once in
        training (0), on which the last digits of a prediction may depend. Raises InputError for an image that cannot be read, OutOfMemory."""
        if self.spec.modality == "text":
            rows = clean_for(self.spec, [str(row) for row in rows])
        with _threads(self.spec.threads), _memory_errors(str(self.device)):
            return predict(
                self.model,
                RowLoader(self.make_rows(rows, sha256), workers=0, pin_memory=self.device.type == "cuda"),
                np.arange(len(rows)),
                len(self.spec.classes),
                batch_size=batch_size or self.spec.micro_batch * EVALUATION_FACTOR,
                device=self.device,
                precision=self.precision,
                after_batch=after_batch or (lambda n: None),
                activation=Activation(self.spec.labels == "several", self.spec.one_vs_rest, self.spec.t2),
                views=[VIEWS[name] for name in self.spec.views] if view is None else [view],
                by_length=self.spec.by_length,
            )


def load_torch(folder: Path, spec: NetworkSpec, device: str, *, saved: Path | None, weights_dir: Path) -> TorchPredictor:
    """The network of `spec` with the weights in `folder`; `device` "" is the kind that it was trained on.

    Its tokenizer and configuration are read from `saved`; None searches for those of the pretrained backbone, also in `weights_dir`.
    """
    place = open_device(device or spec.device)
    with _building(folder, spec):
        model, make_rows = restore_network(spec, saved, weights_dir)
    load_weights(model, folder)
    return _placed(spec, model, make_rows, place)


def _placed(spec: NetworkSpec, model: nn.Module, make_rows: MakeRows, device: torch.device) -> TorchPredictor:
    """A network with its weights, put on a device as training puts it there: the layout decides the order of sums."""
    model.to(device)
    if spec.modality == "image":
        model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # torch's stub misses this overload
    asked = spec.precision if device.type == spec.device else "auto"  # another kind of device may not compute in it
    return TorchPredictor(spec, model, make_rows, device, choose_precision(asked, device))


def _load_trained(folder: Path, spec: NetworkSpec, device: str) -> Predictor:
    return load_torch(folder, spec, device, saved=folder, weights_dir=folder)


def _load_ready(folder: Path, spec: NetworkSpec, device: str) -> Predictor:
    from models.ready import load_ready

    place = open_device(device or spec.device)
    with _building(folder, spec):
        model = load_ready(folder, spec.label_groups, is_multilabel=spec.labels == "several")
    if spec.modality == "image":
        from core.data.pixels import ImageRows

        def images(inputs: Sequence[str] | Sequence[Path], sha256: Sequence[str]) -> Rows:
            paths = [Path(path) for path in inputs]
            return ImageRows(
                paths,
                AugmentSettings(),
                size_px=spec.input_px,
                interpolation=spec.interpolation,
                seed=0,
                fold=0,
                sha256=sha256,
                white_level=spec.white_level,
            )

        return _placed(spec, model, images, place)
    from models.ready import ReadyTextClassifier
    from models.text import PretrainedTokenizer

    assert isinstance(model, ReadyTextClassifier)
    tokenizer = PretrainedTokenizer(model.tokenizer)

    def texts(inputs: Sequence[str] | Sequence[Path], _sha256: Sequence[str]) -> Rows:
        tokens = tokens_of([str(text) for text in inputs], tokenizer, None, lambda done, total: None)
        return TextRows(tokens, Cut.made(spec, *tokenizer.ends), pad_id=tokenizer.pad_id)

    return _placed(spec, model, texts, place)


def _load_tfidf(folder: Path, spec: NetworkSpec, device: str) -> Predictor:
    from core.training.tfidf import load_tfidf

    return load_tfidf(folder, spec, device)


FAMILIES: dict[str, Callable[[Path, NetworkSpec, str], Predictor]] = {"torch": _load_trained, "ready": _load_ready, "tfidf": _load_tfidf}
"""What loads a network, by the family that its `network.json` names: from its folder, what it is, and a device ("" for its own)."""


def load_network(folder: Path, *, device: str = "") -> Predictor:
    """The network in a folder that holds its `network.json`, every byte verified; `device` "" is the kind that it was trained on.

    Raises CheckpointError when the folder is damaged or needs code that is not here, RecipeError for a device that is not here.
    """
    verify(folder)
    spec = read_network_spec(folder)
    if spec.family not in FAMILIES or spec.level > 1:
        raise CheckpointError(
            "nothing here loads this network",
            where=str(folder),
            why="it is of family {family}, level {level}; here are {families} of level 1",
            fix="load it with the version of Pitwall that made it",
            family=spec.family,
            level=spec.level,
            families=", ".join(FAMILIES),
        )
    return FAMILIES[spec.family](folder, spec, device)


@contextmanager
def _building(folder: Path, spec: NetworkSpec) -> Iterator[None]:
    try:
        yield
    except (CannotBuild, WeightsUnreadable, WeightsNotFound) as problem:
        raise CheckpointError(
            "the network cannot be built again",
            where=str(folder),
            why=msg(problem.what, **problem.values) if isinstance(problem, CannotBuild) else str(problem),
            fix="install the versions it was trained with ({versions}), or train the fold again",
            versions=", ".join(f"{name} {version}" for name, version in spec.versions.items()),
        ) from problem


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """So many threads of the processor, on which sums depend; then as many as before. 0 changes nothing."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(n or before)
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _memory_errors(device: str) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as problem:
        if not is_memory(problem):
            raise
        raise OutOfMemory(
            "the device ran out of memory",
            where="predicting on {device}",
            why=reason(problem),
            fix="predict on another device, or when nothing else runs on this one",
            device=device,
        ) from problem
