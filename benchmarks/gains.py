"""What a technique is worth beside its base: trainings over seeds as JSON lines that go on where they were stopped, and tables of the gains with
their intervals."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Sections = dict[str, dict[str, Any]]
"""Settings of a recipe, by section."""
Rows = NDArray[np.int64]
Result = dict[str, Any]
"""One training: `data`, `technique`, `seed`, its scores by name, and `cpu_s`."""


@dataclass(frozen=True)
class Base:
    """What techniques are compared with: a network, and what was done to the labels of its training rows."""

    title: str
    network: Sections
    rows: str = "all"


@dataclass(frozen=True)
class Technique:
    """Settings beside those of a base; `metric` chooses the epoch. Without a name it is the base itself."""

    base: str
    name: str
    settings: Sections = field(default_factory=dict)
    metric: str = "log_loss"

    @property
    def key(self) -> str:
        return f"{self.base}: {self.name}"

    def beside(self, own: Sections) -> Sections:
        """The settings of its base, `own`, with its own in place of theirs."""
        return {name: {**own.get(name, {}), **self.settings.get(name, {})} for name in {**own, **self.settings}}


def long_tail(rows: Rows, labels: Rows, times: int, seed: int) -> Rows:
    """Those of `rows` that stay where the most frequent class has `times` the rows of the rarest one, in an order of classes that the seed draws."""
    rng, classes = np.random.default_rng(seed), np.unique(labels[rows])
    most = min(int((labels[rows] == label).sum()) for label in classes)
    kept = [max(2, round(most * times ** (-place / (len(classes) - 1)))) for place in range(len(classes))]
    rank = rng.permutation(len(classes))
    of_class = [rng.permutation(rows[labels[rows] == label])[: kept[rank[place]]] for place, label in enumerate(classes)]
    return np.sort(np.concatenate(of_class))


def read_results(path: Path) -> list[Result]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def train_missing(
    path: Path, techniques: Sequence[Technique], data: Iterable[str], seeds: int, only: str, run: Callable[[Technique, str, int], Result]
) -> None:
    """Run what `path` does not hold yet, seed by seed, and add a line of each training: of the bases, and of the techniques whose key `only` finds."""
    done = {(one["data"], one["technique"], one["seed"]) for one in read_results(path)}
    with path.open("a") as stream:
        for seed in range(seeds):
            for technique in techniques:
                for name in data if not technique.name or re.search(only, technique.key) else ():
                    if (name, technique.key, seed) not in done:
                        print(json.dumps(run(technique, name, seed)), file=stream, flush=True)


def interval(differences: Sequence[float], digits: int) -> str:
    """The mean with half of its 95 % interval (paired t), bold where that leaves 0 out."""
    mean, n = float(np.mean(differences)), len(differences)
    half = float(stats.t.ppf(0.975, n - 1) * np.std(differences, ddof=1) / n**0.5) if n > 1 else float("inf")
    said = f"{mean:+.{digits}f} ± {half:.{digits}f}" if n > 1 else f"{mean:+.{digits}f}"
    return f"**{said}**" if abs(mean) > half else said


def print_tables(results: Sequence[Result], bases: dict[str, Base], techniques: Sequence[Technique], data: Sequence[str]) -> None:
    """A table a base; a gain is above 0 where the technique is better. Only seeds that both have are compared."""
    found = {(one["data"], one["technique"], one["seed"]): one for one in results}
    for name, base in bases.items():
        own = {part: {seed: one for (where, key, seed), one in found.items() if where == part and key == f"{name}: "} for part in data}
        said = "; ".join(
            f"{part}: log loss {np.mean([one['log_loss'] for one in of.values()]):.3f}, accuracy {np.mean([one['accuracy'] for one in of.values()]):.3f}"
            f" ({len(of)} seeds)"
            for part, of in own.items()
            if of
        )
        print(f"\n**{base.title}.** {said}.\n")
        print("| technique | " + " | ".join(f"{part}: log loss | accuracy | time" for part in data) + " |")
        print("|---|" + "---|" * 3 * len(data))
        for technique in techniques:
            if technique.base != name or not technique.name:
                continue
            cells = list[str]()
            for part in data:
                pairs = [(of, found[key]) for seed, of in own[part].items() if (key := (part, technique.key, seed)) in found]
                if not pairs:
                    cells += ["", "", ""]
                    continue
                cells.append(interval([off["log_loss"] - on["log_loss"] for off, on in pairs], 3))
                cells.append(interval([on["accuracy"] - off["accuracy"] for off, on in pairs], 3))
                cells.append(f"{np.median([on['cpu_s'] / off['cpu_s'] for off, on in pairs]):.1f}")
            print(f"| {technique.name} | {' | '.join(cells)} |")
