"""Every sentence of the report's isolation is shown by an experiment, under every combination of the kernel's means."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.worker.confinement.attempts import COMBINATIONS, WORKED
from ti_core.worker.confinement import landlock
from ti_core.worker.confinement.claims import CLAIMS, Claim, Means, sentences

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the means are Linux's"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the attempts are written for x86-64"),
]
NEWEST = 6
"""The version of Landlock up to which the claims differ."""
ORDINARY = 65534
FILTER, USERS, NETWORK, CLOSED = "seccomp", "user namespace", "network namespace", "PR_SET_DUMPABLE"


def of(whose: str) -> tuple[str, ...]:
    """The attempts on one process's memory."""
    return (
        *(f"opening the memory of {whose}", f"writing the memory of {whose}", f"tracing {whose}"),
        *(f"reading the environment of {whose}", f"opening an open file of {whose}"),
    )


PREVENTED_BY: dict[str, set[str | int]] = {
    **{name: {CLOSED, USERS, 1} for name in (*of("the parent"), *of("another job"))},
    **{name: {USERS, 1} for name in of("a program beside")},
    "tracing a program beside": {FILTER, USERS, 1},
    "writing the memory of a program beside": {FILTER, USERS, 1},
    "TCP": {FILTER, NETWORK, 4},
    "UDP": {FILTER, NETWORK},
    "an abstract Unix socket": {FILTER, NETWORK, 6},
    "a Unix socket in a folder": {FILTER},
    "another kind of socket": {FILTER},
    "a pair of sockets": {FILTER},
    "a socket by 32-bit calls": {FILTER},
    "reading a file outside": set(),
    "writing a file outside": {1},
    "a new file outside": {1},
    "moving a file outside": {FILTER, 1},
    "a hard link inwards": {1},
    "a folder inside": {1},
    "deleting a file outside": {FILTER, 1},
    "truncating a file outside": {3},
    "permissions of a file outside": {FILTER},
    "times of a file outside": {FILTER},
    "a file deleted while open": {FILTER, 1},
    "a file replaced while open": {FILTER, 1},
    "a file without a name": {FILTER},
    "a process": {FILTER},
    "limits of a program beside": {FILTER},
    "priority of a program beside": {FILTER},
    "a signal": {FILTER, 6},
    "a signal to a program beside": {FILTER, 6},
    "a signal of a file's owner": {FILTER, 6},
    "the same by 64 bits": {FILTER, 6},
    "a file inside": set(),
    "a program": {FILTER, 1},
    "a program in memory": {FILTER},
}
"""By attempt, the means of which each prevents it by itself. A number stands for Landlock from that version on."""

OF_SOME_KERNELS = ("a socket by 32-bit calls",)
"""Attempts that a kernel may not know at all."""

SHOWN_BY: dict[str, tuple[str, ...]] = {
    "TCP connections": ("TCP",),
    "UDP packets": ("UDP",),
    "abstract Unix sockets": ("an abstract Unix socket",),
    "Unix sockets in folders": ("a Unix socket in a folder",),
    "all other sockets": ("another kind of socket", "a pair of sockets", "a socket by 32-bit calls"),
    "writing and deleting files outside the job's own folder and cache": (
        *("writing a file outside", "a new file outside", "moving a file outside"),
        *("a hard link inwards", "deleting a file outside"),
    ),
    "truncating files outside": ("truncating a file outside",),
    "changing permissions and times of files": (
        "permissions of a file outside",
        "times of a file outside",
    ),
    "files without a name, which the disk limit does not count": (
        *("a file deleted while open", "a file replaced while open", "a file without a name"),
    ),
    "reading files": ("reading a file outside",),
    "starting a program from a file": ("a program",),
    "starting a program from memory": ("a program in memory",),
    "starting another process": ("a process",),
    "access to this program's memory and open files": (*of("the parent"), *of("another job")),
    "access to those of the user's other programs": of("a program beside"),
    "signals to other processes": (
        *("a signal", "a signal to a program beside"),
        *("a signal of a file's owner", "the same by 64 bits"),
    ),
    "changing limits and priority of other processes": (
        *("limits of a program beside", "priority of a program beside"),
    ),
}
"""By claim, the attempts that all have to fail where it is made."""


@pytest.fixture(scope="module", params=["root", "an ordinary user"])
def records(request: pytest.FixtureRequest) -> Iterator[dict[tuple[str, ...], dict[str, Any]]]:
    """What was claimed and what worked, by combination."""
    user = 0
    if request.param == "root" and os.getuid() != 0:
        pytest.skip("the tests do not run as root")
    if request.param == "an ordinary user" and os.getuid() == 0:
        user = ORDINARY
    folder = Path(tempfile.mkdtemp(prefix="ti-attempts-"))
    folder.chmod(0o777)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.worker.confinement.attempts", str(folder), str(user)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        yield {tuple(record["means"]): record for record in json.loads(done.stdout)}
    finally:
        shutil.rmtree(folder)


def in_force(means: tuple[str, ...], record: dict[str, Any]) -> set[str | int]:
    """The means of a combination; skips one that this machine lacks."""
    force: set[str | int] = {CLOSED}
    for name in means:
        for whole in {"namespaces": (USERS, NETWORK), "network namespace": (NETWORK,)}.get(
            name, (name.split()[0],)
        ):
            problem = record["lacking"].get("Landlock" if whole == "landlock" else whole)
            if problem:
                pytest.skip(f"this machine lacks {whole}: {problem}")
            if whole == "landlock":
                version = int(name[-1]) if name[-1].isdigit() else NEWEST
                if landlock.version() < version:
                    pytest.skip(f"this kernel's Landlock is of version {landlock.version()}")
                force |= set(range(1, version + 1))
            else:
                force.add(whole)
    return force


