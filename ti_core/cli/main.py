"""The command line: ``python -m ti_core``, also installed as ``trojaninterpret``.

Exit codes: 0 clean, 1 backdoored, 2 error, 3 inconclusive, 130 after Ctrl-C. ``report verify`` returns 0 for a correct
report, 1 for a wrong one, and 3 for one that could not be compared in full. Only a finding returns 1. Every error is
caught here and returns 2. Slow modules are imported only after the command has proved well formed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress

from ti_core.cli.parser import parser
from ti_core.cli.shell.completion import complete
from ti_core.cli.terminal import complain_of, shown_output

ERROR, STOPPED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code. Every error becomes one sentence on stderr.

    Raises
    ------
    SystemExit : the arguments are not well formed (code 2), or they request the help or the version (code 0).
    """
    complete(parser)
    with shown_output():
        try:
            options = parser().parse_args(arguments)
        except SystemExit as stop:
            raise SystemExit(_finished(0 if not stop.code else ERROR)) from None
        except BaseException as error:
            return _failed(error)
        try:
            code = _run(options)
        except BaseException as error:
            return _failed(error)
        return _finished(code)


def _finished(code: int) -> int:
    """The exit code, or that of an error if the output does not arrive."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BaseException as error:
        return _failed(error)
    return code


def _failed(error: BaseException) -> int:
    """The exit code of an error, after its sentence. Output that cannot be written is given up."""
    with suppress(Exception):
        complain_of(error)
    with suppress(Exception):
        sys.stdout.flush()
    return STOPPED if isinstance(error, KeyboardInterrupt) else ERROR


def _run(options: argparse.Namespace) -> int:
    """Import the requested command and run it."""
    if options.command == "inspect":
        from ti_core.cli.inspect import inspect_one

        return inspect_one(options)
    if options.command == "scan":
        from ti_core.cli.scan import scan

        return scan(options)
    if options.command == "opinions":
        from ti_core.cli.opinions.command import opinions

        return opinions(options)
    if options.command == "data":
        from ti_core.cli.data.command import examine

        return examine(options)
    if options.command == "changes":
        from ti_core.cli.changes.command import compare

        return compare(options)
    if options.command == "pack":
        from ti_core.cli.pack import pack

        return pack(options)
    if options.command == "zoo":
        from ti_core.cli.zoo import zoo

        return zoo(options)
    if options.command == "evaluate":
        from ti_core.cli.evaluate import evaluate_pack

        return evaluate_pack(options)
    if options.command == "app":
        from ti_core.cli.shell.dashboard import open_dashboard

        return open_dashboard(options)
    if options.command == "completion":
        from ti_core.cli.shell.completion import shell_code

        print(shell_code(options.shell), end="")
        return 0
    from ti_core.cli.report import verify

    return verify(options)
