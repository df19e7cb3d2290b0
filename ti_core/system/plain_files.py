"""Opening files that somebody names: only plain files within a limit, and never a wait.

A path can lead to a named pipe, on which a reader waits for ever, to a device without an end, or to a file that is
larger than the memory. A file is opened once, without waiting. Its kind and size are those of the open file, so that
nothing can be put in its place between the check and the reading.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from ti_core.errors import TrojanInterpretError
from ti_core.text import shown

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

PIECE = 1 << 20
"""Bytes that are hashed at once."""
CHANGED = "it changed while it was read; wait until it is complete"
_KINDS = (
    (stat.S_ISDIR, "it is a folder"),
    (stat.S_ISFIFO, "it is a named pipe"),
    (stat.S_ISSOCK, "it is a socket"),
    (stat.S_ISCHR, "it is a device"),
    (stat.S_ISBLK, "it is a device"),
)

Fault = type[TrojanInterpretError]


def open_plain(
    path: Path, most: int, fault: Fault, refusal: Fault | None = None, *, follow: bool = True
) -> BinaryIO:
    """Open a plain file for reading.

    Parameters
    ----------
    most : the limit for its size, in bytes.
    fault : the class of the error if the file cannot be read.
    refusal : the class of the error if it is no plain file, or is beyond the limit; by default ``fault``.
    follow : whether the path may be a link.

    Raises
    ------
    fault, refusal : with one sentence for a person.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        _refuse(path, _reason(error), fault)
    except ValueError:
        _refuse(path, "its name holds a null character", fault)
    try:
        _check(path, os.fstat(handle), most, refusal or fault)
    except TrojanInterpretError:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def read_plain(
    path: Path, most: int, fault: Fault, refusal: Fault | None = None, *, follow: bool = True
) -> bytes:
    """The content of a plain file; the arguments and errors are those of :func:`open_plain`."""
    with open_plain(path, most, fault, refusal, follow=follow) as file:
        size = size_of(file)
        try:
            content = file.read(size + 1)
        except OSError as error:
            _refuse(path, _reason(error), fault)
    if len(content) != size:
        _refuse(path, CHANGED, fault)
    return content


def hash_plain(digest: Hash, path: Path, most: int, fault: Fault, refusal: Fault | None = None) -> int:
    """Update ``digest`` with a plain file, read in pieces; the arguments and errors are those of :func:`open_plain`.

    Returns
    -------
    Number of bytes of the file.
    """
    with open_plain(path, most, fault, refusal) as file:
        size = left = size_of(file)
        try:
            # One byte more than there should be shows a file that grows.
            while left >= 0 and (piece := file.read(min(PIECE, left + 1))):
                left -= len(piece)
                digest.update(piece)
        except OSError as error:
            _refuse(path, _reason(error), fault)
    if left:
        _refuse(path, CHANGED, fault)
    return size


def size_of(file: BinaryIO) -> int:
    """Size of an open file in bytes."""
    return os.fstat(file.fileno()).st_size


def _check(path: Path, status: os.stat_result, most: int, refusal: Fault) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next((words for is_kind, words in _KINDS if is_kind(status.st_mode)), "it is something else")
        _refuse(path, f"{kind}, not a plain file", refusal)
    if status.st_size > most:
        raise refusal(
            f"The file {_name(path)} has {_size(status.st_size)}; the limit for such a file is {_size(most)}."
        )


def _reason(error: OSError) -> str:
    # A socket cannot be opened at all, and a link is an error only where no link may be followed.
    known = {errno.ENXIO: "it is a socket, not a plain file", errno.ELOOP: "it is a link, not a plain file"}
    return known.get(error.errno or 0) or error.strerror or "it is no plain file"


def _refuse(path: Path, reason: str, fault: Fault) -> NoReturn:
    raise fault(f"The file {_name(path)} cannot be read: {reason}.")


def _name(path: Path) -> str:
    return shown(path.name or str(path))


def _size(count: int) -> str:
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count:,} bytes"
