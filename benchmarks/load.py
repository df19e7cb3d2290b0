"""Measures the dashboard with eight visitors at once: ``python -m benchmarks.load``.

It starts the real server on the loopback address with its own home folder and opens eight tabs in Debian's chromium. In
each round, every tab uploads a different copy of a bundled sample and waits for the verdict. In the last round, every
tab uploads a large file that is no model and waits for the refusal. It prints when each tab showed its place in the
queue, its first pictures and its verdict, and how much memory the server's processes used. Nothing runs longer than
``--limit`` seconds.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import tempfile
import threading
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.screenshots import CHROMIUM, serve

SAMPLES = sorted((Path(__file__).resolve().parent.parent / "assets" / "samples").glob("mnist-*.safetensors"))
EXPECTED = {"clean": "Clean", "blend": "Backdoored", "patch": "Backdoored"}
LOOK = 0.25
MB = 1e6


@dataclass(eq=False)
class Memory(threading.Thread):
    """Measures the memory of a process and its descendants once a second.

    The proportional set size (PSS) counts shared pages once. A job shares most of its pages with the process that it
    was forked from.
    """

    root: int
    server: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    processes: int = 0

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self.going = True

    def run(self) -> None:
        while self.going:
            self.look()
            time.sleep(1.0)

    def look(self) -> tuple[float, float]:
        """Megabytes of the server's process and of all its descendants."""
        found = descendants(self.root)
        own, others = resident(self.root), sum(proportional(pid) for pid in found)
        self.server.append(own)
        self.others.append(others)
        self.processes = max(self.processes, len(found))
        return own, others


