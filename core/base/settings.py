"""The base of everything a person sets: frozen, unknown keys refused, all problems told at once.

A setting is written once, as a field with a range and one line of help; the form in the browser, `--set a.b=c`, the YAML
file and the documentation page all come from it.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from core.base.errors import InputError, PitwallError, RecipeError


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
            message = item["msg"].removeprefix("Value error, ")
            if item["type"] == "extra_forbidden":
                known = ", ".join(_siblings(model, item["loc"]))
                lines.append(f"{field}: unknown setting; known here: {known}")
            elif item["type"] == "missing":
                lines.append(f"{field}: missing")
            else:
                lines.append(f"{field} = {item['input']!r}: {message}")
        raise error(
            f"{len(lines)} setting{'s' if len(lines) > 1 else ''} cannot be used",
            where=where,
            why="; ".join(lines),
            fix="correct the named fields; `python -m core settings` lists every field with its range",
        ) from None


def apply_sets(settings: S, assignments: Iterable[str], *, where: str = "--set", error: type[PitwallError] = RecipeError) -> S:
    """Return a copy with `a.b=c` assignments applied; the value is read as YAML, so `true`, `3` and `[a, b]` work."""
    values = settings.to_dict()
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        if not separator or not path.strip():
            raise error(
                f"'{assignment}' is not an assignment", where=where, why="expected a.b=value", fix="write for example --set optim.lr=0.001"
            )
        target: Any = values
        *parents, last = path.strip().split(".")
        for parent in parents:
            if not isinstance(target, dict) or not isinstance(target.get(parent), dict):
                raise error(
                    f"'{path}' is not a setting", where=where, why=f"'{parent}' has no fields here", fix=f"known: {', '.join(values)}"
                )
            target = target[parent]
        target[last] = load_yaml(text, where=f"{where} {path}", error=error)
    return parse_settings(type(settings), values, where=where, error=error)


class _StrictLoader(yaml.SafeLoader):
    """The safe loader, refusing what can surprise: duplicate keys and aliases."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"aliases are not allowed (line {self.peek_event().start_mark.line + 1})")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.YAMLError(f"a key must be a word (line {key.start_mark.line + 1})")
            if key.value in seen:
                raise yaml.YAMLError(f"the key '{key.value}' appears twice (line {key.start_mark.line + 1})")
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
        raise error(f"cannot read {path.name}", where=str(path), why=str(problem), fix="give the path of a UTF-8 YAML file") from None
    values = load_yaml(text, where=str(path), error=error)
    if not isinstance(values, dict):
        raise error(
            f"{path.name} holds no settings",
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


def _siblings(model: type[Settings], location: tuple[int | str, ...]) -> list[str]:
    current: type[Settings] = model
    for part in location[:-1]:
        field = current.model_fields.get(str(part))
        nested = settings_type(field) if field else None
        if nested is None:
            break
        current = nested
    return list(current.model_fields)
