"""ASGI middleware in front of Streamlit: headers on every response, limits on tabs and uploads, no open metrics.

Streamlit keeps an uploaded file in memory until the tab is closed; here it goes to the disk. It limits neither the
number of files nor the number of tabs. Before it refuses a page of another origin, it asks an outside host for this
machine's address. It shows every visitor how many sessions there are and what they hold (``/_stcore/metrics``). The
middleware decides all of this before Streamlit sees the request.
"""

from __future__ import annotations

import errno
import re
from collections import Counter
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.server.arriving import arrive
from app.server.compressed import takes_gzip
from app.server.headers import SCRIPTS, script_headers
from app.server.index_page import for_a_page, replacing
from app.store.arrivals import Arrivals
from app.store.uploads import Held

MOST_TABS = 64
"""Maximum number of open tabs."""
FRAMING = 64 * 1024
"""Allowance in bytes for the part of a request that is not the file itself."""
UPLOAD = re.compile(r"/_stcore/upload_file/([^/]+)/[^/]+/?$")
METRICS = re.compile(r"(^|/)_stcore/metrics(/|$)")
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""Headers by which a proxy on this machine shows that the request comes from elsewhere."""
TOO_LARGE = "The file is larger than this server takes."
TRY_LATER = 1013
NOT_HERE = 1008


class Guard:
    """The middleware.

    Parameters
    ----------
    app : Streamlit's application.
    headers : set on every response. Scripts and style sheets get those that are for them.
    held : bytes of uploaded files, and their limits.
    arrivals : where uploaded files are written while they arrive.
    origins : other origins that may connect, such as ``https://example.org``.
    metrics : whether this machine itself may read Streamlit's metrics. Nobody else may.
    page : a page of Streamlit's, and what is sent in its place (:mod:`app.server.index_page`).
    """

    def __init__(
        self,
        app: ASGIApp,
        headers: Mapping[str, str],
        held: Held,
        arrivals: Arrivals,
        origins: frozenset[str] = frozenset(),
        metrics: bool = False,
        page: tuple[bytes, bytes] = (b"", b""),
    ) -> None:
        self._app = app
        self._headers = dict(headers)
        self._of_scripts = script_headers(headers)
        self._held = held
        self._origins = origins
        self._metrics = metrics
        self._page = page
        self._arrivals = arrivals
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
        """Accept a tab if its origin is allowed and fewer than ``MOST_TABS`` are open."""
        code = NOT_HERE if not same_origin(Headers(scope=scope), self._origins) else TRY_LATER
        if code == NOT_HERE or self._tabs >= MOST_TABS:
            await send({"type": "websocket.close", "code": code})
            return
        self._tabs += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._tabs -= 1
            self._arrivals.sweep()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                script = headers.get("content-type", "").startswith(SCRIPTS)
                for name, value in (self._of_scripts if script else self._headers).items():
                    headers[name] = value
            await send(message)

        upload = UPLOAD.search(scope["path"])
        if METRICS.search(scope["path"]) and not (self._metrics and from_here(scope)):
            await PlainTextResponse("Not Found", 404)(scope, receive, with_headers)
        elif scope["method"] == "PUT" and upload:
            await self._take(upload[1], scope, receive, with_headers)
        else:
            page = replacing(with_headers, *self._page, compress=takes_gzip(Headers(scope=scope)))
            await self._app(for_a_page(scope), receive, page)

    async def _take(self, session: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Take an uploaded file. One without room is read and not kept, and the page says so.

        A request that is larger than any file may be is refused; the page's control does not send it.
        """
        self._arrivals.sweep()
        most, declared = self._held.most_of_one + FRAMING, _declared(scope)
        if declared > most:
            await PlainTextResponse(TOO_LARGE, 413)(scope, receive, send)
            return
        lacking = self._lacking(session, declared - FRAMING)
        read = kept = 0

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > most:
                raise HTTPException(413, TOO_LARGE)
            return message

        def room(size: int) -> None:
            nonlocal kept
            if problem := lacking or self._lacking(session, size):
                raise problem
            kept += size
            self._arriving[session] += size

        try:
            await arrive(self._app, self._arrivals, scope, bounded, send, room)
        finally:
            self._arriving[session] -= kept
            if self._arriving[session] <= 0:
                del self._arriving[session]

    def _lacking(self, session: str, size: int) -> OSError | None:
        """Why ``size`` more bytes of a tab cannot be kept. None if they can."""
        if self._held.of(session) + self._arriving[session] + size > self._held.most_of_one:
            return OSError(errno.EFBIG, "The files of one tab are too large together.")
        if self._held.total() + self._arriving.total() + size > self._held.most:
            return OSError(errno.EUSERS, "The server holds as many files as it may.")
        return None


def _declared(scope: Scope) -> int:
    """The size of a request as its header says it; 0 if it does not."""
    declared = Headers(scope=scope).get("content-length", "")
    return int(declared) if declared.isascii() and declared.isdigit() else 0


def from_here(scope: Scope) -> bool:
    """Whether a request comes from this machine itself, and not through a proxy."""
    if any(name in Headers(scope=scope) for name in FORWARDED):
        return False
    try:
        address = ip_address((scope.get("client") or ("",))[0])
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def same_origin(headers: Mapping[str, Any], others: frozenset[str] = frozenset()) -> bool:
    """Whether a connection comes from this server's own page, from an allowed origin, or from no page."""
    origin = headers.get("origin")
    if origin is None or origin.rstrip("/") in others:
        return True
    try:
        return bool(urlsplit(origin).netloc) and urlsplit(origin).netloc == headers.get("host")
    except ValueError:
        return False
