"""Arguments of ``report``."""

from __future__ import annotations

from typing import Any

from ti_core.cli.output import STDOUT, a_name, a_path


def add_report_arguments(commands: Any) -> None:
    """Add ``report`` to the sub-commands of the command line."""
    verbs = commands.add_parser("report", help="check a report").add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    verify = verbs.add_parser(
        "verify", help="whether a report's digests hold, and whether it says what its JSON says"
    )
    verify.add_argument("file", type=a_path, metavar="FILE", help="the HTML page, or the JSON")
    verify.add_argument(
        "--model",
        type=a_path,
        action="append",
        default=[],
        metavar="FILE",
        help="the model file; repeated, an ONNX graph's weight files after it in the order of the graph",
    )
    verify.add_argument(
        "--again",
        action="store_true",
        help="inspect the model of --model again, with the report's settings, and compare the verdicts",
    )
    verify.add_argument("--minutes", type=float, metavar="N", help="how long --again may take (default: 120)")
    verify.add_argument("--memory", type=float, metavar="GB", help="memory that --again may use")
    verify.add_argument(
        "--pack",
        type=a_name,
        metavar="NAME",
        help="the reference pack, a bundled one or a folder (default: the bundled one that the report names)",
    )
    verify.add_argument(
        "--images", type=a_path, metavar="FOLDER_OR_NPZ", help="the clean images that took a pack's place"
    )
    verify.add_argument(
        "--attestation",
        type=a_path,
        metavar="FILE",
        help="an in-toto statement, or several, one a line: whether one says what the report says",
    )
    verify.add_argument(
        "--digest",
        metavar="SHA256",
        help="what the digest of the report's JSON should be, from a printed page",
    )
    verify.add_argument(
        "--json", type=a_path, nargs="?", const=STDOUT, metavar="FILE", help="write the result as JSON"
    )
