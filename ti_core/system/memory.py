"""Keep freed memory in the process, because training and searches allocate the same large tensors repeatedly."""

from __future__ import annotations

import ctypes
import sys

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
