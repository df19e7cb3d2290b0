"""Scripts and style sheets of the page, compressed once and kept.

Streamlit sends them as they lie on the disk: three to nine times as many bytes. On a slow line they are most of what a
first visit waits for.
"""

from __future__ import annotations

import asyncio
import gzip
import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STATIC = re.compile(r"/static/(?:js|css)/([A-Za-z0-9._-]+\.(?:js|css))$")
"""Files whose names hold a digest of their content, so that what is kept of one is good for ever."""
MOST_BYTES = 32 << 20
"""Compressed bytes that are kept. All of Streamlit's scripts together take a quarter of it."""


class Compressed:
    """The middleware.

    Parameters
    ----------
    app : Streamlit's application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._kept: dict[str, bytes] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = STATIC.search(scope["path"]) if scope["type"] == "http" else None
        if name is None or scope["method"] != "GET" or not takes_gzip(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, self._compressing(name[1], send))

    def _compressing(self, name: str, send: Send) -> Send:
        """``send``, with the whole body of a good answer compressed; every other answer passes as it is."""
        start: Message | None = None
        parts: list[bytes] = []

        async def pass_on(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and message["status"] == 200:
                start = message
                return
            if start is None:
                await send(message)
                return
            parts.append(message.get("body", b""))
            if message.get("more_body"):
                return
            body = self._kept.get(name) or await self._compress(name, b"".join(parts))
            headers = MutableHeaders(scope=start)
            headers["content-length"], headers["content-encoding"] = str(len(body)), "gzip"
            headers.add_vary_header("Accept-Encoding")
            if etag := headers.get("etag"):
                # The bytes are others; what they mean is the same.
                headers["etag"] = etag if etag.startswith("W/") else f"W/{etag}"
            await send(start)
            await send({"type": "http.response.body", "body": body})

        return pass_on

    async def _compress(self, name: str, body: bytes) -> bytes:
        """The body compressed, without holding up the other visitors meanwhile."""
        found = await asyncio.to_thread(gzip.compress, body, 6, mtime=0)
        if sum(map(len, self._kept.values())) + len(found) <= MOST_BYTES:
            self._kept[name] = found
        return found


def takes_gzip(headers: Headers) -> bool:
    """Whether the visitor's browser takes a compressed answer, and wants all of it."""
    offered = [part.split(";") for part in headers.get("accept-encoding", "").split(",")]
    weights = {part[0].strip(): "".join(part[1:]).replace(" ", "") for part in offered}
    return "gzip" in weights and weights["gzip"] not in ("q=0", "q=0.0") and "range" not in headers
