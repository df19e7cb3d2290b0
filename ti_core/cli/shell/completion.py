"""Completion of commands, options, packs and settings by the tabulator key, through argcomplete."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

Completer = Callable[..., list[str]]
SHELLS = ("bash", "zsh", "fish", "powershell")
ASKED = "_ARGCOMPLETE"
"""Environment variable by which a shell asks for completions."""


def add_completion(commands: Any) -> None:
    """Add ``completion`` to the commands."""
    command = commands.add_parser(
        "completion",
        help="print what a shell needs for completion",
        description="Print what a shell needs to complete commands, options, packs and settings.",
        epilog="examples:\n"
        '  eval "$(trojaninterpret completion bash)"     (in ~/.bashrc; for zsh likewise)\n'
        "  trojaninterpret completion fish > ~/.config/fish/completions/trojaninterpret.fish",
    )
    command.add_argument("shell", choices=SHELLS)


def shell_code(shell: str) -> str:
    """What ``completion`` prints."""
    import argcomplete

    return str(argcomplete.shellcode(["trojaninterpret"], shell=shell))


def complete(parser: Callable[[], argparse.ArgumentParser]) -> None:
    """Answer a shell that asks for completions, and end the process. Nothing happens otherwise."""
    if ASKED in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser())


def completes(argument: argparse.Action, completer: Completer) -> None:
    """Let an argument's values be completed."""
    argument.completer = completer  # type: ignore[attr-defined]


def packs(**_: Any) -> list[str]:
    """Names of the bundled packs."""
    from ti_core.reference.pack import pack_names

    return pack_names()


def settings(**_: Any) -> list[str]:
    """Names of the settings, with what separates them from their values."""
    from dataclasses import fields

    from ti_core.settings import Settings

    return [f"{setting.name}=" for setting in fields(Settings)]
