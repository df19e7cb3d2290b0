"""What stands before Streamlit: headers, other origins, and how much may be handed in."""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import io
import os
import random
import re
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from streamlit import file_util

from app import words
from app.server import guard, server
from app.server.guard import Guard, same_origin
from app.server.headers import security_headers
from app.server.index_page import PAGES, index_page, replacing
from app.store import uploads
from app.store.arrivals import SHORT, Arrivals, pieces, store
from app.store.sources import ModelShelf

HEADERS = {"X-Content-Type-Options": "nosniff"}
PATH = "/_stcore/upload_file/tab/file"
NO_ARRIVALS = SimpleNamespace(sweep=lambda: None)


class Holding:
    """What the server's memory holds, as the test says."""

    most_of_one, most = 1_000_000, 3_000_000

    def __init__(self, **held: int) -> None:
        self.held = held

    def of(self, session: str) -> int:
        return self.held.get(session, 0)

    def total(self) -> int:
        return sum(self.held.values())


async def _read(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


def asked(
    held: Holding,
    body: list[bytes],
    method: str = "PUT",
    path: str = PATH,
) -> tuple[int, dict[str, str], str]:
    """Status, headers and text of the answer to one request that arrives in these pieces."""
    inner = Starlette(routes=[Route("/{rest:path}", _read, methods=[method])])
    app = Guard(inner, HEADERS, held, NO_ARRIVALS)  # type: ignore[arg-type]
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
    }
    pieces, sent = list(body), []

    async def receive() -> dict[str, Any]:
        data = pieces.pop(0) if pieces else b""
        return {"type": "http.request", "body": data, "more_body": bool(pieces)}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    assert not app._arriving, "what has arrived is no longer on its way"
    told = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return sent[0]["status"], told, b"".join(m.get("body", b"") for m in sent[1:]).decode()


@pytest.mark.parametrize("path", ["/", "/nowhere", "/_stcore/health"])
def test_every_answer_has_the_headers(path: str) -> None:
    status, headers, _ = asked(Holding(), [], "GET", path)
    assert status == 200 and headers["x-content-type-options"] == "nosniff"


def test_other_requests_are_not_counted() -> None:
    assert asked(Holding(tab=9_000_000), [b"x" * 10], "POST", "/_stcore/other")[0] == 200
    assert asked(Holding(tab=9_000_000), [], "DELETE")[0] == 200


def connected(tabs: int, headers: list[tuple[bytes, bytes]]) -> list[dict[str, Any]]:
    """What is sent to a page that connects while so many tabs are open."""

    async def inside(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})

    app = Guard(inside, HEADERS, Holding(), NO_ARRIVALS)  # type: ignore[arg-type]
    app._tabs = tabs
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/_stcore/stream", "headers": headers}
    asyncio.run(app(scope, None, send))  # type: ignore[arg-type]
    assert app._tabs == tabs
    return sent


def test_a_page_of_another_origin_may_not_connect() -> None:
    host = (b"host", b"127.0.0.1:8501")
    own = [host, (b"origin", b"http://127.0.0.1:8501")]
    assert connected(0, own) == connected(0, [host]) == [{"type": "websocket.accept"}]
    for origin in (b"http://evil.example", b"http://127.0.0.1:9999", b"null", b"http://[", b""):
        assert connected(0, [host, (b"origin", origin)]) == [{"type": "websocket.close", "code": 1008}]
    headers = {"host": "inner:8501", "origin": "https://outer.example"}
    assert same_origin(headers, frozenset({"https://outer.example"})) and not same_origin(headers)


def test_tabs_are_bounded() -> None:
    host = [(b"host", b"127.0.0.1:8501")]
    assert connected(guard.MOST_TABS - 1, host) == [{"type": "websocket.accept"}]
    assert connected(guard.MOST_TABS, host) == [{"type": "websocket.close", "code": 1013}]


