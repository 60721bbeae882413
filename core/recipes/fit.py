"""A recipe for images that ends in time on a processor: how large they are, how many epochs, and whether half of the network stays as it was
pretrained, from the pace of this machine."""

from core.specs.recipe import Recipe
from core.store.contests import get_contest
from core.store.database import Store
from core.store.folds import get_folds
from core.store.runs import Run, list_runs
from models.catalog import Backbone, find_backbone

LIMIT_S = 600.0
"""What a run over five folds of a thousand photographs may take; of more rows so much more, up to an hour."""
N_FOLDS, MOST_S, ROWS = 5, 3600.0, 1000
SIZES = (224, 192, 160, 128, 96)
LEAST_EPOCHS, MOST_EPOCHS = 6, 12
PIXELS = 128 * 128
USUAL_ROW_S = 0.0196
"""Seconds of a training row of EfficientNet-Lite0 at 128 px on two cores, all of it learning: 51 images a second."""
HALF, HEAD, PREDICTED = 0.5, 0.25, 0.27
"""What a row costs where half of the blocks are frozen, where only the head learns, and where it is predicted, beside one of which all learn: measured
with EfficientNet-Lite0 in fp32 at 64, 128 and 192 px, in docs/methods.md."""
START_S = 15.0
"""Seconds of a fold before its first step."""
REFERENCE = "tf_efficientnet_lite0.in1k"


def fold_s(recipe: Recipe, row_s: float, n_train: int, n_valid: int) -> float:
    """Seconds of a fold on a machine where a row of 128 px takes `row_s` while the whole network learns; what is predicted for the test not counted."""
    epochs, n_probe = recipe.train.epochs, min(recipe.train.probe_epochs, recipe.train.epochs)
    learning = HEAD * n_probe + (HALF if recipe.model.freeze else 1.0) * (epochs - n_probe)
    rows = recipe.area_share * n_train * learning + PREDICTED * (epochs + 1) * n_valid
    return START_S + row_s * recipe.input.size_px**2 / PIXELS * rows


def fit_in_time(recipe: Recipe, row_s: float, n_rows: int, *, most_px: int, least_epochs: int = LEAST_EPOCHS) -> Recipe:
    """The recipe so that five folds of `n_rows` rows end in time, with as many epochs as that leaves, up to 12 (or `least_epochs`).

    The whole network learns at `most_px` where there is time for `least_epochs` of that; else what the recipe freezes stays frozen, at the largest size
    for which there is, or at the smallest with fewer epochs.
    """
    limit, n_valid = min(MOST_S, LIMIT_S * max(1.0, n_rows / ROWS)), max(1, n_rows // N_FOLDS)
    sizes = [px for px in SIZES if px < most_px]

    def made(px: int, freeze: int, epochs: int) -> Recipe:
        values, probe = recipe.to_dict(), min(recipe.train.probe_epochs, epochs - 1)
        return Recipe.model_validate(
            values
            | {"input": values["input"] | {"size_px": px}, "model": values["model"] | {"freeze": freeze}}
            | {"train": values["train"] | {"epochs": epochs, "probe_epochs": probe}}
        )

    def in_time(px: int, freeze: int, epochs: int) -> bool:
        return N_FOLDS * fold_s(made(px, freeze, epochs), row_s, n_rows - n_valid, n_valid) <= limit

    choices = [(most_px, 0), *((px, recipe.model.freeze) for px in (most_px, *sizes))]
    px, freeze = next((choice for choice in choices if in_time(*choice, least_epochs)), choices[-1])
    most = max(MOST_EPOCHS, least_epochs)
    return made(px, freeze, next((epochs for epochs in range(most, 1, -1) if in_time(px, freeze, epochs)), 1))


def usual_row_s(backbone: Backbone) -> float:
    """Seconds of a training row at 128 px on two cores where nothing was measured: by its multiply-adds, beside those of EfficientNet-Lite0."""
    known = find_backbone(REFERENCE)
    return USUAL_ROW_S * (backbone.gmacs / backbone.input_px**2) / (known.gmacs / known.input_px**2) if backbone.gmacs else USUAL_ROW_S


def measured_row_s(store: Store, backbone: Backbone) -> float:
    """Seconds of a training row at 128 px on this machine: of the newest run that trained this network on the processor, else the usual ones."""
    for run in list_runs(store):
        if not run.is_imported and run.recipe.model.backbone == backbone.name and (found := _row_s(store, run)):
            return found
    return usual_row_s(backbone)


def _row_s(store: Store, run: Run) -> float | None:
    """What `fold_s` says of the folds of a run that trained on the processor, solved for the row: the fastest of them. None where there is none."""
    times = [
        result.elapsed_s / result.n_epochs for result in run.results if str(result.facts.get("device", "")) == "cpu" and result.n_epochs
    ]
    n_rows, n_folds = get_contest(store, run.contest_id).n_train, max(2, get_folds(store, run.folds_id).n_folds)
    n_valid = n_rows // n_folds
    one = fold_s(run.recipe, 1.0, n_rows - n_valid, n_valid) - START_S
    return min(times) * run.recipe.train.epochs / one if times and one > 0 else None
