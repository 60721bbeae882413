"""What rows of the store and files of artefacts keep of results and of where they came from: written once as JSON, read back as frozen models.

A field that a later version added has a default, and one that this version does not know is left alone, so that every stored row stays readable.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Kept(BaseModel):
    """A frozen record; `to_dict` gives back what was read or made, and no defaults."""

    model_config = ConfigDict(frozen=True, extra="allow")

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values in the order of the fields."""
        return self.model_dump(mode="json", exclude_unset=True)


class HonestFigures(Kept):
    """A cross-fitted score: OOF `score` with its 95 % interval, and the `gain` over equal weights with its own; CV mean and deviation, None
    in what was saved before they were kept."""

    score: float
    low: float
    high: float
    gain: float
    gain_low: float
    gain_high: float
    is_clear: bool
    cv_score: float | None = None
    cv_sd: float | None = None


class BlendScores(Kept):
    """What a blend scored when it was saved, on which parts and how many rows; beside it equal weights and the best single run.

    `honest` is the cross-fitted score of the procedure that found it, `procedure` its settings; both None for weights by hand.
    """

    metric: str
    folds: tuple[int, ...] = ()
    n_rows: int | None = None
    oof_score: float
    fold_scores: tuple[float, ...]
    cv_score: float
    cv_sd: float
    scores: dict[str, float] = {}
    equal_score: float
    best_single_score: float | None = None
    honest: HonestFigures | None = None
    procedure: dict[str, Any] | None = None

    @property
    def spread(self) -> float | None:
        """The standard deviation of the fold scores; None below two."""
        return self.cv_sd if len(self.fold_scores) > 1 else None


class HiddenScores(Kept):
    """What a submission scores on the hidden truth of a built-in sample contest."""

    metric: str
    public: float
    private: float


class ImportOrigin(Kept):
    """Where an imported run's predictions came from: its folder's key, the files or the classifier with their hashes, or the run whose networks
    predicted in other `views`; and the names of its doubts."""

    key: str = ""
    oof_file: str = ""
    oof_sha256: str = ""
    test_file: str = ""
    test_sha256: str = ""
    classifier: str = ""
    classifier_fingerprint: str = ""
    run: str = ""
    run_name: str = ""
    views: tuple[str, ...] = ()
    n_epochs: int | None = None
    doubts: tuple[str, ...] = ()

    @property
    def has_network(self) -> bool:
        """Its networks are kept, so that it can predict other rows."""
        return bool(self.classifier or self.run)


class PretrainedOn(Kept):
    """A pretraining that went on over a contest's texts; where `saw_test`, over those of its test rows too. No label was read."""

    ref: str
    name: str
    fingerprint: str
    saw_test: bool


class LineageMember(Kept):
    """A run that had a part in a submission: `folds` are the fingerprints of the folds whose networks had, `licence` is that of the
    pretrained weights it began with, "" where it began with none; `pretrained_on` says where those went on learning here."""

    run: str
    name: str
    weight: float
    licence: str = ""
    truth: str = ""
    recipe: str | None
    imported: ImportOrigin | None = None
    folds: dict[str, str]
    pretrained_on: PretrainedOn | None = None


class Lineage(Kept):
    """Every hash a submission descends from. Until version 0.1 `contest` stood for rows and truth.

    `scored_folds` of `n_folds` are those that a blend on some folds only was weighed on; None for all.
    """

    source: str
    name: str
    fingerprint: str
    contest: str = ""
    rows: str = ""
    truth: str = ""
    folds: str
    members: tuple[LineageMember, ...]
    scored_folds: tuple[int, ...] | None = None
    n_folds: int | None = None