def descendants(root: int) -> set[int]:
    """The ids of all descendants of the process."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found, last = {root}, 0
    while len(found) > last:
        last = len(found)
        found |= {pid for pid, parent in parents.items() if parent in found}
    return found - {root}


def resident(pid: int) -> float:
    """Resident memory of one process, in megabytes."""
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmRSS:") / 1e3


def proportional(pid: int) -> float:
    """Proportional set size of one process, in megabytes."""
    return _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss:") / 1e3


def _kilobytes(path: Path, name: str) -> float:
    with suppress(OSError):
        for line in path.read_text().splitlines():
            if line.startswith(name):
                return float(line.split()[1]) * 1.024
    return 0.0


def held_files(address: str) -> float:
    """Megabytes of uploaded files in the server's memory, by its own metrics."""
    with urllib.request.urlopen(f"{address}/_stcore/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if "UploadedFileManager" in line) / MB


def processor_seconds(pid: int) -> float:
    """Processor time that one process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Tab:
    """One visitor in one round: seconds from the upload to each event on the page."""

    page: Any
    path: Path
    asked: float = 0.0
    places: list[int] = field(default_factory=list)
    answered: float = 0.0
    pictures: float = 0.0
    verdict: float = 0.0
    word: str = ""

    def look(self) -> None:
        """Note the time of each new event on the page."""
        said: str = self.page.evaluate("() => document.body.innerText")
        now = time.perf_counter() - self.asked
        if waiting := re.search(r"Waiting: (\d+|an?|one) inspection|Next in the queue", said):
            place = int(waiting[1]) if (waiting[1] or "").isdigit() else int(waiting[1] is not None)
            if not self.places or self.places[-1] != place:
                self.places.append(place)
        if not self.answered and (waiting or re.search(r" left$|nearly done", said, re.MULTILINE)):
            self.answered = now
        if not self.pictures and "Class by class" in said:
            self.pictures = now
        if "HTML report" in said:
            self.word = self.page.locator(".ti-verdict .word").inner_text()
            self.verdict = now
        elif "was not inspected" in said:
            self.word, self.verdict = "Refused", now

    @property
    def expected(self) -> str:
        """The expected answer for this file."""
        return next((word for kind, word in EXPECTED.items() if f"-{kind}-" in self.path.name), "Refused")


def copies(folder: Path, count: int, turn: int) -> list[Path]:
    """Copies of the samples with different bytes, so that the server knows none of them."""
    from safetensors.numpy import load_file, save_file

    made = []
    for i in range(count):
        sample = SAMPLES[i % len(SAMPLES)]
        path = folder / f"{sample.stem}-{turn}-{i}.safetensors"
        save_file(load_file(sample), path, metadata={"copy": f"{turn}/{i}"})
        made.append(path)
    return made


def rubbish(folder: Path, count: int, size: int) -> list[Path]:
    """Large files that are not models."""
    made = []
    for i in range(count):
        path = folder / f"rubbish-{i}.safetensors"
        path.write_bytes(os.urandom(1 << 20) * (size >> 20))
        made.append(path)
    return made


def opened(pages: list[Any], address: str) -> None:
    """Open the start page in every tab at the same time. A page that is open stays."""
    here = "Inspect your own"
    gone = [page for page in pages if page.get_by_role("heading", name=here).count() == 0]
    for page in gone:
        page.goto(address, wait_until="commit")
    for page in gone:
        page.get_by_role("heading", name=here).wait_for()


def one_round(pages: list[Any], address: str, paths: list[Path], end: float) -> list[Tab]:
    """Upload a file in every tab at once, and wait."""
    tabs = [Tab(page, path) for page, path in zip(pages, paths, strict=True)]
    opened(pages, address)
    for tab in tabs:
        tab.page.locator('input[type="file"]').first.set_input_files(str(tab.path))
    for tab in tabs:
        button = tab.page.get_by_role("button", name="Inspect", exact=True)
        tab.page.wait_for_function("e => !e.disabled", arg=button.element_handle())
    for tab in tabs:
        tab.asked = time.perf_counter()
        tab.page.get_by_role("button", name="Inspect", exact=True).click()
    while any(not tab.verdict for tab in tabs) and time.perf_counter() < end:
        for tab in tabs:
            if not tab.verdict:
                tab.look()
        time.sleep(LOOK)
    return tabs


def told(name: str, tabs: list[Tab]) -> None:
    """A summary of a round."""
    right = sum(tab.word == tab.expected for tab in tabs)
    print(
        f"{name}: {sum(bool(t.verdict) for t in tabs)} of {len(tabs)} tabs were answered, {right} as expected"
    )
    order = sorted(range(len(tabs)), key=lambda i: tabs[i].verdict or 1e9)
    swaps = sum(order[i] > order[i + 1] for i in range(len(order) - 1))
    print(f"  answered in the order {', '.join(str(i + 1) for i in order)} ({swaps} out of turn)")
    for what, values in (
        ("to a place in the queue or progress", [t.answered for t in tabs if t.answered]),
        ("to the first pictures", [t.pictures for t in tabs if t.pictures]),
        ("to the answer", [t.verdict for t in tabs if t.verdict]),
    ):
        if values:
            print(
                f"  seconds {what}: {min(values):.1f} to {max(values):.1f}, median {statistics.median(values):.1f}"
                f" ({len(values)} tabs)"
            )
    print(f"  places shown: {'; '.join(' '.join(map(str, t.places)) or '-' for t in tabs)}", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--sessions", type=int, default=8)
    options.add_argument(
        "--rounds", type=int, default=2, help="rounds of models, before the one of large files"
    )
    options.add_argument(
        "--large", type=int, default=96, help="megabytes of each large file; 0 for no such round"
    )
    options.add_argument("--limit", type=float, default=420.0, help="seconds after which it stops")
    given = options.parse_args()
    from playwright.sync_api import sync_playwright

    end = time.perf_counter() + given.limit
    print(f"{given.sessions} tabs, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before", flush=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as p:
        folder = Path(scratch)
        (folder / "files").mkdir()
        address, server = serve(folder / "home")
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        memory = Memory(server.pid)
        try:
            pages = [browser.new_context().new_page() for _ in range(given.sessions)]
            for page in pages:
                page.set_default_timeout(given.limit * 1000)
            opened(pages, address)
            time.sleep(2)
            idle = memory.look()
            print(
                f"memory with {given.sessions} tabs open: server {idle[0]:.0f} MB, its workers {idle[1]:.0f} MB"
            )
            memory.start()
            for turn in range(given.rounds + bool(given.large)):
                large = turn == given.rounds
                files = folder / "files"
                paths = (
                    rubbish(files, given.sessions, given.large << 20)
                    if large
                    else copies(files, given.sessions, turn)
                )
                del memory.server[:], memory.others[:]
                before, start = processor_seconds(server.pid), time.perf_counter()
                tabs = one_round(pages, address, paths, end)
                spent = time.perf_counter() - start
                own = processor_seconds(server.pid) - before
                name = f"large files ({given.large} MB each)" if large else f"round {turn + 1}"
                told(name, tabs)
                peak = max(memory.server), max(memory.others)
                time.sleep(2)
                after = memory.look()
                print(
                    f"  memory: server at most {peak[0]:.0f} MB, {after[0]:.0f} MB after; its workers at most"
                    f" {peak[1]:.0f} MB, {after[1]:.0f} MB after; at most {memory.processes} processes;"
                    f" {held_files(address):.1f} MB of files still held"
                )
                print(f"  the server itself used {own:.1f} s of processor time in {spent:.0f} s", flush=True)
        finally:
            memory.going = False
            browser.close()
            server.terminate()
            server.wait(timeout=60)


if __name__ == "__main__":
    main()