def named(means: tuple[str, ...]) -> str:
    return " + ".join(means) or "none"


@pytest.mark.parametrize("means", COMBINATIONS, ids=named)
def test_what_each_combination_prevents(
    means: tuple[str, ...], records: dict[tuple[str, ...], dict[str, Any]]
) -> None:
    record = records[means]
    force = in_force(means, record)
    found = record["found"]
    assert found.keys() == PREVENTED_BY.keys()
    lacking = {name for name in OF_SOME_KERNELS if records[()]["found"][name] != WORKED}
    assert {name for name, what in found.items() if what == WORKED} == {
        name for name, by in PREVENTED_BY.items() if not by & force
    } - lacking


@pytest.mark.parametrize("means", COMBINATIONS, ids=named)
def test_the_report_claims_what_the_experiment_shows_and_nothing_else(
    means: tuple[str, ...], records: dict[tuple[str, ...], dict[str, Any]]
) -> None:
    record = records[means]
    shown = [
        claim.what
        for claim in CLAIMS
        if all(record["found"][name] != WORKED for name in SHOWN_BY[claim.what])
    ]
    assert record["claimed"] == shown
    for claim in CLAIMS:
        prevented, _, left = record["says"][claim.field].partition("Not prevented: ")
        assert (claim.what in prevented) == (claim.what in shown) and (claim.what in left) != (
            claim.what in shown
        )


def test_every_claim_and_every_attempt_takes_part() -> None:
    assert SHOWN_BY.keys() == {claim.what for claim in CLAIMS}
    shown = {name for names in SHOWN_BY.values() for name in names}
    assert PREVENTED_BY.keys() - shown == {"a folder inside", "a file inside"}


ALL = Means(frozenset({FILTER, USERS, NETWORK, CLOSED}), NEWEST)


def test_the_sentences_of_a_machine_with_every_means() -> None:
    assert sentences(ALL) == {
        "network": "Prevented: TCP connections, abstract Unix sockets (seccomp, network namespace, Landlock);"
        " UDP packets (seccomp, network namespace); Unix sockets in folders, all other sockets (seccomp).",
        "files": "Prevented: writing and deleting files outside the job's own folder and cache, truncating files"
        " outside (Landlock); changing permissions and times of files, files without a name, which the disk limit"
        " does not count (seccomp). Not prevented: reading files.",
        "processes": "Prevented: starting a program from a file, signals to other processes (seccomp, Landlock);"
        " starting a program from memory, starting another process, changing limits and priority of other processes"
        " (seccomp); access to this program's memory and open files (PR_SET_DUMPABLE, user namespace, Landlock);"
        " access to those of the user's other programs (user namespace, Landlock).",
    }


def test_a_means_that_is_missing_is_named_with_its_reason() -> None:
    claim = Claim("network", "TCP connections", (FILTER, NETWORK), landlock=4)
    lacking = {FILTER: "libseccomp is missing", NETWORK: "Operation not permitted"}
    assert claim.why_not(Means(landlock=1, lacking=lacking)) == [
        "seccomp: libseccomp is missing",
        "network namespace: Operation not permitted",
        "Landlock: this kernel has version 1",
    ]
    assert claim.carried_by(Means(landlock=4, lacking=lacking)) == ("Landlock",)
    without = Means(lacking=lacking | {"Landlock": "this kernel has no Landlock"})
    assert "this kernel has no Landlock" in sentences(without)["files"]
    assert all("Prevented" not in text.replace("Not prevented", "") for text in sentences(without).values())


def table() -> str:
    """The claims as a table: by means, whether it prevents something by itself."""
    columns = ("seccomp", "network namespace", "user namespace", "PR_SET_DUMPABLE")
    rows = [("a job is kept from", *columns, "Landlock, from version"), ("---",) * 6]
    for claim in CLAIMS:
        marks = ["yes" if name in claim.by else "" for name in columns]
        rows.append((claim.what, *marks, str(claim.landlock or "")))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def test_the_documented_table_holds_the_claims_and_nothing_else() -> None:
    documented = (Path(__file__).parents[3] / "SECURITY.md").read_text(encoding="utf-8")
    assert table() in documented


CLOSED_TO_JOBS = """
import os, sys, time
from pathlib import Path
from ti_core.system.own_memory import memory_is_closed, open_memory, prctl
from ti_core.worker import Job
from ti_core.worker.confinement import isolation
from ti_core.worker.hosts import close_host, running_host

# Without this, root's programs have privileges again.
if os.getuid() == 0:
    prctl(28, 3)
isolation._drop_capabilities()
open_memory()

def reachable(pid):
    if (child := os.fork()) == 0:
        try:
            os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR))
        except PermissionError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

assert reachable(os.getpid()), "the attempt works on a process that is not closed"
job = Job.start("describe", {"model": sys.argv[1]})
job.wait()
assert job.state == "done", job.error
host = running_host()._process.pid
assert memory_is_closed() and not reachable(os.getpid()) and not reachable(host)
job.close()
close_host()
print("closed")
"""


def test_the_program_that_starts_a_job_and_the_host_are_closed_to_it(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.write_bytes(b"no model")
    done = subprocess.run(
        [sys.executable, "-c", CLOSED_TO_JOBS, str(model)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "closed\n", done.stderr
