"""Between the network and Streamlit: headers on every answer, and bounds on what visitors make the server hold.

Streamlit keeps a file that is handed in in its own memory until the tab is closed, takes any number of them and of
tabs, and asks an outside host for this machine's address before it refuses a page of another origin. This is an ASGI
middleware (``streamlit.App``), so that all of it is decided before Streamlit sees the request.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.store.uploads import Held

MOST_TABS = 64
"""Tabs that may be open at once."""
FRAMING = 64 * 1024
"""Bytes of a request that are not the file's own."""
UPLOAD = re.compile(r"/_stcore/upload_file/([^/]+)/[^/]+/?$")
NO_ROOM = "The server holds as many files as it may; try again in a few minutes."
TOO_LARGE = "The files are too large together; remove one first."
TRY_LATER = 1013
NOT_HERE = 1008


class Guard:
    """The middleware.

    Parameters
    ----------
    app : Streamlit's application.
    headers : set on every answer.
    held : what the server's memory holds of the files that were handed in.
    origins : of other pages that may connect, such as ``https://example.org``.
    """

    def __init__(
        self, app: ASGIApp, headers: Mapping[str, str], held: Held, origins: frozenset[str] = frozenset()
    ) -> None:
        self._app = app
        self._headers = dict(headers)
        self._held = held
        self._origins = origins
        self._arriving: Counter[str] = Counter()
        self._tabs = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._connect(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a tab in, if it is of this server's own pages and there is room for one more."""
        code = NOT_HERE if not same_origin(Headers(scope=scope), self._origins) else TRY_LATER
        if code == NOT_HERE or self._tabs >= MOST_TABS:
            await send({"type": "websocket.close", "code": code})
            return
        self._tabs += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._tabs -= 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
            await send(message)

        upload = UPLOAD.search(scope["path"])
        if scope["method"] == "PUT" and upload:
            await self._take(upload[1], scope, receive, with_headers)
        else:
            await self._app(scope, receive, with_headers)

    async def _take(self, session: str, scope: Scope, receive: Receive, send: Send) -> None:
        """A file that is handed in: refused as soon as it is clear that it has no room."""
        own = 0

        def refuse(size: int) -> str:
            """Why so many bytes more cannot be taken; empty where they can."""
            if self._held.of(session) + self._arriving[session] + size > self._held.most_of_one + FRAMING:
                return TOO_LARGE
            if self._held.total() + self._arriving.total() + size > self._held.most + FRAMING:
                return NO_ROOM
            return ""

        async def counted() -> Message:
            nonlocal own
            message = await receive()
            size = len(message.get("body", b""))
            if reason := refuse(size):
                raise HTTPException(413, reason)
            own += size
            self._arriving[session] += size
            return message

        declared = Headers(scope=scope).get("content-length", "")
        if reason := refuse(int(declared) if declared.isascii() and declared.isdigit() else 0):
            await PlainTextResponse(reason, 413)(scope, receive, send)
            return
        try:
            await self._app(scope, counted, send)
        finally:
            self._arriving[session] -= own
            if self._arriving[session] <= 0:
                del self._arriving[session]


def same_origin(headers: Mapping[str, Any], others: frozenset[str] = frozenset()) -> bool:
    """Whether a connection comes from this server's own page, from one that is allowed, or from no page at all."""
    origin = headers.get("origin")
    if origin is None or origin.rstrip("/") in others:
        return True
    try:
        return bool(urlsplit(origin).netloc) and urlsplit(origin).netloc == headers.get("host")
    except ValueError:
        return False
