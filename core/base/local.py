"""Who may ask a server of ours: pages of this machine's own address. A stranger's site reaches it through a name that it lets point here
(DNS rebinding), by a request across origins, or in a frame; each is refused by a header."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

LOOPBACK = ("localhost", "127.0.0.1", "::1")
OWN_FRAMES_ONLY = {
    "Content-Security-Policy": "frame-ancestors 'self'",
    "X-Frame-Options": "SAMEORIGIN",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Headers of every answer: no page of another origin, which another port is too, shows it in a frame or as a picture."""


def is_known_host(host: str, known: Sequence[str] = LOOPBACK) -> bool:
    """Whether the header Host names this server: one of `known`, in which `*` stands for anything."""
    try:
        parts = urlsplit(f"//{host}")
    except ValueError:
        return False
    name = (parts.hostname or "").rstrip(".")
    return parts.username is None and any(fnmatchcase(name, pattern.strip().lower()) for pattern in known)


def is_own_origin(origin: str | None, host: str, known: Sequence[str] = ()) -> bool:
    """Whether the header Origin, where there is one, is that of this server's own pages, port included, or one of `known`."""
    if origin is None or origin in known:
        return True
    try:
        return urlsplit(origin).netloc == host
    except ValueError:
        return False
