"""The real server in real trouble: killed, its workers killed, its disk full, its files damaged (``make faults``).

Whatever happens: a visitor reads a sentence, the next inspection goes through, and no finished case is lost.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.store.cases import CaseStore
from tests.app import waiting
from tests.app.serving import ROOT, Server, without_rights
from tests.app.visitor import NEEDED, SAMPLES, Visitor, browser
from tests.disks import fill

__all__ = ["browser"]

pytestmark = [
    pytest.mark.faults,
    *NEEDED,
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    found = Server(tmp_path / "home").start()
    yield found
    found.stop()


WORKED = 0.2
"""Seconds of processor time after which an inspection is in the middle of its work."""

until = partial(waiting.until, seconds=120.0)


def says(visitor: Visitor, pattern: str) -> str:
    """What the page says, once this occurs in it; never a stack trace."""
    visitor.page.get_by_text(re.compile(pattern)).first.wait_for()
    said: str = visitor.page.locator("[data-testid=stMain]").inner_text()
    assert "Traceback" not in said and "Errno" not in said
    return said


def begun(visitor: Visitor, server: Server, sample: str = "blend") -> int:
    """Begin an inspection, and return the process that works on it. It is stopped in the middle of its work."""
    with ThreadPoolExecutor(1) as meanwhile:
        held = meanwhile.submit(until, lambda: stopped(server))
        visitor.sample(sample)
        visitor.page.get_by_role("button", name="Cancel").wait_for()
        return int(held.result())


def stopped(server: Server) -> int | None:
    """An inspection that has worked for a moment, which goes no further; None as long as there is none."""
    for pid in server.jobs:
        with suppress(OSError):
            user, kernel = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
            if (int(user) + int(kernel)) / os.sysconf("SC_CLK_TCK") > WORKED:
                os.kill(pid, signal.SIGSTOP)
                return pid
    return None


def test_a_killed_server_loses_no_finished_case(browser: Any, server: Server) -> None:
    visitor = Visitor(browser, server.address)
    visitor.sample("clean")
    assert visitor.verdict() == "Clean"
    finished = visitor.page.url
    visitor.page.get_by_role("button", name="Inspect another model").click()
    begun(visitor, server)
    jobs, host = server.jobs, server.host
    server.kill()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in [*jobs, host]))
    kept = CaseStore(server.home).entries()
    assert [e.verdict for e in kept] == ["clean"]
    server.start()
    says(visitor, "may have been started anew since then")
    assert not list((server.home / "work").iterdir())
    visitor.page.goto(finished)
    assert visitor.verdict() == "Clean"
    visitor.go("/")
    visitor.sample("patch")
    assert visitor.verdict() == "Backdoored"
    assert len(CaseStore(server.home).entries()) == 2
    visitor.context.close()


def test_a_reload_in_the_middle_goes_on(browser: Any, server: Server) -> None:
    visitor = Visitor(browser, server.address)
    job = begun(visitor, server)
    visitor.page.reload()
    visitor.page.get_by_role("button", name="Cancel").wait_for()
    assert server.jobs == [job]
    os.kill(job, signal.SIGCONT)
    assert visitor.verdict() == "Backdoored"
    assert "ticket=" not in visitor.page.url and len(CaseStore(server.home).entries()) == 1
    assert not Path(f"/proc/{job}").exists()
    visitor.context.close()


@pytest.mark.parametrize("victim", ["job", "host"])
def test_a_killed_worker_fails_its_own_inspection_only(browser: Any, server: Server, victim: str) -> None:
    one, two = Visitor(browser, server.address), Visitor(browser, server.address)
    job = begun(one, server)
    two.sample("clean")
    says(two, "Waiting: 1 inspection before this one|Next in the queue")
    pid = job if victim == "job" else server.host
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    said = says(one, "was not inspected")
    assert "ended by the system" in said if victim == "job" else "was lost; try again" in said
    assert two.verdict() == "Clean"
    for visitor in (one, two):
        visitor.context.close()


def test_a_full_disk_is_a_sentence(browser: Any, small_disk: Path) -> None:
    server = Server(small_disk / "home").start()
    try:
        visitor = Visitor(browser, server.address)
        visitor.sample("clean")
        assert visitor.verdict() == "Clean"
        finished = visitor.page.url
        ballast = fill(small_disk)
        visitor.go("/")
        visitor.sample("patch")
        says(visitor, "disk is full")
        chosen = visitor.page.locator('input[type="file"]').first
        chosen.set_input_files(str(SAMPLES / "mnist-blend.safetensors"))
        says(visitor, "cannot be kept: the disk is full")
        visitor.page.goto(finished)
        assert visitor.verdict() == "Clean"
        ballast.unlink()
        visitor.go("/")
        visitor.sample("patch")
        assert visitor.verdict() == "Backdoored"
        assert {e.verdict for e in CaseStore(server.home).entries()} == {"clean", "backdoored"}
        visitor.context.close()
    finally:
        server.stop()


def test_damaged_files_are_a_sentence_and_a_damaged_cache_is_nothing(browser: Any, server: Server) -> None:
    visitor = Visitor(browser, server.address)
    visitor.sample("patch")
    assert visitor.verdict() == "Backdoored"
    address, (entry,) = visitor.page.url, CaseStore(server.home).entries()
    server.stop()
    caches = list((server.home / "cache").glob("*/cache.db"))
    assert caches
    for path in caches:
        data = bytearray(path.read_bytes())
        data[len(data) // 3 : len(data) // 3 + 20_000] = os.urandom(20_000)
        path.write_bytes(data)
    folder = server.home / "cases" / entry.id
    arrays = folder / "case.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:-100])
    server.start()
    visitor.page.goto(address)
    says(visitor, "inspect the model again")
    visitor.go("/cases")
    visitor.page.locator("[data-testid=stDataFrame]").wait_for()
    visitor.go("/")
    visitor.sample("patch")
    assert visitor.verdict() == "Backdoored"
    again = [e for e in CaseStore(server.home).entries() if e.id != entry.id]
    assert [e.verdict for e in again] == ["backdoored"] and again[0].probability == entry.probability
    visitor.context.close()


def test_it_runs_without_rights_on_a_read_only_root(browser: Any) -> None:
    """As in the container, whose only writable folders are /tmp (in memory) and its volume."""
    confined = without_rights()
    tried = subprocess.run(
        [*confined, "sh", "-c", f"! touch /x {ROOT}/x && touch /tmp/x /mnt/x"], check=False
    )
    if tried.returncode != 0:
        pytest.skip("this user may not make a read-only root")
    server = Server(Path("/mnt/data"), *confined).start()
    try:
        status = Path(f"/proc/{server.process.pid}/status").read_text() if server.process else ""
        assert re.search(r"^Uid:\s+10001\s+10001", status, re.MULTILINE)
        assert re.search(r"^CapBnd:\s+0+$", status, re.MULTILINE) and re.search(
            r"^NoNewPrivs:\s+1$", status, re.M
        )
        visitor = Visitor(browser, server.address)
        visitor.upload(SAMPLES / "mnist-patch.safetensors")
        assert visitor.verdict() == "Backdoored"
        with visitor.page.expect_download() as waiting:
            visitor.page.get_by_role("button", name="JSON").click()
        report = json.loads(Path(waiting.value.path()).read_text())
        assert "Not prevented" not in report["isolation"]["network"]
        assert "problem" not in report["cache"]
        visitor.context.close()
    finally:
        server.stop()
