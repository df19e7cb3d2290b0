"""The argument parser of the whole command line."""

from __future__ import annotations

import argparse
from typing import NoReturn

from ti_core.cli.output import STDOUT, a_name, a_path
from ti_core.cli.pack_arguments import add_pack_commands
from ti_core.cli.report_arguments import add_report_arguments
from ti_core.stream_registry import EFFORTS
from ti_core.text import shown
from ti_core.version import __version__


class Parser(argparse.ArgumentParser):
    """A parser whose errors take one line, whatever line breaks the arguments hold."""

    def error(self, message: str) -> NoReturn:
        super().error(shown(message, 2000))


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = Parser(
        prog="trojaninterpret", description="Say, with evidence, whether an image classifier is backdoored."
    )
    top.add_argument("--version", action="version", version=f"trojaninterpret {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    inspect = commands.add_parser("inspect", help="inspect one model")
    inspect.add_argument("model", type=a_path, metavar="MODEL")
    inspect.add_argument(
        "--images",
        type=a_path,
        metavar="PATH",
        help="50 or more clean images of your own (a folder, a zip archive or an .npz), for a weaker verdict where no"
        " reference pack fits",
    )
    inspect.add_argument(
        "--json", type=a_path, metavar="FILE", help="write the report as JSON (-: to standard output)"
    )
    inspect.add_argument(
        "--html",
        type=a_path,
        metavar="FILE",
        help="write the report as one HTML page (-: to standard output)",
    )
    inspect.add_argument(
        "--architecture",
        type=a_name,
        metavar="NAME_OR_SKETCH",
        help="what a bare state dict is of: a registered name, a file with a sketch of the network, or the sketch"
        " itself (default: every registered one is tried, then the network is reconstructed)",
    )
    inspect.add_argument(
        "--file-only", action="store_true", help="describe the file without opening it as a model"
    )
    inspect.add_argument(
        "--forecast",
        action="store_true",
        help="say how long each effort takes with this model, without inspecting it",
    )
    _common(inspect)

    scan = commands.add_parser("scan", help="inspect many models, one JSON report a line")
    scan.add_argument("paths", type=a_path, nargs="+", metavar="FOLDER_OR_FILE")
    scan.add_argument(
        "--jsonl",
        type=a_path,
        default=STDOUT,
        metavar="FILE",
        help="append the reports here instead of printing them, and pass over files that are in it already"
        " (-: print them)",
    )
    scan.add_argument("--jobs", type=int, default=1, metavar="N", help="models inspected at once")
    scan.add_argument("--engine", choices=("local", "ray"), default="local", help="where they are inspected")
    _common(scan)

    add_pack_commands(commands)
    add_report_arguments(commands)
    return top


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--pack", type=a_name, metavar="NAME", help="reference pack (default: chosen from the model)"
    )
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
        "--minutes",
        type=float,
        metavar="N",
        help="how long one model may take; streams for which there is no time are left out (default: 120)",
    )
    command.add_argument(
        "--effort",
        choices=tuple(EFFORTS),
        default="standard",
        help="quick: the streams that tell most in a quarter of the time, or half of it with many classes",
    )
    command.add_argument("--no-cache", action="store_true", help="neither read nor write the cache")
