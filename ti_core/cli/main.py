"""The command line: ``python -m ti_core``, also installed as ``trojaninterpret``.

Exit codes: 0 clean, 1 backdoored, 2 error, 3 inconclusive; of ``report verify`` 0 for a report that holds, 1 for one
that does not, 3 for one that could not be compared in full. Nothing slow is imported before a command is known to be
well formed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ti_core.cli.options import ERROR
from ti_core.cli.parser import parser
from ti_core.errors import TrojanInterpretError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Expected errors become one sentence on stderr."""
    options = parser().parse_args(arguments)
    try:
        return _run(options)
    except TrojanInterpretError as error:
        print(f"trojaninterpret: {error}", file=sys.stderr)
    except OSError as error:
        print(f"trojaninterpret: {error.filename or 'file'}: {error.strerror or error}.", file=sys.stderr)
    except KeyboardInterrupt:
        print("trojaninterpret: stopped.", file=sys.stderr)
    return ERROR


def _run(options: argparse.Namespace) -> int:
    """Import the one command that was asked for, and run it."""
    if options.command == "inspect":
        from ti_core.cli.inspect import inspect_one

        return inspect_one(options)
    if options.command == "scan":
        from ti_core.cli.scan import scan

        return scan(options)
    if options.command == "pack":
        from ti_core.cli.pack import pack

        return pack(options)
    if options.command == "zoo":
        from ti_core.cli.zoo import zoo

        return zoo(options)
    if options.command == "evaluate":
        from ti_core.cli.evaluate import evaluate_pack

        return evaluate_pack(options)
    from ti_core.cli.report import verify

    return verify(options)