def test_only_the_script_that_stands_in_the_page_may_run() -> None:
    index = Path(file_util.get_static_dir()) / "index.html"
    original, page = (part.decode() for part in index_page(index))
    headers = security_headers(page)
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    scripts = [part.split("</script>")[0] for part in page.split("<script>")[1:]]
    assert len(scripts) == 2 and scripts[1] in original and scripts[0] not in original
    # No font is asked for before something needs it.
    assert 'as="font"' in original and 'as="font"' not in page and page.count("bodyFont") == 2
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    maps = re.findall(r'<script type="importmap">(.*?)</script>', page)
    digests[:0] = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in maps]
    assert len(maps) == 1 and policy["script-src"] == " ".join(
        ["'self'", *(f"'sha256-{d}'" for d in digests)]
    )
    assert policy["default-src"] == policy["frame-ancestors"] == policy["object-src"] == "'none'"
    assert "http:" not in headers["Content-Security-Policy"] and "*" not in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("path", "client", "headers", "option", "status"),
    [
        ("/_stcore/metrics", "127.0.0.1", [], True, 200),
        ("/_stcore/metrics", "::1", [], True, 200),
        ("/_stcore/metrics", "::ffff:127.0.0.1", [], True, 200),
        ("/_stcore/metrics", "127.0.0.1", [], False, 404),
        ("/_stcore/metrics", "192.0.2.7", [], True, 404),
        ("/_stcore/metrics", "", [], True, 404),
        ("/_stcore/metrics", "127.0.0.1", [(b"x-forwarded-for", b"192.0.2.7")], True, 404),
        ("/_stcore/metrics", "127.0.0.1", [(b"forwarded", b"for=192.0.2.7")], True, 404),
        ("/_stcore/metrics/", "127.0.0.1", [], False, 404),
        ("/lab/_stcore/metrics", "127.0.0.1", [], False, 404),
        ("/lab/_stcore/metricsx", "127.0.0.1", [], False, 200),
    ],
)
def test_metrics_are_for_this_machine_alone_and_only_if_asked_for(
    path: str, client: str, headers: list[tuple[bytes, bytes]], option: bool, status: int
) -> None:
    scope = {"type": "http", "method": "GET", "path": path, "headers": headers, "query_string": b""}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    inner = PlainTextResponse("sessions 3")
    app = Guard(inner, HEADERS, Holding(), NO_ARRIVALS, metrics=option)  # type: ignore[arg-type]
    asyncio.run(app({**scope, "client": (client, 1) if client else None}, receive, send))
    assert sent[0]["status"] == status
    assert (b"sessions" in sent[1]["body"]) == (status == 200)
    assert (b"x-content-type-options", b"nosniff") in sent[0]["headers"]


def served(body: list[bytes], **headers: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of an answer in these parts, after the page ``<head>`` has been replaced."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def answer() -> None:
        pass_on = replacing(send, b"<head>", b"<head>told")
        told = {"content-length": str(len(b"".join(body)))} | {
            k.replace("_", "-"): v for k, v in headers.items()
        }
        pairs = [(k.encode(), v.encode()) for k, v in told.items()]
        await pass_on({"type": "http.response.start", "status": 200, "headers": pairs})
        for i, piece in enumerate(body):
            more = i + 1 < len(body)
            await pass_on({"type": "http.response.body", "body": piece, "more_body": more})

    asyncio.run(answer())
    found = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return found, b"".join(m["body"] for m in sent[1:])


def test_the_page_is_told_where_its_server_is_and_nothing_else_is_changed() -> None:
    html = {"content_type": "text/html; charset=utf-8", "etag": "x", "last_modified": "y"}
    for parts in ([b"<head>"], [b"<he", b"ad>"]):
        headers, body = served(parts, **html)
        assert body == b"<head>told" and headers["content-length"] == "10"
        assert "etag" not in headers and "last-modified" not in headers
    for parts, content in (
        ([b"<haed>"], html),
        ([b"<head>", b"x"], html),
        ([b"<head>"], {"content_type": "a/b"}),
    ):
        headers, body = served(parts, **content)
        assert body == b"".join(parts) and ("etag" in headers) == ("etag" in content)


def test_the_place_of_the_server_leaves_out_the_names_of_the_pages() -> None:
    main = (Path(__file__).resolve().parents[2] / "app" / "main.py").read_text()
    named = re.findall(r'url_path="([\w-]+)"(?!, default)', main)
    assert tuple(named) == PAGES
    index = Path(file_util.get_static_dir()) / "index.html"
    assert b"(compare|lab|training-data|demonstration|packs|cases)" in index_page(index)[1]
    assert b'location.origin+"/inspect"}' in index_page(index, "inspect")[1]


def test_what_nobody_foresaw_is_a_sentence_without_its_text() -> None:
    told = server.sentence(ValueError("/home/somebody/secret"))
    assert "ValueError" in told and "secret" not in told and told.endswith(".")
    assert "disk of this machine is full" in server.sentence(OSError(errno.ENOSPC, "No space left on device"))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EMFILE, errno.EIO, errno.EUSERS])
