"""Arguments that several commands on a model take, each with one meaning."""

from __future__ import annotations

import argparse

from ti_core.cli.output import a_name, a_path
from ti_core.cli.shell.completion import completes, packs, settings


def add_pack(command: argparse.ArgumentParser) -> None:
    pack = command.add_argument(
        "--pack", type=a_name, metavar="NAME", help="reference pack (default: chosen from the model)"
    )
    completes(pack, packs)


def add_images(command: argparse.ArgumentParser, purpose: str) -> None:
    """``--images``; ``purpose`` ends its help."""
    command.add_argument(
        "--images",
        type=a_path,
        metavar="PATH",
        help=f"50 or more clean images of your own (a folder, a zip archive or an .npz), {purpose}",
    )


def add_architecture(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--architecture",
        type=a_name,
        metavar="NAME_OR_SKETCH",
        help="what a bare state dict is of: a registered name, a file with a sketch of the network, or the sketch"
        " itself (default: every registered one is tried, then the network is reconstructed)",
    )


def add_settings(command: argparse.ArgumentParser, which: str = "a setting") -> None:
    setting = command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help=f"{which}; may be repeated",
    )
    completes(setting, settings)


def add_device(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")


def add_limits(command: argparse.ArgumentParser, time: str = "how long it may take") -> None:
    command.add_argument(
        "--memory", type=float, metavar="GB", help="memory that opening and computing may use (each process)"
    )
    command.add_argument("--minutes", type=float, metavar="N", help=f"{time} (default: 120)")


def add_json(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument(
        "--json", type=a_path, metavar="FILE", help=f"write {what} as JSON (-: to standard output)"
    )


def add_html(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument(
        "--html", type=a_path, metavar="FILE", help=f"write {what} as one HTML page (-: to standard output)"
    )
