"""A model hub on this machine, in the two calls and one download that the real one answers; stands where a third party's server would."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serving(repositories: dict[str, dict[str, bytes]]) -> Iterator[tuple[str, list[str]]]:
    """Serve files by repository and name; gives the address and the list of paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def _answer(self, *, body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            asked.append(f"{self.command} {path}")
            for name, files in repositories.items():
                if path.startswith(f"/api/models/{name}"):
                    rest = path.removeprefix(f"/api/models/{name}")
                    return self._json(_tree(files) if rest.startswith("/tree/") else _info(name, files), body)
                for file, content in files.items():
                    if path in (f"/{name}/resolve/main/{file}", f"/{name}/resolve/{COMMIT}/{file}"):
                        etag = hashlib.sha256(content).hexdigest()
                        return self._send(200, content, body, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})
            self._send(404, b"", body, {"X-Error-Code": "EntryNotFound"})

        def _json(self, value: object, body: bool) -> None:
            self._send(200, json.dumps(value).encode(), body, {"Content-Type": "application/json"})

        def _send(self, status: int, content: bytes, body: bool, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the requests are in `asked`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _info(name: str, files: dict[str, bytes]) -> dict[str, object]:
    return {"id": name, "modelId": name, "sha": COMMIT, "private": False, "tags": [], "siblings": [{"rfilename": file} for file in files]}


def _tree(files: dict[str, bytes]) -> list[dict[str, object]]:
    return [
        {"type": "file", "path": file, "size": len(content), "oid": hashlib.sha1(content).hexdigest()} for file, content in files.items()
    ]
