"""How inspection speaks, what a person answers, and which file of a folder is what: training table or class folders, test, sample submission."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from core.base.errors import InputError
from core.base.files import nfc
from core.base.messages import joined, msg, setting
from core.base.settings import load_yaml
from core.contest.files import FORMATS, IMAGE_SUFFIXES, ContestFiles, suffix_of
from core.contest.rows import LINK_FIX, folder_key, is_folder
from core.specs.contest import ContestSpec


@dataclass(frozen=True)
class Guess:
    """A proposed answer with its evidence; `level` is ok, note (worth reading) or warning (may well be wrong). An answer of several names has
    them in `names`."""

    value: str
    reason: str
    level: str = "ok"
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """One point of what was understood. `level`: ok, note (worth reading) or warning (may be wrong, or will be refused)."""

    key: str
    value: str
    detail: str
    level: str = "ok"


@dataclass(frozen=True)
class Understanding:
    """Settings as they become clear, one after the other, with the evidence of each; a person's answers win over guesses."""

    answers: Mapping[str, Any]
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    checks: list[Check] = field(default_factory=list[Check])

    def settle(self, key: str, guess: Callable[[], Guess], seen: str = "") -> str:
        """The answer for a setting when there is one, else the guess, which is made only then; notes the evidence."""
        found = Guess(self.answers[key], "your answer") if key in self.answers else guess()
        self.values[key] = found.value
        self.note(key, found.value, joined("; ", [seen, found.reason]) if seen else found.reason, found.level)
        return found.value

    def note(self, key: str, value: str, detail: str, level: str = "ok") -> None:
        """Add a point that is not a setting's answer, or says more about one."""
        self.checks.append(Check(key, value, detail, level))


Answers = Mapping[str, Any]
LISTS = ("input_columns", "classes", "submission_names", "untrained_classes")
SPACE = "space"
"""How a person may write the separator that is one."""


def parse_answers(sets: Iterable[str]) -> dict[str, Any]:
    """Read `label_column=ans` and the like; lists are YAML (`[title, body]`) or one bare name.

    Values are taken as they are typed, so that `id_column=1` names the column "1". Raises InputError for a setting that a contest
    does not have.
    """
    answers: dict[str, Any] = {}
    known = [name for name in ContestSpec.model_fields if name != "root"]
    for assignment in sets:
        name, separator, text = (part.strip() for part in assignment.partition("="))
        if not separator or name not in known:
            raise InputError(
                "'{name}' is not a setting of a contest" if separator else "'{assignment}' is not an assignment",
                where="--set",
                why="settings: {names}",
                fix="write for example --set label_column=ans",
                name=name,
                assignment=assignment,
                names=", ".join(known),
            )
        answers[name] = _list(text, name) if name in LISTS else _text(text)
    return answers


