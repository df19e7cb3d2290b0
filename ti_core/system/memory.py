"""This process's memory: freed blocks that are kept, and how much there is left."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MOST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let glibc's allocator keep large freed blocks.

    By default the kernel maps and unmaps every tensor above 32 MiB, and sets its pages to zero each time. With small
    networks and large batches this takes up to half of the time.

    Returns
    -------
    Whether the allocator accepted it; False without glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL(None)
        return bool(libc.mallopt(_M_MMAP_THRESHOLD, _MOST) and libc.mallopt(_M_TRIM_THRESHOLD, _MOST))
    except (OSError, AttributeError):
        return False


def total_memory() -> int:
    """Bytes of the machine's (or the container's) memory."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            total = min(total, int(Path(path).read_text()))
    return total


def free_memory(device: torch.device) -> int:
    """Bytes that this process may still take on a device, as far as is known; at least 0.

    On a processor it is the smaller of the limit on this process's memory and the machine's memory, less the most that
    the process has held so far.
    """
    if device.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    most = total_memory()
    limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
    if limit != resource.RLIM_INFINITY:
        most = min(most, limit)
    return max(0, most - resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error says that there was not enough memory, on a processor or a GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return any(words in str(error) for words in ("can't allocate memory", "bad_alloc", "Arena alloc failed"))
