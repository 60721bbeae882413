"""Settings of the texts: which columns of a row its text is made of, and how it is cleaned before it is cut into tokens."""

import re
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from core.base.messages import msg
from core.base.settings import Settings, only_with, refuse

FOR_TEXTS: dict[str, Any] = {"modality": "text"}
PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class ComposeSettings(Settings):
    """How the columns of a row become its text. By default it is the contest's input columns, joined by a line break."""

    template: str = Field(
        default="",
        max_length=4000,
        description="The text of a row, made of its columns: {subject_entity.word} [SEP] {sentence}, where a dot takes a part of a column of"
        " dictionaries. What stands in square brackets becomes one token, \\n is a line break. Empty: the contest's own input columns, joined by a line break.",
        json_schema_extra=FOR_TEXTS,
    )
    markers: Literal["none", "special", "punctuation"] = Field(
        default="none",
        description="Typed entity markers in the sentence: as tokens of their own, [S:PER] word [/S:PER], or as punctuation, @ * PER * word @"
        " for the subject and # ^ ORG ^ word # for the object (Zhou and Chen 2021), which needs no new tokens.",
        json_schema_extra=FOR_TEXTS,
    )
    marked_column: str = Field(
        default="sentence",
        min_length=1,
        description="The column with the sentence that is marked; without a template it is the whole text.",
        json_schema_extra=FOR_TEXTS | only_with("input.markers", "special", "punctuation"),
    )
    entity_columns: tuple[str, ...] = Field(
        default=("subject_entity", "object_entity"),
        min_length=2,
        max_length=2,
        description="The columns with the subject and the object: dictionaries of word, start_idx, end_idx (the place of the last character) and"
        " type, as in KLUE.",
        json_schema_extra=FOR_TEXTS | only_with("input.markers", "special", "punctuation"),
    )

    @property
    def compose_settings(self) -> "ComposeSettings":
        """These settings alone."""
        return ComposeSettings.model_validate({name: getattr(self, name) for name in ComposeSettings.model_fields})

    @property
    def composes(self) -> bool:
        """Whether the text is another one than the contest's input columns."""
        return bool(self.template) or self.markers != "none"

    @property
    def full_template(self) -> str:
        """The template; where only markers are asked for, the marked sentence."""
        return self.template or "{" + self.marked_column + "}"

    @property
    def only_column(self) -> str:
        """The column of a template that names one alone, so that a text without columns can take its place; else ""."""
        named = {name for _, name in template_pieces(self.template) if name}
        return named.pop() if len(named) == 1 and self.markers == "none" else ""

    @field_validator("template")
    @classmethod
    def _in_one_line(cls, template: str) -> str:
        """One spelling of a line break, which a field of a form can hold."""
        return template.replace("\r\n", "\n").replace("\n", "\\n")

    @model_validator(mode="after")
    def _names_columns(self) -> Self:
        columns = [name for _, name in template_pieces(self.full_template) if name]
        stray = [found for found in PLACEHOLDER.finditer(self.template) if found[0] in ("{", "}")]
        refuse(
            (stray, "the template has a brace without its other half; a brace itself is written {{ or }}"),
            (self.composes and not columns, "the template names no column; write one in braces, such as {sentence}"),
            (
                self.markers != "none" and self.marked_column not in columns,
                msg("the template has no {column}, which is to be marked", column="{" + self.marked_column + "}"),
            ),
        )
        return self


def template_pieces(template: str) -> tuple[tuple[str, str], ...]:
    """A template in pieces: a literal text and "", or "" and what stands in a pair of braces."""
    template, done = template.replace("\\n", "\n"), 0
    pieces: list[tuple[str, str]] = []
    for found in PLACEHOLDER.finditer(template):
        pieces.append((template[done : found.start()], ""))
        pieces.append((found[0][0], "") if found[1] is None else ("", found[1].strip()))
        done = found.end()
    return tuple(piece for piece in (*pieces, (template[done:], "")) if any(piece))


class CleanSettings(Settings):
    """What is done to a text before it is cut into tokens, in this order. By default nothing."""

    html: bool = Field(
        default=False,
        description="Remove HTML tags and comments, and decode entities such as &lt;. Other words in angle brackets stay.",
        json_schema_extra=FOR_TEXTS,
    )
    unicode: Literal["as_it_is", "NFC", "NFKC"] = Field(
        default="as_it_is",
        description="The Unicode form: NFC composes decomposed Hangul, NFKC also turns full-width letters, ligatures and the like into plain ones.",
        json_schema_extra=FOR_TEXTS,
    )
    emoji: Literal["keep", "name", "drop"] = Field(
        default="keep",
        description="Emoji and dingbats: keep them, write their English names (thumbs up sign), or leave them out.",
        json_schema_extra=FOR_TEXTS,
    )
    repeats: int = Field(
        default=0,
        ge=0,
        le=20,
        description="The most times that a character other than a digit stands in a row, so that with 2 ㅋㅋㅋㅋ becomes ㅋㅋ; 2 or 3 is usual, 0 is any.",
        json_schema_extra=FOR_TEXTS,
    )
    min_rows: int = Field(
        default=0,
        ge=0,
        le=10000,
        description="Leave out words that fewer of the fold's training rows have, in all rows; 2 to 5 for classical models, 0 keeps all words.",
        json_schema_extra=FOR_TEXTS,
    )
    white_space: bool = Field(
        default=False,
        description="One space for each run of white space, none at the ends, and no zero-width characters.",
        json_schema_extra=FOR_TEXTS,
    )
