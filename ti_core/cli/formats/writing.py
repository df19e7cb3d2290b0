"""The documents that a command writes beside its own output."""

from __future__ import annotations

import argparse
from pathlib import Path

from ti_core.cli.formats.arguments import HELP
from ti_core.cli.output import write
from ti_core.results.formats.documents import FORMATS
from ti_core.results.formats.outcome import Outcome


def named_files(options: argparse.Namespace) -> dict[str, Path]:
    """By format, the file that the command line names for it."""
    return {name: path for name in HELP if (path := getattr(options, name)) is not None}


class Documents:
    """The documents of one command."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._documents = [(path, FORMATS[name]()) for name, path in named_files(options).items()]

    def __bool__(self) -> bool:
        return bool(self._documents)

    def add(self, outcome: Outcome) -> None:
        """One more file, in every document."""
        for _, document in self._documents:
            document.add(outcome)

    def write(self) -> None:
        """Write every document.

        Raises
        ------
        OSError : one cannot be written; the error names the file.
        """
        for path, document in self._documents:
            write(path, document.text())
