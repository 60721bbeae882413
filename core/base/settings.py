"""The base of everything a person sets: frozen, unknown keys refused, all problems told at once.

A setting is written once, as a field with a range and one line of help; the form in the browser, `--set a.b=c`, the YAML
file and the documentation page all come from it.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, cast

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticKnownError

from core.base.errors import InputError, PitwallError, RecipeError
from core.base.messages import joined, msg, reason


class Settings(BaseModel):
    """A frozen model; changing a setting makes a new object."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able values, in the order of the fields."""
        return self.model_dump(mode="json")


S = TypeVar("S", bound=Settings)


def parse_settings(model: type[S], values: Mapping[str, Any], *, where: str, error: type[PitwallError] = RecipeError) -> S:
    """Build `model` from plain values, or raise one error that lists every problem with its field, value and fix."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as problem:
        lines: list[str] = []
        for item in problem.errors():
            field = ".".join(str(part) for part in item["loc"]) or model.__name__
            if item["type"] == "extra_forbidden":
                known = ", ".join(_siblings(model, item["loc"]))
                lines.append(msg("{field}: unknown setting, known here: {names}", field=field, names=known))
            elif item["type"] == "missing":
                lines.append(msg("{field}: missing", field=field))
            else:
                lines.append(msg("{field} = {value}: {problem}", field=field, value=repr(item["input"]), problem=_problem(item)))
        raise error(
            msg("{n} settings cannot be used" if len(lines) > 1 else "{n} setting cannot be used", n=len(lines)),
            where=where,
            why=joined("; ", lines),
            fix="correct the named fields; `python -m core settings` lists every field with its range",
        ) from None


def apply_sets(settings: S, assignments: Iterable[str], *, where: str = "--set", error: type[PitwallError] = RecipeError) -> S:
    """Return a copy with `a.b=c` assignments applied; the value is read as YAML, so `true`, `3` and `[a, b]` work."""
    values = settings.to_dict()
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        if not separator or not path.strip():
            raise error(
                msg("'{assignment}' is not an assignment", assignment=assignment),
                where=where,
                why="expected a.b=value",
                fix="write for example --set optim.lr=0.001",
            )
        target: Any = values
        *parents, last = path.strip().split(".")
        for parent in parents:
            if not isinstance(target, dict) or not isinstance(target.get(parent), dict):
                raise error(
                    msg("'{name}' is not a setting", name=path),
                    where=where,
                    why=msg("'{name}' has no fields here", name=parent),
                    fix=msg("known: {names}", names=", ".join(values)),
                )
            target = target[parent]
        target[last] = load_yaml(text, where=f"{where} {path}", error=error)
    return parse_settings(type(settings), values, where=where, error=error)


class _StrictLoader(yaml.SafeLoader):
    """The safe loader, refusing what can surprise: duplicate keys and aliases."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(msg("aliases are not allowed (line {line})", line=self.peek_event().start_mark.line + 1))
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.YAMLError(msg("a key must be a word (line {line})", line=key.start_mark.line + 1))
            if key.value in seen:
                raise yaml.YAMLError(msg("the key '{name}' appears twice (line {line})", name=key.value, line=key.start_mark.line + 1))
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def load_yaml(text: str, *, where: str, error: type[PitwallError] = InputError) -> Any:
    """Read YAML with the safe loader; duplicate keys and aliases are refused."""
    try:
        return yaml.load(text, _StrictLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise error("this is not valid YAML", where=where, why=str(problem).replace("\n", " "), fix="correct the named line") from None


def load_settings(model: type[S], path: Path, *, error: type[PitwallError] = RecipeError) -> S:
    """Read a settings file (YAML, UTF-8)."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise error(
            msg("cannot read {file}", file=path.name), where=str(path), why=reason(problem), fix="give the path of a UTF-8 YAML file"
        ) from None
    values = load_yaml(text, where=str(path), error=error)
    if not isinstance(values, dict):
        raise error(
            msg("{file} holds no settings", file=path.name),
            where=str(path),
            why="expected `field: value` lines",
            fix="start from a file in models/presets",
        )
    return parse_settings(model, values, where=str(path), error=error)


def walk_fields(model: type[Settings], prefix: str = "") -> Iterable[tuple[str, FieldInfo]]:
    """Yield every leaf field of a model with its dotted path, in order; nested models are walked into."""
    for name, field in model.model_fields.items():
        nested = settings_type(field)
        if nested is not None:
            yield from walk_fields(nested, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def settings_type(field: FieldInfo) -> type[Settings] | None:
    """The nested settings model of a field (also behind `| None`), or None for a leaf."""
    options = typing.get_args(field.annotation) if typing.get_origin(field.annotation) in (Union, UnionType) else (field.annotation,)
    for option in options:
        if isinstance(option, type) and issubclass(option, Settings):
            return option
    return None


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
    current: type[Settings] = model
    for part in location[:-1]:
        field = current.model_fields.get(str(part))
        nested = settings_type(field) if field else None
        if nested is None:
            break
        current = nested
    return list(current.model_fields)