def test_what_the_system_refuses_is_a_sentence(code: int) -> None:
    told = words.reason(OSError(code, "the system's words"))
    assert told.endswith(("try again.", "in a few minutes.")) and "Errno" not in told


def test_all_uploads_together_take_a_part_of_the_free_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(uploads, "arrivals", lambda: Arrivals(tmp_path / "arriving"))
    monkeypatch.setattr(uploads, "most_bytes", lambda: 1 << 30)
    for free, most in ((64, 8), (8, 4), (0.5, 1)):
        usage = SimpleNamespace(free=int(free * 1024**3))
        monkeypatch.setattr(uploads.shutil, "disk_usage", lambda _, usage=usage: usage)
        assert uploads.most_held() == most * 1024**3


def form(content: bytes, name: bytes = b"m.pt", field: bytes = b"form-data; name=f") -> bytes:
    """An upload as a browser sends it."""
    head = b'Content-Disposition: %s; filename="%s"\r\nContent-Type: a/b\r\n\r\n' % (field, name)
    return b"--here\r\n" + head + content + b"\r\n--here--\r\n"


class Taken:
    """Streamlit in a test: what its route was given, and the status of its answer."""

    def __init__(self, status: int = 204) -> None:
        self.status = status
        self.files: list[tuple[str, bytes]] = []

    async def answer(self, request: Request) -> PlainTextResponse:
        assert request.headers["x-xsrftoken"] == "token", "Streamlit checks it"
        async with request.form() as form:
            for file in form.values():
                self.files.append((file.filename, await file.read()))  # type: ignore[union-attr]
        return PlainTextResponse("", self.status)


def uploaded(
    folder: Path,
    body: list[bytes],
    taken: Taken,
    held: Any = None,
    ends: bool = True,
    declared: int | None = None,
) -> tuple[int, str, Arrivals]:
    """Status and text of the answer to an upload in these pieces, and what the server then holds."""
    arrivals = Arrivals(folder / "arriving")
    inner = Starlette(routes=[Route("/{rest:path}", taken.answer, methods=["PUT"])])
    app = Guard(inner, HEADERS, held or Holding(), arrivals)
    headers = [(b"content-type", b"multipart/form-data; boundary=here"), (b"x-xsrftoken", b"token")]
    headers += [] if declared is None else [(b"content-length", str(declared).encode())]
    scope = {"type": "http", "method": "PUT", "path": PATH, "query_string": b"", "headers": headers}
    pieces, sent = list(body), []

    async def receive() -> dict[str, Any]:
        if not pieces and not ends:
            return {"type": "http.disconnect"}
        data = pieces.pop(0) if pieces else b""
        return {"type": "http.request", "body": data, "more_body": bool(pieces) or not ends}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    assert not app._arriving, "what has arrived is no longer on its way"
    assert (b"x-content-type-options", b"nosniff") in sent[0]["headers"]
    return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:]).decode(), arrivals


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
def test_an_upload_goes_to_the_disk_and_streamlit_gets_a_word(size: int, tmp_path: Path) -> None:
    class Wide(Holding):
        most_of_one, most = 10_000_000, 10_000_000

    content = random.Random(size).randbytes(size)
    body, taken = form(content, 'a "b" é.pt'.replace('"', "%22").encode()), Taken()
    arriving = [body[i : i + 65_536] for i in range(0, len(body), 65_536)]
    tracemalloc.start()
    status, _, arrivals = uploaded(tmp_path, arriving, taken, Wide())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000, "the file is never whole in the memory"
    ((name, word),) = taken.files
    assert status == 204 and name == "a %22b%22 é.pt" and len(word) < SHORT
    file = arrivals.of(word)
    assert file is not None and file.size == size and file.path.read_bytes() == content
    assert file.path.stat().st_mode & 0o77 == 0 and arrivals.folder.stat().st_mode & 0o77 == 0
    assert arrivals.of(b"arrived " + b"0" * 48) is None
    arrivals.sweep()
    assert not file.path.exists(), "Streamlit holds the word no longer"


