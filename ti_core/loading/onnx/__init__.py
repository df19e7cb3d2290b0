"""ONNX graphs as differentiable PyTorch networks; a graph is data, and nothing in the file is ever run.

The way through the package: :mod:`container` (bytes, weights beside the graph) -> :mod:`graph` (operators,
inlining, folding) -> :mod:`plan` (one shape of image) -> :mod:`network` (the ``nn.Module``); :mod:`load` puts
them together. :mod:`registry` maps operators to the functions in :mod:`operators`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ti_core.loading.model import Model

__all__ = ["load_onnx"]


def load_onnx(path: Path, companions: Sequence[Path] = ()) -> Model:
    """Open an ONNX image classifier as a differentiable network.

    Parameters
    ----------
    path : the ``.onnx`` file. Weights that it keeps in other files must lie in the same folder,
    companions : or be given here, under the name that the graph has for them; if it names one file and one is
        given, that is the one, whatever its name.

    Returns
    -------
    The network from ``N x C x H x W`` to ``N x K``, whatever batch size it was exported with.

    Raises
    ------
    RefusedFileError : it holds loops, custom operators, links out of its folder or sizes beyond the limits.
    ModelFileError : it is no ONNX file, a part of it is missing, or it is no image classifier.
    """
    from ti_core.loading.onnx.load import open_model

    return open_model(Path(path), companions)