def _text(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return nfc(text[1:-1] if quoted else text)


def _list(text: str, name: str) -> tuple[str, ...]:
    if not text.startswith("["):
        return (_text(text),) if text else ()
    value = load_yaml(text, where=msg("--set {name}", name=name), as_typed=True)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InputError(
            "{name} is a list of names",
            where="--set {name}",
            why="got {text}",
            fix="write for example --set '{name}=[a, b]'",
            name=name,
            text=text,
        )
    return tuple(map(nfc, value))


ROLES = {
    "sample": ("submission", "submit", "제출"),
    "test": ("test", "testing", "eval", "evaluation", "unlabeled", "테스트", "평가", "시험"),
    "train": ("train", "training", "trainval", "학습", "훈련"),
    "valid": ("valid", "validation", "val", "dev", "검증"),
}
"""Words of a file's or folder's name that say its role; the first role that fits counts."""
EXAMPLES = ("sample", "example", "샘플", "예시", "예제")
"""Words that say the role of a sample submission where no other word says any."""
THINGS = (
    *(
        "data",
        "dataset",
        "set",
        "image",
        "img",
        "pic",
        "photo",
        "text",
        "label",
        "feature",
        "value",
        "file",
        "format",
        "form",
        "table",
        "csv",
        "df",
    ),
    *(
        "데이터",
        "데이터셋",
        "자료",
        "셋",
        "세트",
        "용",
        "이미지",
        "사진",
        "텍스트",
        "문서",
        "라벨",
        "레이블",
        "정답",
        "파일",
        "양식",
        "형식",
        "폼",
        "본",
        "표",
        "목록",
    ),
)
"""What a word of a role may be grown together with: testset, trainImages, 학습데이터, samplesubmission."""
_BESIDE = f"(?:(?:{'|'.join((*EXAMPLES, *THINGS))})s?)*"
_WORDS = {role: re.compile(f"{_BESIDE}(?:{'|'.join(names)})s?{_BESIDE}") for role, names in ROLES.items()}
OTHER_TABLES = (".xlsx", ".xls", ".xlsm", ".ods", ".parquet", ".feather", ".json", ".jsonl", ".ndjson")
"""Suffixes of tables that are not read."""
N_OPENED = 1000
"""Files of which the first bytes are read where nothing is known by its name."""
PACKED = (".zip", ".gz", ".tar", ".tgz", ".bz2", ".xz", ".7z", ".rar")
LABELS = ("label", "labels", "data", "info", "meta", "metadata")


LABELS_APART = re.compile(r"label|target|answer|정답|라벨|레이블|(^|[_ \-.])y([_ \-.]|$)")
"""In the name of a table that holds no more than labels, where others have the same role."""


def guess_sources(files: ContestFiles, answers: Answers) -> tuple[Guess, Guess, Guess, Guess]:
    """The layout, and the files of training, test and sample submission; a role that a person answered is left open.

    They are found by their names, then by what they hold. Raises InputError saying what was looked for when nothing fits.
    """
    roles: dict[str, list[str]] = {role: [] for role in (*ROLES, "")}
    for key in files.tables():
        if is_tabular(files, key):
            roles[role_of(key)].append(key)
    sample = Guess("", "") if "sample_submission" in answers else _first_table(roles["sample"], "sample", "sample_submission")
    layout, train = _train(files, roles, answers)
    test = Guess("", "") if "test" in answers else _test(files, roles, layout.value, train.value)
    return layout, train, test, sample


def role_of(key: str) -> str:
    """The role that a path's words say: train, test, sample, valid, or "" when they say nothing. A class "testudo" says nothing."""
    path = PurePosixPath(key)
    for text in (path.stem, *reversed(path.parent.parts)):
        words = [word for word in re.split(r"[^a-z가-힣]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).lower()) if word]
        for role, pattern in _WORDS.items():
            if any(pattern.fullmatch(word) for word in words):
                return role
        if any(word in EXAMPLES for word in words):
            return "sample"
    return ""


def is_tabular(files: ContestFiles, key: str) -> bool:
    """True for a CSV or TSV, and for a .txt whose first line has tabs: a README is no table."""
    with (files.root / files.files[key]).open("rb") as stream:
        return suffix_of(key) != ".txt" or b"\t" in stream.readline(65536)


def _first_table(keys: list[str], role: str, name: str) -> Guess:
    """The table whose name is nearest to its role; others of the role are said."""
    if not keys:
        return Guess("", msg("no table is named like {name}", name=name), "note")

    def rank(key: str) -> tuple[bool, bool, bool, int, str]:
        stem = PurePosixPath(key).stem.lower()
        return stem not in (role, name), LABELS_APART.search(stem) is not None, role not in key.lower(), key.count("/"), key

    ranked = sorted(keys, key=rank)
    if len(keys) == 1:
        return Guess(ranked[0], "named so")
    return Guess(ranked[0], _also(ranked[1:6], name), "warning")


def _train(files: ContestFiles, roles: dict[str, list[str]], answers: Answers) -> tuple[Guess, Guess]:
    """Layout and training source."""
    asked = answers.get("train")
    if asked is not None:
        layout = "folders" if is_folder(files, asked) else "csv"
        return Guess(layout, msg("{path} is a folder" if layout == "folders" else "{path} is a file", path=asked)), Guess("", "")
    class_root = _class_root(files)
    wanted = answers.get("layout", "csv" if roles["train"] else "")
    if wanted == "csv" or (not wanted and roles[""] and class_root is None):
        if roles["train"]:
            train = _first_table(roles["train"], "train", "train")
            if class_root is None:
                return Guess("csv", "there is a training table"), train
            other = msg("{folder} also holds class folders (layout=folders)", folder=class_root or "the folder")
            return Guess("csv", joined("; ", ["there is a training table", other]), "note"), train
        return Guess("csv", "there is a table, and no class folders"), _unnamed_table(files, roles[""])
    if class_root is not None:
        names = [PurePosixPath(key).name for key in files.children(class_root)]
        why = msg("{folder} holds folders of images", folder=class_root or "the folder")
        others = [msg("for the table {table} instead: layout=csv train={table}", table=table) for table in roles[""][:1]]
        layout = Guess("folders", joined("; ", [why, *others]), "note" if others else "ok")
        return layout, Guess(class_root or ".", msg("folders: {names}", names=", ".join(names[:5]) + ", …"))
    raise InputError(
        "no contest was recognised in this folder",
        where=str(files.root),
        why=_looked_for(files, roles),
        fix=joined(
            "; ", ["give the folder that holds the training data, or name it with train=NAME", *([LINK_FIX] if files.links else [])]
        ),
    )


def _unnamed_table(files: ContestFiles, keys: list[str]) -> Guess:
    if not keys:
        raise InputError(
            "there is no training table",
            where=str(files.root),
            why="no CSV or TSV is named like train",
            fix="name it with train=NAME, or use layout=folders",
        )
    ranked = sorted(
        keys, key=lambda key: (PurePosixPath(key).stem.lower() not in LABELS, -(files.root / files.files[key]).stat().st_size, key)
    )
    if len(keys) == 1:
        return Guess(ranked[0], "the only table that is not a test or a submission", "note")
    return Guess(ranked[0], joined("; ", ["no table is named train", _also(ranked[1:6], "train")]), "warning")


def _also(others: list[str], name: str) -> str:
    """Which other files would do, and how to choose one."""
    return joined("; ", [msg("also possible: {names}", names=", ".join(others)), msg("correct with {field}", field=setting(name, "NAME"))])


def _looked_for(files: ContestFiles, roles: dict[str, list[str]]) -> str:
    looked = msg("looked for a CSV or TSV named like train, and for at least two folders of images ({formats})", formats=FORMATS)
    found = msg(
        "found {files:,} {files:file|files}, {tables} {tables:table|tables}, {images:,} {images:image|images}, {folders:,} {folders:folder|folders}",
        files=len(files.files),
        tables=sum(map(len, roles.values())),
        images=len(files.images),
        folders=len(files.folders),
    )
    links = [msg("{n} symbolic links (not followed)", n=len(files.links))] if files.links else []
    packed = [msg("{file} is packed: extract it first, or give the zip itself", file=key) for key in _with_suffix(files, PACKED)]
    unread = [msg("{file} is read once it is saved as CSV", file=key) for key in _with_suffix(files, OTHER_TABLES)]
    unknown = (key for key in islice(files.files, N_OPENED) if suffix_of(key) not in IMAGE_SUFFIXES)
    odd = [key for key in unknown if files.begins_like_an_image(key)][:1]
    odd = [msg("{file} is an image with another suffix: give it that of an accepted format", file=key) for key in odd]
    return joined("; ", [looked, found, *links, *packed[:1], *unread[:3], *odd])


def _with_suffix(files: ContestFiles, suffixes: tuple[str, ...]) -> list[str]:
    return sorted(key for key in files.files if suffix_of(key) in suffixes)


def _class_root(files: ContestFiles) -> str | None:
    """The folder whose folders are the classes: one named train before others, shallow before deep; None when there is none.

    In a folder named train every folder is a class, whatever its name. Elsewhere one named test is the test, and train, valid and
    sample are parts where a train stands beside them, else classes.
    """
    with_images = {str(parent).removeprefix(".") for key in files.images for parent in PurePosixPath(key).parents}

    def is_root(folder: str) -> bool:
        inside = [key for key in files.children(folder) if key in with_images]
        roles = [role_of(PurePosixPath(key).name) for key in inside]
        parts = () if role_of(folder) == "train" else ("test", "train", "valid", "sample") if "train" in roles else ("test",)
        return sum(role not in parts for role in roles) >= 2 and role_of(folder) not in ("test", "valid")

    def rank(folder: str) -> tuple[bool, int, str]:
        return role_of(folder) != "train", folder.count("/") + bool(folder), folder

    return min(filter(is_root, with_images), key=rank, default=None)


def _test(files: ContestFiles, roles: dict[str, list[str]], layout: str, train: str) -> Guess:
    tables = [key for key in roles["test"] if key != train]
    if tables:
        return _first_table(tables, "test", "test")
    base = folder_key(train) if layout == "folders" else None
    inside = base + "/" if base else None
    folders = [
        key
        for key in files.folders
        if role_of(PurePosixPath(key).name) == "test" and files.images_under(key) and not (inside and key.startswith(inside))
    ]
    if folders:
        first = min(folders, key=lambda key: (key.count("/"), key))
        why = msg("a folder of {n:,} {n:image|images}", n=len(files.images_under(first)))
        if base is not None and first.rpartition("/")[0] == base:
            doubt = msg("it stands among the class folders; if it is a class too: {field}", field=setting("test", ""))
            return Guess(first, joined("; ", [why, doubt]), "warning")
        return Guess(first, why)
    return Guess("", "no test table or folder is named like test", "note")
