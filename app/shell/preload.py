"""The parts of the frontend that a page draws with are loaded while the browser waits for the page, not one after another once it has come.

Streamlit's frontend loads the code of an element when the first one is to be drawn: Plotly's alone takes half a second of a processor.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import streamlit
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

FRONTEND = Path(streamlit.__file__).parent / "static"
SCRIPTS = FRONTEND / "static" / "js"
EVERYWHERE = ("BidiComponent", "Button", "ButtonGroup", "Checkbox", "Html", "Metric", "NumberInput", "PageLink", "Selectbox", "TextInput")
"""Elements of nearly every page."""
BY_PAGE = {
    "": (),
    "data": (),
    "folds": ("DataFrame", "ArrowVegaLiteChart"),
    "train": ("Table", "ArrowVegaLiteChart"),
    "runs": ("DataFrame",),
    "ensemble": ("DataFrame", "PlotlyChart"),
    "errors": ("DataFrame", "PlotlyChart"),
    "submit": ("DataFrame", "Table", "DownloadButton"),
}
"""What else is on a page, by its address."""
EARLY = """<script type="module">
const waiting = setInterval(() => {
  if (!document.querySelector("[data-test-connection-state=CONNECTED]")) return
  clearInterval(waiting)
  for (const name of %s) import(`./static/js/${name}`)
}, 10)
</script>"""
"""Runs the scripts once the page has been asked for: before that they would hold up the asking."""


class Preload:
    """ASGI middleware that answers the pages' addresses with Streamlit's index.html and what they preload in it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        index = (FRONTEND / "index.html").read_text(encoding="utf-8")
        self._pages = {f"/{page}": with_preloads(index, (*EVERYWHERE, *elements)) for page, elements in BY_PAGE.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        page = self._pages.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        answer = self._app if page is None else HTMLResponse(page, headers={"Cache-Control": "no-cache"})
        await answer(scope, receive, send)


def with_preloads(index: str, elements: Iterable[str]) -> str:
    """`index` with a link for each script that the elements need beside those it names, and with their early import."""
    own = [script for element in elements for script in scripts_of(element)]
    known, wanted = set[str](), set[str]()
    for name in re.findall(r'static/js/([^"]+\.js)', index):
        known.update(_imports(name, known))
    for name in own:
        wanted.update(_imports(name, known | wanted))
    links = "".join(f'<link rel="modulepreload" crossorigin href="./static/js/{name}">' for name in sorted(wanted))
    return index.replace("</head>", f"{links}{EARLY % own}</head>", 1)


def scripts_of(element: str) -> list[str]:
    """The script of an element, by its name with a hash; none where this version of Streamlit names it otherwise."""
    return sorted(path.name for path in SCRIPTS.glob(f"{element}.*.js"))


def _imports(name: str, known: set[str]) -> Iterator[str]:
    """A script and those it imports at once, without those that are known."""
    left, seen = [name], set(known)
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            yield name
            left += re.findall(r'(?:from|import)\s*"\./([^"]+\.js)"', (SCRIPTS / name).read_text(encoding="utf-8"))
