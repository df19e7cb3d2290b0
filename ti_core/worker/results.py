"""Reading the files that a job has written. They are untrusted."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from ti_core.errors import TrojanInterpretError
from ti_core.system.strict_json import parse


class ResultError(TrojanInterpretError):
    """A job's result is missing, too large, or not valid."""


def read_result(folder: Path, name: str, limit: int) -> bytes:
    """The bytes of one result file.

    Parameters
    ----------
    folder, name : where it lies; a plain file name.
    limit : bytes; a larger file is refused.

    Raises
    ------
    ResultError : there is no such file, it is no regular file (a link, a pipe), or it is too large.
    """
    if Path(name).name != name or name in ("", ".", ".."):
        raise ResultError(f"A result has no plain file name: {name[:80]!r}.")
    try:
        # A pipe would make the reader wait, and a link would lead it to another file.
        fd = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ResultError(f"The result {name} is missing ({error.strerror or error}).") from error
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise ResultError(f"The result {name} is no regular file.")
        data = file.read(limit + 1) if status.st_size <= limit else b""
    if status.st_size > limit or len(data) > limit:
        raise ResultError(f"The result {name} is larger than the {limit:,} bytes it may have.")
    return data


def read_json(folder: Path, name: str, limit: int) -> dict[str, Any]:
    """The JSON object in one result file, read by :func:`ti_core.system.strict_json.parse`.

    Raises
    ------
    ResultError : as :func:`read_result`, or the file holds no JSON object.
    """
    try:
        value = parse(read_result(folder, name, limit))
    except ValueError as error:
        raise ResultError(f"The result {name} is not readable.") from error
    if not isinstance(value, dict):
        raise ResultError(f"The result {name} is not readable.")
    return value
