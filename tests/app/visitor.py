"""The real server, and a person in front of it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ti_core.reference.pack import pack_names

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "assets" / "samples"
PATIENCE = 240_000
"""Milliseconds that anything may take: the machine may be busy with other things."""


@contextmanager
def serving(home: Path) -> Iterator[str]:
    """A running dashboard with this home; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app/main.py", f"--server.port={port}"],
        cwd=ROOT,
        env={
            **os.environ,
            "TROJANINTERPRET_HOME": str(home),
            "TROJANINTERPRET_CACHE": str(home / "cache"),
            "TROJANINTERPRET_METRICS": "1",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    end = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=2)
            break
        except OSError:
            assert process.poll() is None and time.monotonic() < end, "the server did not start"
            time.sleep(0.3)
    yield address
    process.terminate()
    process.wait(timeout=30)


NEEDED = (
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="chromium is not installed"),
    pytest.mark.skipif("mnist" not in pack_names(), reason="the samples' pack is not bundled"),
)
"""What a module of browser tests is skipped without."""


class Visitor:
    """One browser session, every request it made to another host, and what the page's own policy made it refuse."""

    def __init__(self, browser: Any, address: str) -> None:
        self.address = address
        self.context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.elsewhere: list[str] = []
        self.refused: list[str] = []
        self.page.on("request", lambda r: self._note(r.url))
        self.page.on("console", lambda message: self._hear(message.text))
        self.page.on("pageerror", lambda error: self.refused.append(str(error)))
        self.missing: list[str] = []
        self.page.on("response", lambda r: self._miss(r.url, r.status))
        self.go("/")

    def _note(self, url: str) -> None:
        if not url.startswith((self.address, self.address.replace("http", "ws"), "data:", "blob:")):
            self.elsewhere.append(url)

    def _miss(self, url: str, status: int) -> None:
        if status == 404 and "/_stcore/" in url:
            self.missing.append(url)

    def _hear(self, text: str) -> None:
        if "Content Security Policy" in text or "Permissions-Policy" in text:
            self.refused.append(text)

    def go(self, path: str) -> None:
        self.page.goto(self.address + path)

    def sample(self, name: str, pack: str = "mnist") -> None:
        self.samples(pack).get_by_role("button", name=name).click()

    def samples(self, pack: str = "mnist") -> Any:
        """The bundled samples of a data set."""
        return self.page.locator(f".st-key-samples-{pack}")

    def only(self, *streams: str) -> None:
        """Leave only these evidence streams on, for the next inspection."""
        self.page.get_by_text("Settings", exact=True).click()
        offered = self.page.locator(".st-key-settings-streams")
        offered.get_by_role("button", pressed=True).first.wait_for()
        for name in offered.get_by_role("button", pressed=True).all_inner_texts():
            if name not in streams:
                offered.get_by_role("button", name=name, exact=True).click()
                offered.get_by_role("button", name=name, exact=True, pressed=False).wait_for()

    def upload(self, *paths: Path) -> None:
        self.page.locator('input[type="file"]').first.set_input_files([str(p) for p in paths])
        button = self.page.get_by_role("button", name="Inspect", exact=True)
        self.page.wait_for_function("e => !e.disabled", arg=button.element_handle())
        button.click()

    def says(self) -> str:
        """Everything in the verdict's box."""
        found: str = self.page.locator(".ti-verdict").inner_text()
        return found

    def verdict(self) -> str:
        """The word of the finished verdict."""
        self.page.get_by_role("button", name="HTML report").wait_for()
        found: str = self.page.locator(".ti-verdict .word").inner_text()
        return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[str]:
    """The address of a running dashboard with a home of its own."""
    with serving(home) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def visitor(browser: Any, server: str) -> Iterator[Visitor]:
    found = Visitor(browser, server)
    yield found
    assert not found.elsewhere, "no request goes to another host"
    assert not found.missing, "the page asks for nothing that does not exist"
    assert not found.refused, "the content security policy forbids nothing that the page does"
    found.context.close()
