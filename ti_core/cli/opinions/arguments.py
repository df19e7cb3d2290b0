"""Arguments of ``opinions``."""

from __future__ import annotations

from typing import Any

from ti_core.cli.output import a_name, a_path


def add_opinions_arguments(commands: Any) -> None:
    """Add the command to the sub-commands of the command line."""
    command = commands.add_parser(
        "opinions",
        help="ask methods of other publications about one model",
        description="Each method gives its own statistic and decision. They take no part in the verdict of inspect.",
    )
    command.add_argument("model", type=a_path, metavar="MODEL")
    command.add_argument(
        "--pack", type=a_name, metavar="NAME", help="reference pack (default: chosen from the model)"
    )
    command.add_argument(
        "--images",
        type=a_path,
        metavar="PATH",
        help="50 or more clean images of your own instead of a pack's; methods that need a pack cannot run then",
    )
    command.add_argument(
        "--methods",
        type=a_name,
        metavar="NAME,...",
        help="the methods to ask, or all (default: those that take a few seconds and need not be learnt first)",
    )
    command.add_argument(
        "--json", type=a_path, metavar="FILE", help="write the opinions as JSON (-: to standard output)"
    )
    command.add_argument(
        "--html",
        type=a_path,
        metavar="FILE",
        help="write the opinions as one HTML page (-: to standard output)",
    )
    command.add_argument(
        "--architecture", type=a_name, metavar="NAME_OR_SKETCH", help="as for inspect, of a bare state dict"
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="how the model takes its images, as for inspect (normalisation, channel_order, output, input_size)",
    )
    command.add_argument("--memory", type=float, metavar="GB", help="memory that it may use")
    command.add_argument("--minutes", type=float, metavar="N", help="how long it may take (default: 120)")
