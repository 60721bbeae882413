"""What the browser loads while it waits for a page."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from app.shell.preload import BY_PAGE, EVERYWHERE, FRONTEND, SCRIPTS, Preload, scripts_of

PAGES = Path(__file__).parents[3] / "pages"


@pytest.mark.parametrize("element", sorted({*EVERYWHERE, *(name for names in BY_PAGE.values() for name in names)}))
def test_each_element_is_one_script_of_the_installed_frontend(element: str) -> None:
    assert len(scripts_of(element)) == 1


def test_each_page_is_known() -> None:
    assert set(BY_PAGE) == {path.stem.replace("home", "") for path in PAGES.glob("*.py")}


def answer(path: str, method: str = "GET") -> str:
    sent: list[Any] = []

    async def streamlit_app(scope: Scope, receive: Receive, send: Send) -> None:
        sent.append({"body": b"Streamlit's own"})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    asyncio.run(Preload(streamlit_app)({"type": "http", "method": method, "path": path, "headers": []}, receive, send))
    return b"".join(message.get("body", b"") for message in sent).decode()


def test_a_page_is_streamlits_index_with_links_to_scripts_that_exist_and_are_named_once() -> None:
    page, index = answer("/errors"), (FRONTEND / "index.html").read_text(encoding="utf-8")
    linked = re.findall(r'href="\./static/js/([^"]+)"', page)
    assert len(linked) == len(set(linked)) > len(re.findall("modulepreload", index))
    assert all((SCRIPTS / name).is_file() for name in linked)
    assert set(scripts_of("PlotlyChart")) <= set(linked)
    assert not set(scripts_of("PlotlyChart")) & set(re.findall(r'href="\./static/js/([^"]+)"', answer("/")))
    assert re.sub(
        r'<link rel="modulepreload"[^>]*>|<script( type="module")?>\n(const|window\.__streamlit).*?</script>', "", page, flags=re.S
    ) == re.sub(r'<link rel="modulepreload"[^>]*>', "", index)


def test_a_page_names_its_server_and_its_host_configuration_so_that_the_frontend_need_not_search() -> None:
    (settings,) = re.findall(r"window\.__streamlit = (.*)\n", answer("/train"))
    assert 'BACKEND_BASE_URL: new URL("./", location.href).href' in settings
    host = json.loads(settings.partition("HOST_CONFIG: ")[2].removesuffix(" }"))
    assert host["allowedOrigins"] and host["useExternalAuthToken"] is False


@pytest.mark.parametrize(
    ("path", "method"), [("/_stcore/health", "GET"), ("/nowhere", "GET"), ("/errors", "POST"), ("/static/js/x.js", "GET")]
)
def test_everything_else_is_streamlits(path: str, method: str) -> None:
    assert answer(path, method) == "Streamlit's own"
