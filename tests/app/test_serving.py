"""The real server asked over the network: the headers of every kind of answer, and whom it lets connect."""

from __future__ import annotations

import gzip
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

import pytest
from streamlit import file_util
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.app.serving import Server

NAMES = (
    "Content-Security-Policy",
    "X-Frame-Options",
    "X-Content-Type-Options",
    "Referrer-Policy",
    "Permissions-Policy",
    "Cross-Origin-Opener-Policy",
    "Cross-Origin-Resource-Policy",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # The user's own home cannot be written to, and no library may need it.
    found = Server(tmp_path_factory.mktemp("home"), HOME="/dev/null/home").start()
    yield found
    found.stop()


def answer(address: str, method: str = "GET") -> tuple[int, dict[str, str]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method=method), timeout=30) as found:
            return found.status, dict(found.headers)
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers)


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/", "GET", 200),
        ("/cases", "GET", 200),
        ("/favicon.png", "GET", 200),
        ("/_stcore/health", "GET", 200),
        ("/_stcore/host-config", "GET", 200),
        ("/_stcore/metrics", "GET", 404),
        ("/media/none", "GET", 404),
        ("/component/none/none", "GET", 404),
        ("/_stcore/upload_file/none/none", "PUT", 400),
        ("//evil.example/..", "GET", 400),
    ],
)
def test_every_answer_carries_the_headers(server: Server, path: str, method: str, status: int) -> None:
    code, headers = answer(server.address + path, method)
    found = {name.lower(): value for name, value in headers.items()}
    assert code == status
    assert all(found.get(name.lower()) for name in NAMES), sorted(found)
    assert "frame-ancestors 'none'" in found["content-security-policy"]
    assert "unsafe-eval" not in found["content-security-policy"]
    assert found["x-frame-options"] == "DENY" and found["referrer-policy"] == "no-referrer"


def test_a_script_has_the_headers_that_are_for_it(server: Server) -> None:
    """The others would be most of a small file on a slow line. They speak to pages, which an error is too."""
    name = next((Path(file_util.get_static_dir()) / "static" / "js").glob("FileUploader.*.js")).name
    code, headers = answer(f"{server.address}/static/js/{name}")
    found = {name.lower(): value for name, value in headers.items()}
    assert code == 200 and found["content-security-policy"] == "default-src 'none'"
    assert {"x-content-type-options", "referrer-policy", "cross-origin-resource-policy"} <= found.keys()
    assert "permissions-policy" not in found and len(str(found)) < 700
    # Streamlit answers with its page where it has no such script.
    _, headers = answer(f"{server.address}/static/js/none.js")
    found = {name.lower(): value for name, value in headers.items()}
    assert found["permissions-policy"] and "frame-ancestors" in found["content-security-policy"]


@pytest.mark.parametrize("encoding", ["gzip, br", "br", ""])
def test_a_page_is_told_where_its_server_is_however_it_is_asked_for(server: Server, encoding: str) -> None:
    """A browser allows compression, and what Streamlit compresses could not be changed."""
    asks = {"Accept": "text/html,*/*", "Accept-Encoding": encoding}
    with urllib.request.urlopen(
        urllib.request.Request(f"{server.address}/lab", headers=asks), timeout=30
    ) as found:
        page = found.read()
        assert found.headers["Content-Length"] == str(len(page)) and found.headers["ETag"] is None
        assert found.headers["Vary"] == "Accept-Encoding"
        assert found.headers["Content-Encoding"] == ("gzip" if "gzip" in encoding else None)
    page = gzip.decompress(page) if "gzip" in encoding else page
    assert b"BACKEND_BASE_URL" in page and page.count(b"<head>") == 1


def lets_in(server: Server, origin: str | None, host: str = "127.0.0.1") -> bool:
    """Whether a page of this origin, which asks for this host, gets as far as having its words read."""
    address = f"ws://{host}:{server.port}/_stcore/stream"
    here = socket.create_connection(("127.0.0.1", server.port), 30)
    try:
        with connect(address, sock=here, origin=origin, proxy=None, open_timeout=30) as page:  # type: ignore[arg-type]
            page.send(b"\xff\xff")
            page.recv(timeout=30)
    except InvalidStatus as error:
        assert error.response.status_code == 403
        return False
    except ConnectionClosed as error:
        # What is no message of Streamlit's is a protocol error; who may not connect hears of a policy.
        return error.rcvd is not None and error.rcvd.code == 1002
    return True


def test_only_its_own_pages_may_connect(server: Server) -> None:
    assert lets_in(server, server.address) and lets_in(server, None)
    for origin in ("http://evil.example", "http://127.0.0.1:1", "null"):
        assert not lets_in(server, origin)


def test_another_name_for_this_machine_is_not_believed(server: Server) -> None:
    """DNS rebinding: a page's own name is made to lead here, so that its origin is the host that it asks for."""
    assert not lets_in(server, f"http://evil.example:{server.port}", "evil.example")
    assert lets_in(server, f"http://localhost:{server.port}", "localhost")


def test_the_agents_interface_is_off(server: Server) -> None:
    code, _ = answer(f"{server.address}/_stcore/agent/interact", "POST")
    assert code in (403, 404, 405)


def test_no_module_of_the_app_hides_a_library() -> None:
    """Streamlit puts the folder ``app`` first on the path, so that its modules can be imported by their bare names."""
    folder = Path(__file__).resolve().parent.parent.parent / "app"
    names = {p.stem for p in folder.iterdir() if p.suffix == ".py" or p.is_dir()} - {
        "__init__",
        "__pycache__",
    }
    others = [place for place in sys.path if Path(place).resolve() not in (folder, folder.parent)]
    hidden = {n for n in names if n in sys.stdlib_module_names or PathFinder.find_spec(n, others)}
    assert "state" in names and PathFinder.find_spec("streamlit", others) and not hidden


def test_a_killed_server_leaves_no_process_and_starts_again(server: Server) -> None:
    """The last test of the shared server."""
    server.kill()
    assert server.host is None
    server.start().stop()
    end = time.monotonic() + 10
    while server.host is not None:
        assert time.monotonic() < end
        time.sleep(0.1)