def kept(folder: Path, held: Holding, size: int, declared: int | None = None) -> OSError | None:
    """Why an upload of this size is not kept. None if it is, and then all of it is on the disk."""
    body, taken = form(b"x" * size), Taken()
    arriving = [body[i : i + 300_000] for i in range(0, len(body), 300_000)]
    status, _, arrivals = uploaded(folder, arriving, taken, held, declared=declared)
    ((_, word),) = taken.files
    file = arrivals.of(word)
    assert status == 204 and file is not None
    assert (
        file.size == (0 if file.problem else size) == sum(p.stat().st_size for p in arrivals.folder.iterdir())
    )
    return file.problem


def test_a_file_that_has_room_is_kept(tmp_path: Path) -> None:
    assert kept(tmp_path, Holding(), 800_000) is None
    assert kept(tmp_path, Holding(other=2_000_000), 800_000, declared=800_200) is None
    assert kept(tmp_path, Holding(other=2_000_000), 1_000_000) is None, "exactly the limit"


@pytest.mark.parametrize("declared", [None, 900_200, 5])
def test_a_tab_may_hold_no_more_than_one_model(declared: int | None, tmp_path: Path) -> None:
    """Said beforehand, not said, or said wrongly. The page says it, and nothing of the file stays."""
    problem = kept(tmp_path, Holding(tab=500_000), 900_000, declared)
    assert problem is not None and "too large together; remove one" in words.reason(problem)


def test_all_tabs_together_are_bounded(tmp_path: Path) -> None:
    problem = kept(tmp_path, Holding(a=1_000_000, b=1_000_000, c=900_000), 200_000)
    assert problem is not None and "as many files as it may" in words.reason(problem)


@pytest.mark.parametrize("declared", [None, 1_200_000])
def test_a_request_larger_than_any_file_may_be_is_refused(declared: int | None, tmp_path: Path) -> None:
    body, taken = form(b"x" * 1_200_000), Taken()
    arriving = [body[i : i + 300_000] for i in range(0, len(body), 300_000)]
    status, text, arrivals = uploaded(tmp_path, arriving, taken, declared=declared)
    assert (
        (status, text) == (413, guard.TOO_LARGE) and not taken.files and not list(arrivals.folder.iterdir())
    )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([form(b"x") + form(b"y")], 204),
        ([form(b"x").replace(b"--here--", b"--here") + form(b"y").removeprefix(b"--here\r\n")], 400),
        ([form(b"x", b"")], 400),
        ([b"--here\r\nContent-Disposition: form-data; name=f\r\n\r\n" + b"x" * 9000], 400),
        ([b"no form at all"], 400),
        ([b""], 400),
        ([b"--here\r\n" + b"a" * 100_000], 400),
        ([form(b"x" * 600_000), b"y" * 600_000], 413),
    ],
    ids=[
        "the end counts",
        "two files",
        "no name",
        "a field",
        "no form",
        "nothing",
        "endless header",
        "too large",
    ],
)
def test_what_is_no_upload_leaves_nothing_on_the_disk(body: list[bytes], status: int, tmp_path: Path) -> None:
    taken = Taken()
    found, _, arrivals = uploaded(tmp_path, body, taken)
    assert found == status
    if status != 204:
        assert not taken.files and not list(arrivals.folder.iterdir())


