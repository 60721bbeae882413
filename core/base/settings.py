"""The base of everything a person sets: frozen, unknown keys refused, all problems in one error.

A setting is written once, as a field with a range and one line of help; the form in the browser, `--set a.b=c`, the YAML
file and the documentation page all come from it.

A new field's default means "as before", and no default ever changes: a fingerprint leaves out what is at its default, so that a
new setting changes none of the fingerprints that are stored. A better choice goes into models/presets.
"""

import typing
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, TypeVar, Union, cast

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticKnownError

from core.base.errors import InputError, PitwallError, RecipeError
from core.base.messages import joined, msg, reason

BASIC: dict[str, Any] = {"basic": True}
"""Marks a field that a form shows first."""
LINES: dict[str, Any] = {"lines": True}
"""Marks a field of names that a form shows as lines of text, one name each."""


class Settings(BaseModel):
    """A frozen model; changing a setting makes a new object."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    moved: ClassVar[Mapping[str, str]] = {}
    """Old `section.field` -> where it is now: files and stored rows of earlier versions are read as if they said the new path."""
    always_hashed: ClassVar[tuple[str, ...]] = ()
    """Settings that 0.1.0 hashed at their defaults too, by the path they had then, so that its fingerprints stay. Nothing is added."""

    @model_validator(mode="before")
    @classmethod
    def _read_moved(cls, values: Any) -> Any:
        return move_settings(values, cls.moved) if cls.moved and isinstance(values, Mapping) else values

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able values, in the order of the fields."""
        return self.model_dump(mode="json")

    def leaves(self) -> Iterable[tuple[str, FieldInfo, Any]]:
        """Every field that applies, with its dotted path and value, in order; a nested model that is None is left out."""
        return (leaf for leaf in walk_fields(type(self), self) if settings_type(leaf[1]) is None)

    def identity(self) -> dict[str, Any]:
        """What a fingerprint is made of: nested plain values that differ from their defaults, each at the first path it ever had."""
        first_paths = {new: old for old, new in reversed(list(self.moved.items()))}
        plain, identity = self.model_dump(mode="json"), dict[str, Any]()
        for path, field, value in walk_fields(type(self), self):
            first = first_paths.get(path, path)
            if first in self.always_hashed or field.is_required() or value != field.get_default(call_default_factory=True):
                *sections, name = first.split(".")
                target = reduce(lambda values, section: values.setdefault(section, {}), sections, identity)
                target[name] = reduce(lambda values, key: values[key], path.split("."), plain)
        return identity


S = TypeVar("S", bound=Settings)


def refuse(*rules: tuple[object, str]) -> None:
    """For a validator of a whole model: raise ValueError with the first reason whose condition is met."""
    for is_met, why in rules:
        if is_met:
            raise ValueError(why)


def move_settings(values: Mapping[str, Any], moved: Mapping[str, str]) -> dict[str, Any]:
    """Plain nested values in today's layout. Raises ValueError where a setting is given at its old and its new path."""
    current = {name: dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else value for name, value in values.items()}
    for old, new in moved.items():
        (old_section, old_name), (section, name) = old.split("."), new.split(".")
        given, target = current.get(old_section), current.get(section, {})
        if isinstance(given, dict) and isinstance(target, dict) and old_name in given:
            refuse((name in target, msg("{old} is called {new} now, give one of the two", old=old, new=new)))
            current[section] = {**target, name: given.pop(old_name)}
    for section in {old.partition(".")[0] for old in moved} - {new.partition(".")[0] for new in moved.values()}:
        if not current.get(section, True):
            del current[section]
    return current


def only_with(path: str, *values: str) -> dict[str, Any]:
    """Marks a field that is used where another setting, by its dotted path, has one of these values; elsewhere it stays at its default."""
    return {"only_with": (path, values)}


def wanted_by(field: FieldInfo) -> tuple[str, tuple[str, ...]] | None:
    """What a field marked by `only_with` needs: the path of the other setting, and the values it must have one of."""
    extra = field.json_schema_extra
    return cast("Any", extra["only_with"]) if isinstance(extra, dict) and "only_with" in extra else None


def try_settings(model: type[S], values: Mapping[str, Any]) -> tuple[S | None, list[str]]:
    """`model` built from plain values, or None and every problem: its field, the value and what is wrong with it."""
    try:
        return model.model_validate(dict(values)), []
    except ValidationError as problem:
        return None, [line for item in problem.errors() for line in _lines(model, item)]


def parse_settings(model: type[S], values: Mapping[str, Any], *, where: str, error: type[PitwallError] = RecipeError) -> S:
    """Build `model` from plain values, or raise one error that lists every problem with its field, value and fix."""
    parsed, problems = try_settings(model, values)
    if parsed is None:
        raise settings_error(problems, where=where, error=error)
    return parsed


def settings_error(problems: Sequence[str], *, where: str, error: type[PitwallError] = RecipeError) -> PitwallError:
    """The one error of settings that cannot be used."""
    return error(
        msg("{n} {n:setting|settings} cannot be used", n=len(problems)),
        where=where,
        why=joined("; ", problems),
        fix="correct the named fields; `python -m core settings` lists every field with its range",
    )


def apply_sets(settings: S, assignments: Iterable[str], *, where: str = "--set") -> S:
    """Return a copy with `a.b=c` assignments applied; the value is read as YAML, so `true`, `3` and `[a, b]` work. A text is taken as it is
    typed, unless it is in quotes."""
    changes: dict[str, Any] = {}
    moved = type(settings).moved
    texts = {path for path, field, _ in walk_fields(type(settings)) if field.annotation is str}
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        if not separator or not path.strip():
            why, fix = "expected a.b=value", "write for example --set optim.lr=0.001"
            raise RecipeError("'{assignment}' is not an assignment", where=where, why=why, fix=fix, assignment=assignment)
        is_typed = moved.get(path.strip(), path.strip()) in texts and not text.strip().startswith(("'", '"'))
        changes[path.strip()] = text.strip() if is_typed else load_yaml(text, where=f"{where} {path}", error=RecipeError)
    changed, problems = try_changes(settings, changes)
    if changed is None:
        raise settings_error(problems, where=where)
    return changed


