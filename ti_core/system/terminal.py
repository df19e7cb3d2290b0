"""What is printed reaches the terminal through :class:`Shown`, and progress bars pass it by.

A name in a file, or of one, may hold characters that move the cursor or change what was printed before.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from ti_core.text import shown, without_controls

if TYPE_CHECKING:
    from tqdm import tqdm

COLOURS = {"red": 31, "green": 32, "yellow": 33, "magenta": 35, "bold": 1}
"""Names of styles, and their numbers in the terminal's control sequences."""
STANDARD_OUTPUT = "standard output"
"""File name of errors that writing to standard output raises."""


class Shown:
    """A stream that replaces control characters, except line breaks, with spaces.

    Parameters
    ----------
    stream : receives the text.
    needed : whether the text is the command's result. If a result cannot be written, the command fails. Other messages
        are dropped.
    """

    def __init__(self, stream: TextIO, needed: bool) -> None:
        self.stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"
        self._needed = needed
        self._failed: OSError | None = None

    def write(self, text: str) -> int:
        self._put(without_controls(text, lines=True))
        return len(text)

    @property
    def coloured(self) -> bool:
        """Whether colours are shown: on a terminal that knows them, unless ``NO_COLOR`` is set (https://no-color.org)."""
        return self.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def line(self, parts: Iterable[tuple[str, str | None]]) -> None:
        """Write a line of texts, each with the name of its colour or None. Their own control characters go."""
        colours = self.coloured
        text = ""
        for part, colour in parts:
            safe = without_controls(part)
            text += f"\x1b[{COLOURS[colour]}m{safe}\x1b[0m" if colours and colour else safe
        self._put(text + "\n")

    def exactly(self, text: str) -> None:
        """Write a document unchanged, in UTF-8. Its text is escaped already, and its digest may be recorded."""
        if isinstance(self.stream, io.TextIOWrapper):
            self.flush()
            with self._named():
                self.stream.buffer.write(text.encode())
        else:
            self._put(text)

    def flush(self) -> None:
        with self._named():
            self.stream.flush()

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()

    def _put(self, text: str) -> None:
        with self._named():
            self.stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Once the stream has failed, nothing more is written to it, not even when the interpreter ends."""
        try:
            yield
        except OSError as error:
            self._failed = OSError(error.errno, error.strerror, STANDARD_OUTPUT)
            with suppress(OSError):
                nothing = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nothing, self.stream.fileno())
                os.close(nothing)
        # The error is raised again by every later call, since argparse ignores an error of writing.
        if self._failed is not None and self._needed:
            raise self._failed


def progress_bar(title: str, total: int, draw: bool = True, **form: Any) -> tqdm[Any]:
    """A bar on standard error.

    It moves the cursor by control characters, so it is not drawn through :class:`Shown`. Every text that is put into it
    must be safe to show, see :func:`ti_core.text.shown`.

    Parameters
    ----------
    draw : whether it is drawn at all.
    form : further arguments of tqdm.
    """
    from tqdm import tqdm

    stream = standard_error()
    return tqdm(total=total, desc=shown(title, 60), file=stream, disable=not draw or stream is None, **form)


def standard_error() -> TextIO | None:
    """Standard error itself, without :class:`Shown`; None if it is closed."""
    return sys.stderr.stream if isinstance(sys.stderr, Shown) else sys.stderr
