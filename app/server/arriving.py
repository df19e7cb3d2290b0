"""Writes an upload to the disk while it arrives, and hands Streamlit a word that stands for it.

Streamlit's own route would read the whole file into the server's memory. It still checks the request's token and tab:
it is given the same request, with the word as the content of the file. It gets a word too for a file that has no room
or that the disk does not take. Then the page says why; an answer that refuses the request would be shown as a number.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.store.arrivals import Arrivals, Arrived

BOUNDARY = b"arrived"
NOT_ONE = "An upload is one file."


async def arrive(
    app: ASGIApp,
    arrivals: Arrivals,
    scope: Scope,
    receive: Receive,
    send: Send,
    room: Callable[[int], None],
) -> None:
    """Take an upload. HTTPException from ``receive`` becomes the answer, and nothing of the file stays.

    ``room`` counts the bytes that are about to be written. It raises OSError if they have no room.
    """
    part = _Part(arrivals.folder, room)
    word = arrivals.keep(part.arrived())
    try:
        try:
            await _written(scope, receive, part)
        finally:
            part.close()
        word = arrivals.keep(part.arrived(), word)
        if await _handed_on(app, scope, send, part.name, word) < 300:
            arrivals.deliver(word)
            word = b""
    except (FormParserError, HTTPException) as error:
        status, says = (
            (error.status_code, error.detail) if isinstance(error, HTTPException) else (400, NOT_ONE)
        )
        await PlainTextResponse(says, status)(scope, receive, send)
    finally:
        if word:
            arrivals.drop(word)


class _Part:
    """The one file of a form, which is written into a folder as it arrives.

    If the disk does not take it or it has no room, nothing of it stays, and the rest of the form is read without being
    kept.
    """

    def __init__(self, folder: Path, room: Callable[[int], None]) -> None:
        self._room = room
        self.name = b""
        self._size = 0
        self._parts = 0
        self._field, self._value = b"", b""
        self._path: Path | None = None
        self._file: IO[bytes] | None = None
        self._problem: OSError | None = None
        try:
            handle, path = tempfile.mkstemp(dir=folder)
            self._path, self._file = Path(path), os.fdopen(handle, "wb")
        except OSError as error:
            self._fail(error)

    def arrived(self) -> Arrived:
        """The file as far as it has arrived."""
        return Arrived(self._path, self._size, self._problem)

    def close(self) -> None:
        """Write what is still held in memory."""
        file, self._file = self._file, None
        try:
            if file is not None:
                file.close()
        except OSError as error:
            self._fail(error)

    def parser(self, boundary: bytes) -> MultipartParser:
        """A parser that gives this part what arrives."""
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._on_field,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header,
                "on_headers_finished": self._on_headers,
                "on_part_data": self._on_data,
            },
        )

    def check(self) -> None:
        """All of the form has arrived. FormParserError is raised if it held no file."""
        if not self._parts:
            raise FormParserError(NOT_ONE)

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > 1:
            raise FormParserError(NOT_ONE)

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self.name = parse_options_header(self._value)[1].get(b"filename", b"")
        self._field, self._value = b"", b""

    def _on_headers(self) -> None:
        if not self.name:
            raise FormParserError(NOT_ONE)

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is None:
            return
        try:
            self._room(end - start)
            self._size += self._file.write(memoryview(data)[start:end])
        except OSError as error:
            self._fail(error)

    def _fail(self, problem: OSError) -> None:
        """Remove what is there of the file, and note why."""
        file, path = self._file, self._path
        self._file, self._path, self._size, self._problem = None, None, 0, problem
        with suppress(OSError):
            if path is not None:
                path.unlink()
        with suppress(OSError):
            if file is not None:
                file.close()


async def _written(scope: Scope, receive: Receive, part: _Part) -> None:
    """Write the file of a form to the disk while it arrives."""
    _, options = parse_options_header(Headers(scope=scope).get("content-type", ""))
    parser = part.parser(options.get(b"boundary") or BOUNDARY)
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HTTPException(400, "The connection ended before the file had arrived.")
        if body := message.get("body", b""):
            await asyncio.to_thread(parser.write, body)
        more = message.get("more_body", False)
    parser.finalize()
    part.check()


async def _handed_on(app: ASGIApp, scope: Scope, send: Send, name: bytes, word: bytes) -> int:
    """Give Streamlit the request with the word in the place of the file, and return the status of its answer."""
    shown = name.replace(b'"', b"%22").replace(b"\r", b"%0D").replace(b"\n", b"%0A")
    head = b'Content-Disposition: form-data; name="file"; filename="' + shown + b'"'
    body = b"--%s\r\n%s\r\nContent-Type: application/octet-stream\r\n\r\n%s\r\n--%s--\r\n" % (
        BOUNDARY,
        head,
        word,
        BOUNDARY,
    )
    kept = [pair for pair in scope["headers"] if pair[0].lower() not in (b"content-type", b"content-length")]
    kept.append((b"content-type", b"multipart/form-data; boundary=" + BOUNDARY))
    kept.append((b"content-length", str(len(body)).encode()))
    status = 500

    async def once() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def watched(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)

    await app({**scope, "headers": kept}, once, watched)
    return status
