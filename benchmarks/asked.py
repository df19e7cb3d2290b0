"""The packs that a benchmark is asked to go through."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from ti_core.reference.pack import pack_names


def packs(description: str | None, arguments: Iterable[str] | None) -> list[str]:
    """The names after ``--pack``, or those of all bundled packs.

    Parameters
    ----------
    description : of the benchmark, for ``--help``.
    arguments : of the command line; None for the process's own.
    """
    options = argparse.ArgumentParser(description=description)
    options.add_argument(
        "--pack", action="append", help="may be given several times; by default all bundled packs"
    )
    found: list[str] | None = options.parse_args(None if arguments is None else list(arguments)).pack
    return found or pack_names()
