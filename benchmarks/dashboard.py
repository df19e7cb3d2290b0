"""Times the dashboard as a visitor's browser sees it: ``python -m benchmarks.dashboard``.

It starts the real server, inspects a bundled sample, and measures in chromium what a first visit loads before the page
can be used, how long that takes on a slow line, how soon a kept case is there, and what a redraw by a control costs.
The server's processor time is measured beside the time on the clock, which is mostly waiting on a busy machine.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.store.cases import CaseStore
from benchmarks.screenshots import CHROMIUM, PATIENCE, finished, open_page, serve
from benchmarks.table import Row, Times, count, middle, told

SLOW = {"offline": False, "latency": 150, "downloadThroughput": 200_000, "uploadThroughput": 96_000}
"""A line of 1.6 Mbit/s: bytes a second and milliseconds, as chromium's tools take them."""
SAMPLE = ".st-key-samples-mnist"
ROUNDS, REDRAWS = 5, 10
"""Visits to a kept case, and the largest number of steps of one slider: half of them up, half of them back."""
VERDICT = ".ti-verdict .word"


class Server:
    """The processor time of the dashboard's process."""

    def __init__(self, pid: int) -> None:
        self._stat = Path(f"/proc/{pid}/stat")

    @property
    def seconds(self) -> float:
        own = self._stat.read_text().rpartition(")")[2].split()
        return (int(own[11]) + int(own[12])) / os.sysconf("SC_CLK_TCK")

    @contextmanager
    def timed(self, times: Times) -> Iterator[None]:
        """Add what happens in the block to the times."""
        before, start = self.seconds, time.perf_counter()
        yield
        times.clock.append(time.perf_counter() - start)
        times.processor.append(self.seconds - before)


def main() -> None:
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as p:
        address, process = serve(Path(folder))
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            server = Server(process.pid)
            rows = first_visit(browser, address)
            page = open_page(browser, address, 1440, "light")
            page.locator(SAMPLE).get_by_role("button", name="patch").click()
            finished(page)
            case = CaseStore(Path(folder)).entries()[0].id
            page.context.close()
            rows += kept_case(browser, f"{address}/?case={case}", server)
            rows += redraws(browser, f"{address}/?case={case}&open=all", case, server)
        finally:
            browser.close()
            process.terminate()
            process.wait(timeout=30)
    told("dashboard", rows)


def first_visit(browser: Any, address: str) -> list[Row]:
    """Bytes that cross the line before a file can be handed in, with nothing in the browser's cache, and after."""
    found: dict[str, list[float]] = {"usable": [], "slow": []}
    sizes: dict[str, int] = {}
    for name in found:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        tools = context.new_cdp_session(page)
        arrived: list[tuple[str, int]] = []
        names: dict[str, str] = {}
        tools.on(
            "Network.responseReceived",
            lambda e, names=names: names.update({e["requestId"]: e["response"]["url"]}),
        )
        tools.on(
            "Network.loadingFinished",
            lambda e, names=names, arrived=arrived: arrived.append(
                (names.get(e["requestId"], ""), int(e["encodedDataLength"]))
            ),
        )
        tools.send("Network.enable")
        if name == "slow":
            tools.send("Network.emulateNetworkConditions", SLOW)
        start = time.perf_counter()
        page.goto(address, wait_until="commit")
        page.locator('input[type="file"]').first.wait_for(state="attached")
        found[name].append(time.perf_counter() - start)
        before = list(arrived)
        page.wait_for_timeout(1000)
        if name == "usable":
            sizes = {"before": sum(size for _, size in before), "after": sum(size for _, size in arrived)}
            largest(before)
        context.close()
    return [
        Row(
            "a first visit: loaded before a file can be handed in",
            f"{sizes['before'] / 1e6:.2f} MB",
            "one visit",
        ),
        Row("a first visit: loaded a second later", f"{sizes['after'] / 1e6:.2f} MB", "one visit"),
        Row("a first visit until a file can be handed in", middle(found["usable"], "s"), "one visit"),
        Row("the same on a line of 1.6 Mbit/s", middle(found["slow"], "s"), "one visit"),
    ]


def largest(arrived: list[tuple[str, int]], most: int = 6) -> None:
    """Print the largest files of a visit."""
    for url, size in sorted(arrived, key=lambda pair: -pair[1])[:most]:
        print(f"  {size / 1e3:8.0f} kB  {url.rpartition('/')[2] or url}")


def kept_case(browser: Any, address: str, server: Server) -> list[Row]:
    """How soon a kept case is there, in a browser that has the program in its cache."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    verdict, whole = Times(), Times()
    for turn in range(ROUNDS + 1):
        page.goto("about:blank")
        with server.timed(whole):
            with server.timed(verdict):
                page.goto(address, wait_until="commit")
                page.locator(VERDICT).wait_for()
            finished(page)
        if turn == 0:
            # The first one fills the cache.
            verdict, whole = Times(), Times()
    context.close()
    of = f"{ROUNDS} visits"
    return [
        verdict.row("a kept case until its verdict is read", of),
        whole.row("until its open sections are drawn", of),
    ]


def redraws(browser: Any, address: str, case: str, server: Server) -> list[Row]:
    """What one step of a control costs: from the key press to the new picture."""
    page = open_page(browser, address, 1440, "light")
    finished(page)
    page.locator(".ti-grid").first.wait_for()
    page.wait_for_timeout(3000)
    shown: dict[str, tuple[str, Callable[[], Any]]] = {
        "the gallery's image": (f"{case}.image", lambda: _seen(page, ".ti-grid img")),
        "the image of activation maximisation": (
            f"{case}.actmax.image",
            lambda: _seen(page, ".ti-strip img"),
        ),
        "bins of the histograms": (
            f"{case}.profile.bins",
            lambda: _seen(page, f'[class*="st-key-{_css(case)}-histograms"] path.js-line'),
        ),
    }
    rows = []
    for what, (key, seen) in shown.items():
        slider = page.locator(f'[class*="st-key-{_css(key)}"]').get_by_role("slider").first
        slider.scroll_into_view_if_needed()
        slider.focus()
        times = Times()
        # As far as the slider goes: a press at its end would change nothing.
        reach = int(slider.evaluate("(e, most) => Math.min(e.max - e.value, most)", REDRAWS // 2))
        for turn in range(2 * reach):
            before = seen()
            with server.timed(times):
                slider.press("ArrowRight" if turn < reach else "ArrowLeft")
                end = time.perf_counter() + 60
                while seen() == before and time.perf_counter() < end:
                    page.wait_for_timeout(15)
            page.wait_for_timeout(300)
        rows.append(times.row(f"a step of a slider: {what}", count(2 * reach, "step")))
    page.context.close()
    return rows


def _css(key: str) -> str:
    """A widget's key as Streamlit writes it into the class of its element."""
    return "".join(sign if sign.isalnum() or sign in "-_" else "-" for sign in key)


def _seen(page: Any, selector: str) -> str:
    """What a picture or a line of a chart is drawn from."""
    found: str = page.evaluate(
        "s => [...document.querySelectorAll(s)].slice(0, 40).map(e => e.src || e.getAttribute('d')).join()",
        selector,
    )
    return found


if __name__ == "__main__":
    main()
