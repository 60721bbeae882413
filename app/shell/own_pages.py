"""Only pages of this server's own address may ask it anything, open its connection, or show it in a frame.

Streamlit's own check of origins does not look at the port: any page that another program serves on this machine would pass.
"""

import streamlit.config
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.base.local import LOOPBACK, OWN_FRAMES_ONLY, is_known_host, is_own_origin

REFUSED = "Refused: ask for this address by its own name. Others are named by server.allowedHosts and server.corsAllowedOrigins.\n"


class OwnPagesOnly:
    """ASGI middleware, before everything else; more hosts and origins come from Streamlit's own settings."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        hosts = streamlit.config.get_option("server.allowedHosts") or LOOPBACK
        if not is_known_host(host, hosts) or not is_own_origin(origin, host, streamlit.config.get_option("server.corsAllowedOrigins")):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await PlainTextResponse(REFUSED, status_code=403)(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(OWN_FRAMES_ONLY)
            await send(message)

        await self._app(scope, receive, answer)
