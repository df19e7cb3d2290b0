"""Makes the documentation's screenshots of every page: ``python -m benchmarks.screenshots [FOLDER]``.

It starts the real server with its own home folder (or ``TROJANINTERPRET_HOME``), inspects the bundled samples of the
first pack, and takes screenshots in Debian's chromium at widths of 1440 and 800 pixels, light and dark.

With ``--compare`` it takes them into an empty folder, says how much of each page looks other than the kept picture, and
ends with 1 if that is more than :data:`TOLERANCE` of a page.
"""

from __future__ import annotations

import argparse
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

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.store.cases import CaseStore

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
PATIENCE = 600_000
WIDTHS = (1440, 800)
TALLEST = 7000


CELL = 12
"""Side of the squares of pixels that are compared. Within one, a letter may be another."""
LEVELS = 24
"""Levels, of 255, by which the mean of a square may differ in a channel."""
TOLERANCE = 0.03
"""Share of a page that may look other than the kept picture: times and dates are never the same."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path, nargs="?", default=Path("docs/screenshots"))
    options.add_argument(
        "--compare", action="store_true", help="compare with the folder's pictures, and change none"
    )
    given = options.parse_args()
    if not given.compare:
        make(given.folder)
        return
    with tempfile.TemporaryDirectory() as scratch:
        make(Path(scratch))
        found = {path.name: path for path in sorted(Path(scratch).glob("*.png"))}
        shares = {name: difference(given.folder / name, path) for name, path in found.items()}
    for name, share in shares.items():
        print(f"{name}: {share:.1%} of the page looks other{'' if share <= TOLERANCE else ', TOO MUCH'}")
    sys.exit(int(max(shares.values()) > TOLERANCE))


def difference(kept: Path, new: Path) -> float:
    """Share of the squares of two pictures that differ, 0 to 1. What only one picture covers differs."""
    if not kept.exists():
        return 1.0
    one, two = (_squares(path) for path in (kept, new))
    height, width = (max(a, b) for a, b in zip(one.shape[:2], two.shape[:2], strict=True))
    both = [
        np.pad(a, ((0, height - a.shape[0]), (0, width - a.shape[1]), (0, 0)), constant_values=-255)
        for a in (one, two)
    ]
    return float((np.abs(both[0] - both[1]).max(2) > LEVELS).mean())


def _squares(path: Path) -> NDArray[np.float64]:
    """Mean colours of a picture's squares, ``H x W x 3``; what is left at its edges is left out."""
    pixels = np.asarray(Image.open(path).convert("RGB"), dtype=np.float64)
    height, width = (n // CELL for n in pixels.shape[:2])
    cells = pixels[: height * CELL, : width * CELL].reshape(height, CELL, width, CELL, 3)
    return np.asarray(cells.mean((1, 3)))


def make(out: Path) -> None:
    """Take all pictures into a folder."""
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
    # The last of the page. Gauges are above it.
    page.locator('[class*="st-key-compare-histograms"] .js-plotly-plot').last.wait_for()


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
