"""`python -m app` as a process: it says its address, steps aside from a taken port, serves, and lets go of the workspace when stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from app.server import send_at_once
from core.jobs.engine import holder_of
from core.store.queue import pause_devices
from core.workspace import Workspace

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_server_steps_aside_serves_and_lets_go(workspace: Workspace, how: signal.Signals) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = subprocess.Popen(
            [sys.executable, "-m", "app", "--workspace", str(workspace.root), "--port", str(port)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert server.stdout is not None
        try:
            assert f"Port {port} is taken" in server.stdout.readline()
            address = next(word for word in server.stdout.readline().split() if word.startswith("http://127.0.0.1:"))
            assert not address.endswith(f":{port}")
            while "URL" not in (line := server.stdout.readline()):  # Streamlit says this once it listens
                assert line, "the server ended early"
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=30) as answer:
                assert answer.status == 200
            holder = holder_of(workspace.engine_lock_path)
            assert holder is not None
            assert holder.identity.pid == server.pid
            server.send_signal(how)
            server.wait(timeout=30)
            assert holder_of(workspace.engine_lock_path) is None
        finally:
            server.kill()
            _, errors = server.communicate()
    assert "Traceback" not in errors


def test_what_a_listening_socket_accepts_sends_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        send_at_once()
        with socket.create_connection(listening.getsockname()) as _, listening.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_help_reads_well() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app", "--help"], cwd=ROOT, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "120"}
    )
    assert "--workspace" in done.stdout
    assert "--port" in done.stdout


def test_a_damaged_database_is_said_in_words(workspace: Workspace) -> None:
    pause_devices(workspace.store, now=1.0)
    workspace.store.close()
    workspace.db_path.write_bytes(workspace.db_path.read_bytes().replace(b"person", b"disk\0\0"))
    command = [sys.executable, "-m", "app", "--workspace", str(workspace.root)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "http" not in done.stdout
    assert "the database file is damaged" in done.stderr and str(workspace.db_path) in done.stderr and "Traceback" not in done.stderr
