"""The argument parser of the whole command line."""

from __future__ import annotations

import argparse
from typing import Any

from ti_core.cli.changes.arguments import add_changes_arguments
from ti_core.cli.data.arguments import add_data_arguments
from ti_core.cli.formats.arguments import add_format_arguments
from ti_core.cli.opinions.arguments import add_opinions_arguments
from ti_core.cli.output import a_folder, a_name, a_path
from ti_core.cli.pack_arguments import add_pack_commands
from ti_core.cli.report_arguments import add_report_arguments
from ti_core.cli.shell.completion import add_completion
from ti_core.cli.shell.dashboard import add_app
from ti_core.cli.shell.help import INSPECT, INSPECTS, SCAN, SCANS, TOP, Parser
from ti_core.cli.shell.model_arguments import (
    add_architecture,
    add_device,
    add_html,
    add_images,
    add_json,
    add_limits,
    add_pack,
    add_settings,
)
from ti_core.stream_registry import EFFORTS, STANDARD
from ti_core.version import __version__


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = Parser(
        prog="trojaninterpret",
        description="Say, with evidence, whether an image classifier is backdoored.",
        epilog=TOP,
    )
    top.add_argument("--version", action="version", version=f"trojaninterpret {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_inspect(commands)
    _add_scan(commands)
    add_opinions_arguments(commands)
    add_data_arguments(commands)
    add_changes_arguments(commands)
    add_pack_commands(commands)
    add_report_arguments(commands)
    add_app(commands)
    add_completion(commands)
    return top


def _add_inspect(commands: Any) -> None:
    inspect = commands.add_parser("inspect", help="inspect one model", description=INSPECTS, epilog=INSPECT)
    inspect.add_argument(
        "model",
        type=a_path,
        metavar="MODEL",
        help="a model file, a folder of a model hub, hf://OWNER/NAME@REVISION, or sample:NAME for a bundled sample",
    )
    add_images(inspect, "for a weaker verdict where no reference pack fits")
    add_json(inspect, "the report")
    add_html(inspect, "the report")
    add_architecture(inspect)
    inspect.add_argument(
        "--opinions",
        type=a_name,
        metavar="NAME,...",
        help="ask these methods of other publications too (quick: those of a few seconds; all); the report holds what"
        " they say, apart from the verdict",
    )
    inspect.add_argument(
        "--file-only", action="store_true", help="describe the file without opening it as a model"
    )
    inspect.add_argument(
        "--forecast",
        action="store_true",
        help="say how long each effort takes with this model, without inspecting it",
    )
    inspect.add_argument(
        "--fail-on",
        action="append",
        choices=("backdoored", "inconclusive"),
        help="exit with 0 unless the verdict is this one; may be repeated (default: both)",
    )
    _common(inspect)


def _add_scan(commands: Any) -> None:
    scan = commands.add_parser("scan", help="inspect many models", description=SCANS, epilog=SCAN)
    scan.add_argument("paths", type=a_path, nargs="+", metavar="FOLDER_OR_FILE")
    scan.add_argument(
        "--jsonl",
        type=a_path,
        metavar="FILE",
        help="append the reports here, one line of JSON each, and pass over files that are in it already (-: print"
        " them; default: print them, unless standard output is a terminal)",
    )
    scan.add_argument("--jobs", type=int, default=1, metavar="N", help="models inspected at once")
    scan.add_argument("--engine", choices=("local", "ray"), default="local", help="where they are inspected")
    scan.add_argument(
        "--html", type=a_folder, metavar="FOLDER", help="write an HTML page of each inspected model there"
    )
    scan.add_argument(
        "--fail-on",
        action="append",
        choices=("backdoored", "inconclusive", "error"),
        help="exit with 0 unless a file has this outcome; may be repeated (default: all three)",
    )
    scan.add_argument(
        "--baseline",
        type=a_path,
        metavar="FILE",
        help="the lines of an earlier scan: what it found already does not count for the exit code",
    )
    _common(scan)


def _common(command: Parser) -> None:
    command.lists_settings = True
    command.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        help="print no progress and no text, only errors and what is asked for",
    )
    add_format_arguments(command)
    add_pack(command)
    add_settings(command)
    add_device(command)
    add_limits(command, "how long one model may take; streams for which there is no time are left out")
    command.add_argument(
        "--effort",
        choices=tuple(EFFORTS),
        default=STANDARD,
        help="quick: the streams that tell most in a quarter of the time, or half of it with many classes; standard:"
        " those of the reference pack; thorough: every kind of backdoor, where the pack lacks evidence it is computed",
    )
    command.add_argument("--no-cache", action="store_true", help="neither read nor write the cache")
