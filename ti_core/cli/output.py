"""Paths that a command line names, and writing to them. ``-`` is standard output."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from ti_core.errors import SettingsError
from ti_core.system.terminal import Shown

STDOUT = Path("-")


def a_path(text: str) -> Path:
    """An argument that names a file or a folder.

    Raises
    ------
    argparse.ArgumentTypeError : it is empty, or no name that a file can have.
    """
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError("no file is named")
    return Path(text)


def a_name(text: str) -> str:
    """An argument that names something. An empty one would count as not given.

    Raises
    ------
    argparse.ArgumentTypeError : it is empty.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("no name is given")
    return text


def a_count(text: str) -> int:
    """An argument that is a whole number from 1 on.

    Raises
    ------
    argparse.ArgumentTypeError : it is none.
    """
    if not text.isascii() or not text.isdigit() or not int(text[:9]):
        raise argparse.ArgumentTypeError("a whole number from 1 on, please")
    return int(text[:9])


def a_folder(text: str) -> Path:
    """An argument that names a folder to write to. There is no folder "-", since that is standard output.

    Raises
    ------
    argparse.ArgumentTypeError : it names no folder.
    """
    if a_path(text) == STDOUT:
        raise argparse.ArgumentTypeError("standard output is no folder")
    return Path(text)


def one_to_stdout(paths: Sequence[Path | None]) -> bool:
    """Whether one of these goes to standard output. Nothing else may be printed then.

    Raises
    ------
    SettingsError : more than one does.
    """
    count = sum(path == STDOUT for path in paths)
    if count > 1:
        raise SettingsError("Only one report can go to standard output; name a file for the other.")
    return count == 1


def resolved(path: Path) -> Path:
    """The path without links and without "..".

    Raises
    ------
    OSError : its links lead in a circle.
    """
    try:
        return path.resolve()
    except RuntimeError as error:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from error


def write(path: Path, text: str) -> None:
    """Write a text to a file, whose folder is made if it is missing, or to standard output.

    Raises
    ------
    OSError : it cannot be written; the error names the file.
    SettingsError : standard output is closed.
    """
    if path == STDOUT:
        _stdout().exactly(text)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with named(path):
        path.write_text(text, encoding="utf-8")


@contextmanager
def lines_to(path: Path) -> Iterator[Callable[[str], None]]:
    """A function that appends one line to a file, or prints it. The line is there when the function returns.

    Raises
    ------
    OSError : it cannot be opened, or not be written to the end; the error names the file.
    SettingsError : standard output is closed.
    """
    out: TextIO | Shown = _stdout() if path == STDOUT else path.open("a", encoding="utf-8")

    def put(line: str) -> None:
        with named(path):
            out.write(line + "\n")
            out.flush()

    try:
        yield put
    finally:
        if not isinstance(out, Shown):
            with named(path):
                out.close()


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Let an error of writing name its file. A full disk is found by writing, which does not know the name."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _stdout() -> Shown:
    if sys.stdout is None:
        raise SettingsError('Standard output is closed; name a file instead of "-".')
    return sys.stdout if isinstance(sys.stdout, Shown) else Shown(sys.stdout, needed=True)
