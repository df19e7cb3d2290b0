"""Keeping freed memory in the process: training and searching allocate the same large tensors over and over."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MOST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell glibc's allocator to keep large freed blocks; whether it did (False where there is no glibc).

    By default every tensor beyond 32 MiB is mapped and unmapped by the kernel each time, and its pages are
    zeroed again; on small networks with large batches that is up to half of the time.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL(None)
        return bool(libc.mallopt(_M_MMAP_THRESHOLD, _MOST) and libc.mallopt(_M_TRIM_THRESHOLD, _MOST))
    except (OSError, AttributeError):
        return False
