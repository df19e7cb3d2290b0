"""Arguments of ``data``."""

from __future__ import annotations

from typing import Any

from ti_core.cli.output import a_name, a_path

RATE = 0.05
"""Share of a class's images that may be poisoned, by default."""
DESCRIPTION = """\
Look for poisoned images among those that a model was trained on, class by class: Activation Clustering and Spectral
Signatures. The images need the labels of the training. A confined process opens both files."""
EPILOG = """\
examples:
  trojaninterpret data model.pt training_images/
  trojaninterpret data model.safetensors training.npz --json found.json

exit codes: 0 no poison found, 1 a class with poison, 2 error"""


def add_data_arguments(commands: Any) -> None:
    """Add ``data`` to the sub-commands of the command line."""
    data = commands.add_parser(
        "data", help="look for poison in training images", description=DESCRIPTION, epilog=EPILOG
    )
    data.add_argument("model", type=a_path, metavar="MODEL", help="the model that was trained on the images")
    data.add_argument(
        "images",
        type=a_path,
        metavar="IMAGES",
        help="50 or more of its training images with their labels: a folder for each class, a zip archive of such"
        " folders, or an .npz with images and labels",
    )
    data.add_argument(
        "--rate",
        type=float,
        default=RATE,
        metavar="SHARE",
        help="share of a class's images that may be poisoned; Spectral Signatures names 1.5 times as many"
        f" (default: {RATE:g})",
    )
    data.add_argument(
        "--json", type=a_path, metavar="FILE", help="write everything that was found (-: to standard output)"
    )
    data.add_argument(
        "--architecture",
        type=a_name,
        metavar="NAME_OR_SKETCH",
        help="what a bare state dict is of: a registered name, a file with a sketch, or the sketch itself",
    )
    data.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="what is declared of the model, and the seed; may be repeated",
    )
    data.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    data.add_argument("--memory", type=float, metavar="GB", help="memory that opening and computing may use")
    data.add_argument("--minutes", type=float, metavar="N", help="how long it may take (default: 120)")
