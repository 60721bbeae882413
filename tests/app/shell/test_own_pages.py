"""A page of another origin, and a name that a stranger lets point here, get nothing of the workbench; its own pages get all of it."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from app.shell.own_pages import OwnPagesOnly
from core.workspace import ENV_VARIABLE

ROOT = Path(__file__).parents[3]


def ask(kind: str, host: str | None, origin: str | None) -> dict[str, Any]:
    """The first message that is sent in answer; a connection that is let through is accepted."""
    sent: list[MutableMapping[str, Any]] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await send(
            {"type": "websocket.accept"} if scope["type"] == "websocket" else {"type": "http.response.start", "status": 200, "headers": []}
        )

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    named = {"host": host, "origin": origin}
    headers = [(name.encode(), value.encode()) for name, value in named.items() if value is not None]
    anyio.run(OwnPagesOnly(inner), {"type": kind, "method": "GET", "path": "/", "headers": headers}, receive, send)
    return dict(sent[0])


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("host", "origin", "passes"),
    [
        ("127.0.0.1:8501", None, True),
        ("LOCALHOST:8501", "http://LOCALHOST:8501", True),
        ("[::1]:8501", "http://[::1]:8501", True),
        ("localhost:8501", "http://localhost:3000", False),
        ("localhost:8501", "http://127.0.0.1:8501", False),
        ("localhost:8501", "null", False),
        ("localhost:8501", "http://[", False),
        ("localhost:8501", "http://evil.example", False),
        ("evil.example:8501", "http://evil.example:8501", False),
        ("localhost.evil.example", None, False),
        ("evil.example@localhost", None, False),
        ("[", None, False),
        (None, None, False),
    ],
)
def test_only_the_workbenchs_own_pages_get_an_answer(
    kind: str, host: str | None, origin: str | None, passes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamlit.config.get_option", lambda name: ["localhost", "127.0.0.1", "::1"] if "Hosts" in name else [])
    answer = ask(kind, host, origin)
    if kind == "websocket":
        assert answer["type"] == ("websocket.accept" if passes else "websocket.close")
    else:
        assert answer["status"] == (200 if passes else 403)
        assert not passes or (b"x-frame-options", b"SAMEORIGIN") in answer["headers"]


@pytest.mark.parametrize(("known", "passes"), [(["bench.example"], True), (["*.example"], True), ([], False)])
def test_other_addresses_are_named_in_streamlits_own_settings(known: list[str], passes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamlit.config.get_option", lambda name: known if "Hosts" in name else ["https://bench.example"])
    assert ask("http", "bench.example", "https://bench.example")["status"] == (200 if passes else 403)


@pytest.mark.slow
def test_started_from_any_folder_it_listens_on_loopback_only(tmp_path: Path) -> None:
    """`streamlit run app/server.py`: the settings are found beside the script."""
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app" / "server.py"), "--server.port", "0"]
    environment = {**os.environ, ENV_VARIABLE: str(tmp_path / "workspace"), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            assert server.stdout is not None
            line = next(line for line in server.stdout if "URL: " in line)
            url = line.split("URL:")[1].strip()
            assert url.startswith("http://127.0.0.1:")
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(urllib.request.Request(url, headers={"Host": "evil.example"}), timeout=20)
            assert refused.value.code == 403
            refused.value.close()
        finally:
            server.kill()