def try_changes(settings: S, changes: Mapping[str, Any]) -> tuple[S | None, list[str]]:
    """A copy with the values at some dotted paths replaced, or None and every problem."""
    values = settings.to_dict()
    problems: list[str] = []
    for path, value in changes.items():
        *parents, last = type(settings).moved.get(path, path).split(".")
        target: Any = values
        for parent in parents:
            target = target.get(parent) if isinstance(target, dict) else None
        if isinstance(target, dict):
            target[last] = value
        else:
            problems.append(_unknown(path, values))
    changed, wrong = try_settings(type(settings), values)
    return (None, problems + wrong) if problems else (changed, wrong)


class _StrictLoader(yaml.SafeLoader):
    """The safe loader, refusing what can surprise: duplicate keys and aliases."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(msg("aliases are not allowed (line {line})", line=self.peek_event().start_mark.line + 1))
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key for key, _ in node.value]
        for number, key in enumerate(keys):
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.YAMLError(msg("a key must be a word (line {line})", line=key.start_mark.line + 1))
            if key.value in [before.value for before in keys[:number]]:
                raise yaml.YAMLError(msg("the key '{name}' appears twice (line {line})", name=key.value, line=key.start_mark.line + 1))
        return super().construct_mapping(node, deep)


class _TextLoader(_StrictLoader):
    """Takes every word as it is typed: no numbers, no truth values, no null."""

    yaml_implicit_resolvers = {}


def load_yaml(text: str, *, where: str, error: type[PitwallError] = InputError, as_typed: bool = False) -> Any:
    """Read YAML with the safe loader; duplicate keys and aliases are refused. `as_typed` keeps all words as texts."""
    try:
        return yaml.load(text, _TextLoader if as_typed else _StrictLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise error("this is not valid YAML", where=where, why=str(problem).replace("\n", " "), fix="correct the named line") from None


def yaml_settings(source: Path | bytes, *, where: str, start: str, error: type[PitwallError] = RecipeError) -> dict[str, Any]:
    """The plain values of a settings file (YAML, UTF-8), from its path or its bytes; `start` says in an error what to start from."""
    name = Path(where).name
    try:
        text = (source if isinstance(source, bytes) else source.read_bytes()).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        fix = "give the path of a UTF-8 YAML file"
        raise error(msg("cannot read {file}", file=name), where=where, why=reason(problem), fix=fix) from None
    values = load_yaml(text, where=where, error=error)
    if not isinstance(values, dict):
        raise error(msg("{file} holds no settings", file=name), where=where, why="expected `field: value` lines", fix=start)
    return cast("dict[str, Any]", values)


def load_settings(model: type[S], path: Path) -> S:
    """Read a settings file (YAML, UTF-8)."""
    return parse_settings(model, yaml_settings(path, where=str(path), start="start from a file in models/presets"), where=str(path))


def walk_fields(model: type[Settings], value: Settings | None = None, prefix: str = "") -> Iterable[tuple[str, FieldInfo, Any]]:
    """Yield every leaf field of a model with its dotted path and its value in `value`, in order.

    Nested models are walked into; of an object only those that it has.
    """
    for name, field in model.model_fields.items():
        nested, inner = settings_type(field), getattr(value, name, None)
        if nested is not None and (value is None or inner is not None):
            yield from walk_fields(nested, inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field, inner


def settings_type(field: FieldInfo) -> type[Settings] | None:
    """The nested settings model of a field (also behind `| None`), or None for a leaf."""
    options = typing.get_args(field.annotation) if typing.get_origin(field.annotation) in (Union, UnionType) else (field.annotation,)
    return next((option for option in options if isinstance(option, type) and issubclass(option, Settings)), None)


def _lines(model: type[Settings], item: ErrorDetails) -> list[str]:
    """One problem that pydantic found; of a section that has moved, one for each setting that has no new place."""
    field = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        moved = [new for old, new in model.moved.items() if old.startswith(f"{field}.")]
        names = [f"{field}.{name}" for name in item["input"]] if moved and isinstance(item["input"], Mapping) else [field]
        return [_unknown(name, moved or _siblings(model, item["loc"])) for name in names]
    if item["type"] == "missing":
        return [msg("{field}: missing", field=field)]
    if isinstance(item["input"], Mapping):  # a validator of the whole model; its settings would say nothing
        return [msg("{field}: {problem}", field=field, problem=_problem(item)) if field else _problem(item)]
    return [msg("{field} = {value}: {problem}", field=field, value=repr(item["input"]), problem=_problem(item))]


def _unknown(field: str, known: Iterable[str]) -> str:
    return msg("{field}: unknown setting, known here: {names}", field=field, names=", ".join(known))


def _problem(item: ErrorDetails) -> str:
    """What pydantic says of a value, as its own template with values; what a validator of ours raised, as it was raised."""
    context = item.get("ctx", {})
    if item["type"] == "value_error":
        return context["error"].args[0]
    try:
        template = PydanticKnownError(cast("Any", item["type"]), context or None).message_template
    except (KeyError, TypeError):  # a type that is not pydantic's own
        return item["msg"]
    return msg(template, **context)


def _siblings(model: type[Settings], location: tuple[int | str, ...]) -> list[str]:
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        model = (settings_type(field) if field else None) or model
    return list(model.model_fields)
