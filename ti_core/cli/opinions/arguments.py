"""Arguments of ``opinions``."""

from __future__ import annotations

from typing import Any

from ti_core.cli.output import a_name, a_path
from ti_core.cli.shell.model_arguments import (
    add_architecture,
    add_html,
    add_images,
    add_json,
    add_limits,
    add_pack,
    add_settings,
)


def add_opinions_arguments(commands: Any) -> None:
    """Add the command to the sub-commands of the command line."""
    command = commands.add_parser(
        "opinions",
        help="ask methods of other publications about one model",
        description="Each method gives its own statistic and decision. They take no part in the verdict of inspect.",
    )
    command.add_argument("model", type=a_path, metavar="MODEL")
    add_pack(command)
    add_images(command, "instead of a pack's; methods that need a pack cannot run then")
    command.add_argument(
        "--methods",
        type=a_name,
        metavar="NAME,...",
        help="the methods to ask, or all (default: those that take a few seconds and need not be learnt first)",
    )
    add_json(command, "the opinions")
    add_html(command, "the opinions")
    add_architecture(command)
    add_settings(
        command, "how the model takes its images (normalisation, channel_order, output, input_size, variant)"
    )
    add_limits(command)