def test_an_upload_that_breaks_off_or_that_streamlit_refuses_leaves_nothing(tmp_path: Path) -> None:
    for taken, ends, status in ((Taken(), False, 400), (Taken(403), True, 403)):
        found, _, arrivals = uploaded(
            tmp_path, [form(b"x" * 1000)[: 1000 if not ends else None]], taken, ends=ends
        )
        assert found == status and not list(arrivals.folder.iterdir())


class Filling:
    """A disk that takes a number of bytes and then answers with an error."""

    def __init__(self, room: int, code: int) -> None:
        self.room, self.code = room, code

    def opened(self, handle: int, mode: str) -> Any:
        disk, raw = self, io.FileIO(handle, mode)
        write = raw.write

        class Raw(io.RawIOBase):
            def writable(self) -> bool:
                return True

            def write(self, data: Any) -> int:
                if len(data) > disk.room:
                    raise OSError(disk.code, os.strerror(disk.code))
                disk.room -= len(data)
                return write(data)

            def close(self) -> None:
                raw.close()
                super().close()

        return io.BufferedWriter(Raw())


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("room", [0, 100_000, 299_990], ids=["at once", "in the middle", "at the end"])
def test_a_file_that_the_disk_does_not_take_is_said_by_the_page(
    room: int, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is read to its end, and Streamlit gets a word that carries the reason."""
    monkeypatch.setattr("app.server.arriving.os.fdopen", Filling(room, code).opened)
    body, taken = form(b"x" * 300_000), Taken()
    arriving = [body[i : i + 8192] for i in range(0, len(body), 8192)]
    status, _, arrivals = uploaded(tmp_path, arriving, taken)
    ((name, word),) = taken.files
    file = arrivals.of(word)
    assert status == 204 and name == "m.pt" and file is not None
    assert file.problem is not None and file.problem.errno == code and file.size == 0
    assert not list(arrivals.folder.iterdir()), "no part of the file stays"
    monkeypatch.setattr("app.store.arrivals.arrivals", lambda: arrivals)
    upload = io.BytesIO(word)
    for read in (lambda: list(pieces(upload)), lambda: store(upload, tmp_path / "model")):
        with pytest.raises(OSError) as raised:
            read()
        assert raised.value.errno == code and not (tmp_path / "model").exists()
    shelf = ModelShelf(tmp_path / "models")
    with pytest.raises(OSError):
        shelf.put([named(word)])
    assert not list(shelf.folder.iterdir())
    arrivals.sweep()
    assert arrivals.of(word) is None, "Streamlit holds the word no longer"


def named(word: bytes) -> Any:
    """An uploaded file with a name."""
    upload = io.BytesIO(word)
    upload.name = "m.pt"
    return upload


@pytest.mark.parametrize(
    ("body", "status"), [([form(b"x") + form(b"y")], 204), ([b"no form at all"], 400), ([b""], 400)]
)
def test_a_folder_that_takes_no_file_is_a_word_too(
    body: list[bytes], status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("app.server.arriving.tempfile.mkstemp", full)
    taken = Taken()
    found, _, arrivals = uploaded(tmp_path, body, taken)
    assert found == status
    if status == 204:
        ((_, word),) = taken.files
        file = arrivals.of(word)
        assert file is not None and file.path is None and file.problem is not None
    else:
        assert not taken.files


def test_what_an_earlier_server_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "tmp1").write_bytes(b"left")
    Arrivals(tmp_path)
    assert not list(tmp_path.iterdir())
