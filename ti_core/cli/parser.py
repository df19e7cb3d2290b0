"""The whole command line, as argparse knows it."""

from __future__ import annotations

import argparse
from pathlib import Path

from ti_core.cli.pack_arguments import add_pack_commands
from ti_core.cli.report_arguments import add_report_arguments
from ti_core.version import __version__


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="trojaninterpret", description="Say, with evidence, whether an image classifier is backdoored."
    )
    top.add_argument("--version", action="version", version=f"trojaninterpret {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    inspect = commands.add_parser("inspect", help="inspect one model")
    inspect.add_argument("model", type=Path, metavar="MODEL")
    inspect.add_argument(
        "--images",
        type=Path,
        metavar="PATH",
        help="50 or more clean images of your own (a folder, a zip archive or an .npz), for a weaker verdict where no"
        " reference pack fits",
    )
    inspect.add_argument("--json", type=Path, metavar="FILE", help="write the report as JSON")
    inspect.add_argument("--html", type=Path, metavar="FILE", help="write the report as one HTML page")
    inspect.add_argument(
        "--architecture", metavar="NAME", help="what a bare state dict is of (default: every one is tried)"
    )
    inspect.add_argument(
        "--file-only", action="store_true", help="describe the file without opening it as a model"
    )
    _common(inspect)

    scan = commands.add_parser("scan", help="inspect many models, one JSON report a line")
    scan.add_argument("paths", type=Path, nargs="+", metavar="FOLDER_OR_FILE")
    scan.add_argument(
        "--jsonl",
        type=Path,
        metavar="FILE",
        help="append the reports here instead of printing them, and pass over files that are in it already",
    )
    scan.add_argument("--jobs", type=int, default=1, metavar="N", help="models inspected at once")
    scan.add_argument("--engine", choices=("local", "ray"), default="local", help="where they are inspected")
    _common(scan)

    add_pack_commands(commands)
    add_report_arguments(commands)
    return top


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--pack", metavar="NAME", help="reference pack (default: chosen from the model)")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="a setting; may be repeated",
    )
    command.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    command.add_argument(
        "--memory", type=float, metavar="GB", help="memory that opening and computing may use (each process)"
    )
    command.add_argument(
        "--minutes", type=float, metavar="N", help="how long one model may take (default: 120)"
    )
    command.add_argument("--no-cache", action="store_true", help="neither read nor write the cache")
