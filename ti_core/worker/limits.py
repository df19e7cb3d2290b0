"""The resources that a job may use, enforced by the kernel."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

GIB = 1024**3
MAPPED = 4 * GIB + (os.cpu_count() or 1) * GIB // 8
"""Address space beyond ``memory_bytes``, for mapped files and for what threads reserve."""
OPEN_FILES = 512


def total_memory() -> int:
    """Bytes of the machine's (or the container's) memory."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            total = min(total, int(Path(path).read_text()))
    return total


def default_memory() -> int:
    """Three quarters of the memory, between 2 and 16 GiB."""
    return min(max(total_memory() * 3 // 4, 2 * GIB), 16 * GIB)


@dataclass(frozen=True)
class Limits:
    """What one job may use before it is ended.

    Parameters
    ----------
    memory_bytes : private memory, that of the libraries (some 0.3 GB) included.
    cpu_seconds : processor time, summed over its threads.
    wall_seconds : time on the clock, from the moment it starts.
    folder_bytes : what its result files may hold together.
    """

    memory_bytes: int = field(default_factory=default_memory)
    cpu_seconds: int = 4 * 3600
    wall_seconds: float = 2 * 3600.0
    folder_bytes: int = 1 * GIB

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def hold(limits: Limits, largest_file: int, address_space: bool) -> None:
    """Set the limits on this process; they cannot be raised again.

    ``RLIMIT_DATA`` counts every private writable mapping: the memory of ``malloc`` and torch, and the stacks of
    threads. It does not count shared mappings, so ``RLIMIT_AS`` also limits the whole address space. A job that uses
    CUDA does not have this second limit (``address_space`` False), since CUDA's driver reserves far more than it uses.
    """
    wanted = {
        resource.RLIMIT_DATA: limits.memory_bytes,
        resource.RLIMIT_FSIZE: largest_file,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: OPEN_FILES,
    }
    if address_space:
        wanted[resource.RLIMIT_AS] = _mapped_now() + limits.memory_bytes + MAPPED
    for kind, value in wanted.items():
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
    # The soft limit sends SIGXCPU, which identifies the cause. A second later, the hard limit sends SIGKILL.
    seconds = max(1, limits.cpu_seconds)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    if hard == resource.RLIM_INFINITY or hard > seconds:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


def _mapped_now() -> int:
    """Bytes of address space that this process has mapped."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return 2 * GIB


def held_memory(pid: int) -> int:
    """Bytes of another process's own memory, including shared memory; 0 if the system does not report them."""
    total = 0
    with suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(("RssAnon:", "RssShmem:")):
                total += int(line.split()[1]) * 1024
    return total


def held_files(folder: Path, most: int = 10_000) -> int:
    """Bytes of the files in a job's folder. Every file counts as at least one byte, so that empty files count too."""
    total = 0
    with suppress(OSError), os.scandir(folder) as entries:
        for number, entry in enumerate(entries):
            if number >= most:
                return 2**63
            with suppress(OSError):
                total += max(1, entry.stat(follow_symlinks=False).st_size)
    return total
