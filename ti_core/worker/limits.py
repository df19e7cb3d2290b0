"""The resources that a job may use, enforced by the kernel."""

from __future__ import annotations

import os
import resource
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ti_core.system.memory import total_memory

GIB = 1024**3
MAPPED = 4 * GIB + (os.cpu_count() or 1) * GIB // 8
"""Address space beyond ``memory_bytes``, for mapped files and for what threads reserve."""
OPEN_FILES = 512
LARGEST_CACHE = 3 * GIB
"""Bytes of a job's cache. The database may be a little larger than its own limit (:mod:`ti_core.system.cache`)."""
TOO_MANY = 2**63
SHORTEST_MEASURING = 30.0
MEASURINGS = 240
"""The time for a first pass is this part of the whole time, but at least :data:`SHORTEST_MEASURING` seconds."""


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
    folder_bytes : what its result files and the growth of its cache may take up together.
    """

    memory_bytes: int = field(default_factory=default_memory)
    cpu_seconds: int = 4 * 3600
    wall_seconds: float = 2 * 3600.0
    folder_bytes: int = 1 * GIB

    @classmethod
    def for_seconds(cls, seconds: float, **others: Any) -> Limits:
        """Limits with this time on the clock, and the processor time of all cores for so long."""
        return cls(cpu_seconds=int(seconds * (os.cpu_count() or 1)) + 1, wall_seconds=seconds, **others)

    @property
    def measuring_seconds(self) -> float:
        """Time on the clock for a first pass of the network, before its cost is known.

        A network whose first pass takes longer needs far more than the whole time.
        """
        return max(SHORTEST_MEASURING, self.wall_seconds / MEASURINGS)

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
    """Bytes that the files in a folder and below it take up.

    A file counts with its length or with its blocks, whichever is more, and with at least one byte. More than ``most``
    files count as too many bytes.
    """
    total, number, folders = 0, 0, [folder]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                number += 1
                if number > most:
                    return TOO_MANY
                with suppress(OSError):
                    found = entry.stat(follow_symlinks=False)
                    total += max(1, found.st_size, found.st_blocks * 512)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
    return total


class Disk:
    """The place on the disk that a job may fill: its folder, and its cache beyond what that held before.

    A cache that holds more than an honest one is emptied first.
    """

    def __init__(self, folder: Path, cache: Path | None) -> None:
        self._folder, self._cache = folder, cache
        self._before = held_files(cache) if cache else 0
        if self._before > LARGEST_CACHE:
            self.empty_cache()
            self._before = 0

    def held(self) -> int:
        """Bytes that the job has filled so far."""
        grown = held_files(self._cache) - self._before if self._cache else 0
        return held_files(self._folder) + max(0, grown)

    def empty_cache(self) -> None:
        """Delete what the cache holds. It can be computed again."""
        if self._cache:
            with suppress(OSError, RecursionError):
                for path in self._cache.iterdir():
                    if path.is_dir() and not path.is_symlink():
                        shutil.rmtree(path, ignore_errors=True)
                    else:
                        path.unlink()
