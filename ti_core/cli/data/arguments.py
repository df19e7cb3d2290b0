"""Arguments of ``data``."""

from __future__ import annotations

from typing import Any

from ti_core.cli.output import a_path
from ti_core.cli.shell.model_arguments import (
    add_architecture,
    add_device,
    add_json,
    add_limits,
    add_settings,
)

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
    add_json(data, "everything that was found")
    add_architecture(data)
    add_settings(data, "what is declared of the model, and the seed")
    add_device(data)
    add_limits(data)
