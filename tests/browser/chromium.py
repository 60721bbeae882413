"""Finds the Chromium that drives the browser tests, and brings one when there is none.

Order: PITWALL_CHROMIUM or CHROMIUM, one on the PATH, Playwright's own; to bring one: Debian's package when root, else Playwright's download.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """The path of a Chromium that is here, or None."""
    named = os.environ.get("PITWALL_CHROMIUM") or os.environ.get("CHROMIUM")
    if named:
        return shutil.which(named)
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return found
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).is_file() else None


def bring_chromium() -> None:
    """Install a Chromium; when one way fails, the next is tried and the reason of the first stays on the terminal."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]):
            done = subprocess.run(command, env=environment, check=False)
            if done.returncode != 0:
                print(f"{' '.join(command)} ended with {done.returncode}; trying Playwright's own Chromium", file=sys.stderr)
                break
        else:
            return
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)


if __name__ == "__main__":
    path = find_chromium()
    if path is None:
        bring_chromium()
        path = find_chromium()
    if path is None:
        sys.exit("no Chromium was found or brought: name one with CHROMIUM=/path/to/chromium")
    print(f"browser tests use {path}")
