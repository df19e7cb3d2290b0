"""Makes the documentation's screenshots of every page: ``python -m benchmarks.screenshots [FOLDER]``.

It starts the real server with its own home folder (or ``TROJANINTERPRET_HOME``), inspects the bundled samples of the
first pack, and takes screenshots in Debian's chromium at widths of 1440 and 800 pixels, light and dark.
"""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from PIL import Image

from app.store.cases import CaseStore

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
PATIENCE = 600_000
WIDTHS = (1440, 800)
TALLEST = 7000


def main() -> None:
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/screenshots")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(os.environ.get("TROJANINTERPRET_HOME", scratch))
        address, server = serve(home)
        try:
            photograph(address, home, out)
        finally:
            server.terminate()
            server.wait(timeout=30)


def serve(home: Path) -> tuple[str, subprocess.Popen[bytes]]:
    """A running dashboard and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app/main.py", f"--server.port={port}"],
        env={**os.environ, "TROJANINTERPRET_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=2)
            return address, server
        except OSError:
            time.sleep(0.5)
    raise SystemExit("The server did not start.")


def photograph(address: str, home: Path, out: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        store = CaseStore(home)
        found = {entry.file.rsplit("-", 1)[-1].split(".")[0]: entry.id for entry in store.entries()}
        page = open_page(browser, address, 1440, "light")
        for kind in ("clean", "blend", "patch"):
            if kind not in found:
                page.goto(address)
                page.get_by_role("button", name=f"MNIST {kind}").click()
                finished(page)
        found = {entry.file.rsplit("-", 1)[-1].split(".")[0]: entry.id for entry in store.entries()}
        page.context.close()
        for width in WIDTHS:
            for theme in ("light", "dark"):
                page = open_page(browser, address, width, theme)
                page.get_by_role("heading", name="Inspect your own").wait_for()
                take(page, out / f"start-{width}-{theme}.png")
                page.goto(f"{address}/?case={found['patch']}")
                finished(page)
                take(page, out / f"verdict-{width}-{theme}.png", top=True)
                page.goto(f"{address}/?case={found['patch']}&open=all")
                finished(page)
                take(page, out / f"inspect-{width}-{theme}.png")
                page.goto(f"{address}/cases")
                page.locator("[data-testid=stDataFrame]").wait_for()
                take(page, out / f"cases-{width}-{theme}.png")
                for path in ("lab", "packs"):
                    page.goto(f"{address}/{path}")
                    page.locator(".js-plotly-plot, .ti-strip img").first.wait_for()
                    take(page, out / f"{path}-{width}-{theme}.png")
                compare(page, address)
                take(page, out / f"compare-{width}-{theme}.png")
                page.context.close()
        browser.close()


def open_page(browser: Any, address: str, width: int, theme: str) -> Any:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    return page


def finished(page: Any) -> None:
    page.get_by_role("button", name="HTML report").wait_for()
    page.locator(".js-plotly-plot").last.wait_for()


def compare(page: Any, address: str) -> None:
    """The comparison of the clean sample's case with the patch one's."""
    page.goto(f"{address}/compare")
    for side, sample in (("Left", "clean"), ("Right", "patch")):
        page.get_by_role("combobox", name=side).click()
        page.get_by_role("option", name=f"-{sample}.safetensors,").first.click()
    page.get_by_role("heading", name="What differs").wait_for()
    page.locator(".js-plotly-plot").last.wait_for()


def take(page: Any, path: Path, top: bool = False) -> None:
    """One picture, of the whole page or of its top, in few colours so that it stays small."""
    width = page.viewport_size["width"]
    tall = page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": width, "height": 1000 if top else min(max(tall + 40, 600), TALLEST)})
    page.wait_for_timeout(2500)
    image = Image.open(io.BytesIO(page.screenshot(timeout=PATIENCE))).convert("RGB")
    image.quantize(192, dither=Image.Dither.NONE).save(path, optimize=True)
    page.set_viewport_size({"width": width, "height": 900})
    print(f"{path.name}: {path.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
