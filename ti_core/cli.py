"""The command line: ``python -m ti_core``, also installed as ``trojaninterpret``.

Exit codes: 0 clean, 1 backdoored, 2 error, 3 inconclusive. Nothing slow is imported before a command is known to be
well formed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ti_core import __version__
from ti_core.errors import SettingsError, TrojanInterpretError

CLEAN, BACKDOORED, ERROR, INCONCLUSIVE = 0, 1, 2, 3
CODES = {"clean": CLEAN, "backdoored": BACKDOORED, "inconclusive": INCONCLUSIVE}


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
        metavar="FOLDER_OR_NPZ",
        help="50 or more clean images of your own, for a weaker verdict where no reference pack fits",
    )
    inspect.add_argument("--json", type=Path, metavar="FILE", help="write the report as JSON")
    inspect.add_argument("--html", type=Path, metavar="FILE", help="write the report as one HTML page")
    inspect.add_argument(
        "--file-only", action="store_true", help="describe the file without opening it as a model"
    )
    _common(inspect)

    scan = commands.add_parser("scan", help="inspect many models, one JSON report a line")
    scan.add_argument("paths", type=Path, nargs="+", metavar="FOLDER_OR_FILE")
    scan.add_argument(
        "--jsonl", type=Path, metavar="FILE", help="append the reports here instead of printing them"
    )
    scan.add_argument("--jobs", type=int, default=1, metavar="N", help="models inspected at once")
    scan.add_argument("--engine", choices=("local", "ray"), default="local", help="where they are inspected")
    _common(scan)

    pack = commands.add_parser("pack", help="list, show, check or build reference packs")
    verbs = pack.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("list", help="the bundled packs")
    for verb, says in (
        ("info", "what a pack holds"),
        ("verify", "recompute what can be recomputed and compare"),
    ):
        p = verbs.add_parser(verb, help=says)
        p.add_argument("name", metavar="NAME", help="a bundled pack or a folder")
        if verb == "verify":
            p.add_argument(
                "--members", type=int, default=6, metavar="N", help="members to recompute (0: all)"
            )
    build = verbs.add_parser("build", help="build a pack from a trained zoo")
    build.add_argument("--zoo", type=Path, required=True, metavar="FOLDER", help="what zoo train wrote")
    build.add_argument("--data", type=Path, required=True, metavar="FILE", help="the data it was trained on")
    build.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    build.add_argument("--name", metavar="NAME")
    build.add_argument("--size", type=int, metavar="PIXELS", help="side that a folder's images are scaled to")
    build.add_argument("--jobs", type=int, default=-1, metavar="N")
    build.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")

    zoo = commands.add_parser("zoo", help="train reference models")
    zoo_verbs = zoo.add_subparsers(dest="verb", required=True, metavar="VERB")
    samples = zoo_verbs.add_parser("samples", help="train the three demonstration models of a data set")
    samples.add_argument("--data", type=Path, required=True, metavar="FILE")
    samples.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    train = zoo_verbs.add_parser(
        "train", help="train clean and trojaned reference models; a killed run goes on where it stopped"
    )
    train.add_argument("--data", type=Path, required=True, metavar="FILE_OR_FOLDER")
    train.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    train.add_argument("--count", type=int, default=192, metavar="N", help="members, half of them clean")
    train.add_argument("--seed", type=int, default=0, metavar="N")
    train.add_argument("--size", type=int, metavar="PIXELS", help="side that a folder's images are scaled to")
    train.add_argument("--jobs", type=int, default=-1, metavar="N", help="processes (default: one per core)")

    evaluate = commands.add_parser("evaluate", help="Table 1 on members that took no part in fitting")
    evaluate.add_argument("--pack", required=True, metavar="NAME")
    evaluate.add_argument("--json", type=Path, metavar="FILE")
    evaluate.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
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
    command.add_argument("--no-cache", action="store_true", help="neither read nor write the cache")


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
    from ti_core import commands

    run = {
        "inspect": commands.inspect_one,
        "scan": commands.scan,
        "pack": commands.pack,
        "zoo": commands.zoo,
        "evaluate": commands.evaluate_pack,
    }[options.command]
    return run(options)


def pairs(settings: Sequence[str]) -> dict[str, str]:
    """``["bins=20"]`` as a mapping.

    Raises
    ------
    SettingsError : a pair without "=".
    """
    for text in settings:
        if "=" not in text:
            raise SettingsError(f"--set takes KEY=VALUE, not {text!r}.")
    return dict(text.split("=", 1) for text in settings)
