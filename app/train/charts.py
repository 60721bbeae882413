"""Charts of the page Train: the learning rate, the classes that a sampler takes, how long texts are."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.ui.charts import BARE_AXIS, MAX_CLASSES, ROW_PX, Chart, Spec, bare_chart, nominal, quantity, tip
from app.ui.colors import ACCENT, QUIET, oklch
from app.words.text import t
from core.specs.progress import EpochReport

LENGTH_BARS = 36
EDITED = oklch(0.62, 0.15, 50)
"""Of rows whose words are changed."""


def lr_curve(steps: Sequence[float], rates: Sequence[float], shares: Sequence[float] = (1.0,), *, probe_epochs: int = 0) -> Chart:
    """The learning rate over a run, `steps` in epochs; with layer-wise decay a line for each share of it that a group of layers has, the head's
    (1) first. In the first `probe_epochs` the head alone learns. The browser multiplies, so that a deep network is no large table."""
    epoch, rate, share = quantity("epoch", title=t("train.chart_epoch")), quantity("lr", title=t("train.chart_lr")), quantity("share")
    encoding = {
        "x": {**epoch, "scale": {"nice": False}, "axis": {"grid": False, "tickMinStep": 1}},
        "y": {**rate, "axis": {"labelExpr": "datum.value ? format(datum.value, '.2~e') : '0'", "tickCount": 3, "gridOpacity": 0.25}},
        "detail": [share],
        "tooltip": [{**epoch, "format": ".2f"}, {**rate, "format": ".2e"}, {**share, "title": t("train.chart_share"), "format": ".3~g"}],
    }
    of_groups: list[Spec] = [
        {"calculate": f"[{', '.join(f'{one:.6g}' for one in shares)}]", "as": "share"},
        {"flatten": ["share"]},
        {"calculate": "datum.lr * datum.share", "as": "lr"},
    ]
    head = {"transform": [*of_groups, {"filter": "datum.share == 1"}]}
    area = {**head, "mark": {"type": "area", "color": ACCENT, "opacity": 0.12}}
    line = {**head, "mark": {"type": "line", "color": ACCENT, "strokeWidth": 2}}
    lower = {
        "transform": [*of_groups, {"filter": f"datum.share < 1 && datum.epoch > {probe_epochs}"}],
        "mark": {"type": "line", "color": ACCENT, "strokeWidth": 1, "opacity": 0.6},
    }
    return bare_chart(pd.DataFrame({"epoch": steps, "lr": rates}), 190, encoding, area, lower, line)


def held_out_curve(reports: Sequence[EpochReport], *, n_epochs: int) -> Chart:
    """The loss per masked token by epoch, of texts that are learned from (dashed) and of those held out; epoch 0 is before anything was learned."""
    kinds = {"train_loss": t("charts.train"), "valid_loss": t("train.adapt_held_out")}
    table = pd.DataFrame([{"epoch": one.epoch, **{name: getattr(one, key) for key, name in kinds.items()}} for one in reports])
    long = table.melt(id_vars=["epoch"], var_name="series", value_name="loss")
    epoch, loss, domain = quantity("epoch", title=t("train.chart_epoch")), quantity("loss", title=t("train.adapt_loss")), [*kinds.values()]
    encoding = {
        "x": {**epoch, "scale": {"domain": [0, n_epochs], "nice": False}, "axis": {"grid": False, "tickMinStep": 1, "format": "d"}},
        "y": {**loss, "scale": {"zero": False}, "axis": {"tickCount": 4, "gridOpacity": 0.25}},
        "color": nominal("series", scale={"domain": domain, "range": [QUIET, ACCENT]}, legend={"orient": "top", "symbolType": "stroke"}),
        "strokeDash": nominal("series", scale={"domain": domain, "range": [[4, 3], [1, 0]]}),
        "tooltip": [nominal("series", title=t("charts.series")), {**epoch, "format": "d"}, {**loss, "format": ".4f"}],
    }
    return bare_chart(long, 200, encoding, {"mark": {"type": "line", "point": True, "strokeWidth": 2}})


def sampled_classes(classes: Sequence[str], rows: NDArray[np.floating], taken: NDArray[np.floating], edited: NDArray[np.floating]) -> Chart:
    """Rows of each class among the contest's training rows (bar), those in an epoch with a sampler and extra rows, and how many of these have their
    words changed (points), (n_classes,) each.

    With more than 14 classes, those that change most are shown.
    """
    table = pd.DataFrame({"class": list(classes), "rows": rows, "taken": taken, "edited": edited})
    if len(table) > MAX_CLASSES:
        change = np.abs(np.log((taken + 1) / (rows + 1)))
        table = table.iloc[np.sort(np.argsort(-change, kind="stable")[:MAX_CLASSES])]
    kinds = {"rows": t("train.sampled_rows"), "taken": t("train.sampled_taken")}
    kinds |= {"edited": t("train.sampled_edited")} if edited.any() else {}
    long = table.melt(id_vars=["class"], value_vars=list(kinds), var_name="kind", value_name="n")
    long["kind"] = long["kind"].map(kinds)
    before, *after = kinds.values()
    n = quantity("n", title=None)
    encoding = {
        "y": nominal("class", sort=list(table["class"]), axis={"labelLimit": 110, **BARE_AXIS}),
        "x": {**n, "axis": {"format": "~s", "tickCount": 4, "gridOpacity": 0.25}},
        "color": nominal(
            "kind",
            scale={"domain": [before, *after], "range": [QUIET, ACCENT, EDITED][: len(kinds)]},
            legend={"orient": "top", "symbolType": "circle", "columns": 1},
        ),
        "tooltip": [tip("class"), nominal("kind", title=t("charts.series")), quantity("n", title=t("data.chart_rows"), format=",.0f")],
    }
    bars = {"transform": [{"filter": {"field": "kind", "equal": before}}], "mark": {"type": "bar", "height": 10, "opacity": 0.5}}
    points = {"transform": [{"filter": {"field": "kind", "oneOf": after}}], "mark": {"type": "circle", "size": 70, "opacity": 1}}
    return bare_chart(long, 125 + ROW_PX * len(table), encoding, bars, points)


def token_histogram(lengths: NDArray[np.integer], max_tokens: int) -> str:
    """How many texts have so many tokens, those that are longer than a network reads in another colour, as HTML, which costs the browser less
    than a chart; the longest hundredth stands in the last bar."""
    end = min(int(lengths.max()), max(int(np.quantile(lengths, 0.99)), round(1.1 * max_tokens)))
    width = -(-end // LENGTH_BARS)
    first = np.arange(max_tokens % width + 1 - width, end + 1, width)  # no bar has both kinds
    rows, _ = np.histogram(np.minimum(lengths, end), [*first, first[-1] + width])
    bars = [
        f'<i{" class=cut" if start > max_tokens else ""} style="height:{100 * n / rows.max():.1f}%" title="{_length_tip(start, width, n, len(lengths))}"></i>'
        for start, n in zip(first.tolist(), rows.tolist(), strict=True)
    ]
    axis = f"<span>{max(1, first[0])}</span><span>{t('train.tokens_longest', n=f'{end:,}')}</span>"
    return f'<div class="lengths" role="img" aria-label="{t("train.tokens_title")}"><div>{"".join(bars)}</div><p>{axis}</p></div>'


def _length_tip(start: int, width: int, n: int, n_texts: int) -> str:
    span = f"{max(1, start)}–{start + width - 1}" if width > 1 else f"{start}"
    return t("train.tokens_bar", span=span, n=f"{n:,}", share=f"{n / n_texts:.1%}")
