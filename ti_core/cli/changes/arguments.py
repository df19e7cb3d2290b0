"""Arguments of ``changes``."""

from __future__ import annotations

from typing import Any

from ti_core.cli.output import a_path
from ti_core.cli.shell.model_arguments import add_json, add_limits

DESCRIPTION = """\
Say what changed in the weights between two versions of a model, tensor by tensor. A confined process opens both files.
It is no verdict: inspect the new version for that."""
EPILOG = """\
examples:
  trojaninterpret changes version1.safetensors version2.safetensors
  trojaninterpret changes old.pt new.pt --json changes.json

exit codes: 0 the files were compared, 2 error"""


def add_changes_arguments(commands: Any) -> None:
    """Add ``changes`` to the sub-commands of the command line."""
    changes = commands.add_parser(
        "changes",
        help="what changed in the weights between two versions of a model",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    changes.add_argument("old", type=a_path, metavar="OLD", help="the version before")
    changes.add_argument("new", type=a_path, metavar="NEW", help="the version after")
    add_json(changes, "every tensor's change")
    add_limits(changes)
