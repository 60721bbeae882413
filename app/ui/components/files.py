"""Registers a component of the page from the files that stand beside its Python: index.html, style.css, main.js."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from streamlit.components.v2 import component

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer


def component_from_files(module_file: str, name: str) -> ComponentRenderer:
    """The component `name` whose files stand in the folder of `module_file`; they are read once, at import.

    Streamlit reads files itself only for components that are installed as packages of their own.
    """
    folder = Path(module_file).parent
    html, css, js = ((folder / file).read_text(encoding="utf-8") for file in ("index.html", "style.css", "main.js"))
    return component(name, html=html, css=css, js=js)
