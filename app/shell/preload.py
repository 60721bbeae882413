"""What a browser need not wait for when a page is opened: the address of the server, and the code that its elements are drawn with.

Streamlit's frontend looks for its server below the page's own address first, finds nothing, and waits a tenth of a second before it looks at the root; it loads
the code of an element when the first one is to be drawn: Plotly's alone takes half a second of a processor.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import streamlit as st
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

FRONTEND = Path(st.__file__).parent / "static"
SCRIPTS = FRONTEND / "static" / "js"
EVERYWHERE = ("BidiComponent", "Button", "ButtonGroup", "Checkbox", "Html", "Metric", "NumberInput", "PageLink", "Selectbox", "TextInput")
"""Elements of nearly every page."""
BY_PAGE = {
    "": ("MenuButton",),
    "data": ("Table", "ArrowVegaLiteChart", "Pagination"),
    "folds": ("DataFrame", "ArrowVegaLiteChart"),
    "train": ("Table", "ArrowVegaLiteChart"),
    "runs": ("DataFrame",),
    "ensemble": ("DataFrame", "ArrowVegaLiteChart"),
    "errors": ("DataFrame", "PlotlyChart"),
    "submit": ("DataFrame", "Table", "ArrowVegaLiteChart", "DownloadButton"),
}
"""What else is on a page, by its address."""
SERVER = """<script>
window.__streamlit = { BACKEND_BASE_URL: new URL("./", location.href).href, HOST_CONFIG: %s }
</script>"""
"""The frontend connects at once where it is told both (`shouldBypass` in its connection package), and asks the server for the whole host configuration beside that."""
EARLY = """<script type="module">
const waiting = setInterval(() => {
  if (!document.querySelector("[data-test-connection-state=CONNECTED]")) return
  clearInterval(waiting)
  for (const name of %s) import(`./static/js/${name}`)
}, 10)
</script>"""
"""Runs the scripts once the page has been asked for: before that they would hold up the asking."""


class Preload:
    """ASGI middleware that answers the pages' addresses with Streamlit's index.html, the server's address and what they preload in it."""

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
    server = SERVER % json.dumps({"allowedOrigins": st.get_option("client.allowedOrigins"), "useExternalAuthToken": False})
    links = "".join(f'<link rel="modulepreload" crossorigin href="./static/js/{name}">' for name in sorted(wanted))
    return index.replace("</head>", f"{server}{links}{EARLY % own}</head>", 1)


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
