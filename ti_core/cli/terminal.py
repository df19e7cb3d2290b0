"""The path of all output of the commands to the terminal. It removes control characters from names and messages.

Inside :func:`shown_output`, everything that is printed passes through a :class:`Shown`: the commands' own lines, errors
of argparse, warnings, log messages and tracebacks.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO, cast

from ti_core.errors import TrojanInterpretError
from ti_core.system.terminal import STANDARD_OUTPUT, Shown
from ti_core.text import plain, shown

TRACEBACK = "TROJANINTERPRET_DEBUG"
"""Environment variable that lets unforeseen errors print their traceback."""
MOST = 8000
"""Maximum number of characters of one complaint."""


@contextmanager
def shown_output() -> Iterator[None]:
    """Pass everything that is printed through :class:`Shown`."""
    _fill_standard_files()
    before = sys.stdout, sys.stderr
    if sys.stdout is not None:
        sys.stdout = cast(TextIO, Shown(sys.stdout, needed=True))
    if sys.stderr is not None:
        sys.stderr = cast(TextIO, Shown(sys.stderr, needed=False))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _fill_standard_files() -> None:
    """Open /dev/null in place of a closed standard file. Otherwise the next opened file would get its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)


def say(*parts: tuple[str, str | None]) -> None:
    """Print a line on standard output: texts, each with the name of its colour or None."""
    if isinstance(sys.stdout, Shown):
        sys.stdout.line(parts)
    else:
        print("".join(text for text, _ in parts))


def complain(sentence: str) -> None:
    """Print an error. Later lines are indented, so that a line break in a name cannot imitate a line of the program."""
    text = plain(sentence, MOST, lines=True).rstrip("\n").replace("\n", "\n  ")
    print(f"trojaninterpret: {text}", file=sys.stderr)


def complain_of(error: BaseException) -> None:
    """Print the error that stopped a command. A broken pipe is not reported, since nobody reads the output."""
    if isinstance(error, BrokenPipeError) and error.filename == STANDARD_OUTPUT:
        return
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    complain(sentence_of(error))


def sentence_of(error: BaseException) -> str:
    """The error that stopped a command, in one readable sentence."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped."
    if isinstance(error, TrojanInterpretError):
        return str(error)
    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, MemoryError):
        return "There is not enough memory for this; close other programs, or use a machine with more memory."
    reason = shown((str(error).strip().splitlines() or [""])[0], 300)
    told = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    return (
        f"Something unexpected stopped the work ({told}); set {TRACEBACK}=1 in the environment to see where."
    )


def _of_system(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason = f"{reason}; free some space and try again"
    if error.filename is None:
        return f"The system refused an operation: {shown(reason, 300)}."
    name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else str(error.filename)
    return f"{shown(name, 1000)}: {shown(reason, 300)}."
