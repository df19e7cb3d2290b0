"""Scripts of the page are sent compressed to those who take it, and unchanged to everybody else."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.server import compressed
from app.server.compressed import Compressed

SCRIPT = b"export const answer = 42;" * 400


class Answering:
    """An application that answers the script, and counts how often it was asked."""

    def __init__(self, status: int = 200) -> None:
        self.status = status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Response(SCRIPT, self.status, {"etag": '"abc"'}, "text/javascript")(scope, receive, send)


def asked(app: Compressed, path: str, method: str = "GET", **headers: str) -> tuple[dict[str, str], bytes]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    pairs = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    asyncio.run(app({"type": "http", "method": method, "path": path, "headers": pairs}, receive, send))
    found = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return found, b"".join(m.get("body", b"") for m in sent[1:])


def test_a_script_is_compressed_once_and_is_the_same_when_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    app, turns = Compressed(Answering()), []
    whole = gzip.compress

    def counted(*given: Any, **more: Any) -> bytes:
        turns.append(given[1])
        return whole(*given, **more)

    monkeypatch.setattr(compressed.gzip, "compress", counted)
    for _ in range(2):
        headers, body = asked(app, "/static/js/index.a1B-2.js", accept_encoding="br, gzip;q=0.8")
        assert gzip.decompress(body) == SCRIPT and len(body) < len(SCRIPT) / 10
        assert headers["content-encoding"] == "gzip" and headers["content-length"] == str(len(body))
        assert headers["vary"] == "Accept-Encoding" and headers["etag"] == 'W/"abc"'
        assert headers["content-type"].startswith("text/javascript")
    assert len(turns) == 1


@pytest.mark.parametrize(
    ("path", "method", "status", "headers"),
    [
        ("/static/js/a.js", "GET", 200, {}),
        ("/static/js/a.js", "GET", 200, {"accept_encoding": "br"}),
        ("/static/js/a.js", "GET", 200, {"accept_encoding": "gzip; q=0"}),
        ("/static/js/a.js", "GET", 200, {"accept_encoding": "gzip", "range": "bytes=0-9"}),
        ("/static/js/a.js", "GET", 404, {"accept_encoding": "gzip"}),
        ("/static/media/a.woff2", "GET", 200, {"accept_encoding": "gzip"}),
        ("/media/a.js", "GET", 200, {"accept_encoding": "gzip"}),
        ("/static/js/../a.js", "GET", 200, {"accept_encoding": "gzip"}),
        ("/static/js/a.js", "POST", 200, {"accept_encoding": "gzip"}),
    ],
)
def test_everything_else_passes_as_it_is(
    path: str, method: str, status: int, headers: dict[str, str]
) -> None:
    found, body = asked(Compressed(Answering(status)), path, method, **headers)
    assert body == SCRIPT and "content-encoding" not in found and found["etag"] == '"abc"'


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed, "MOST_BYTES", 10)
    app = Compressed(Answering())
    assert gzip.decompress(asked(app, "/static/js/a.js", accept_encoding="gzip")[1]) == SCRIPT
    assert not app._kept
