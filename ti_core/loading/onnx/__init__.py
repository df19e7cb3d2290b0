"""ONNX graphs as differentiable PyTorch networks. A graph is data: nothing in the file is ever run.

A file passes through :mod:`container` (bytes, weights beside the graph), :mod:`graph` (operators, inlining,
folding), :mod:`plan` (one shape of image) and :mod:`network` (the ``nn.Module``). :mod:`load` puts them
together. :mod:`registry` maps operators to the functions in :mod:`operators`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ti_core.loading.model_file import read_model_file

if TYPE_CHECKING:
    from ti_core.loading.model_file import ModelFile
    from ti_core.reconstruction.model import Model

__all__ = ["load_onnx", "open_onnx"]


def load_onnx(path: Path, companions: Sequence[Path] = ()) -> Model:
    """Open an ONNX image classifier as a differentiable network.

    Parameters
    ----------
    path : the ``.onnx`` file. If it keeps weights in other files, they must lie in the same folder or be given
        in ``companions``.
    companions : weight files. Each must have the name that the graph gives it. If the graph names one file and
        one is given, its name may differ.

    Returns
    -------
    The network from ``N x C x H x W`` to ``N x K``, for any N, whatever batch size it was exported with.

    Raises
    ------
    RefusedFileError : the file holds loops, custom operators or sizes beyond the limits, or names a weight
        file outside its folder.
    ModelFileError : the file is no ONNX file or no image classifier, or a part of it is missing.
    """
    return open_onnx(read_model_file(Path(path)), companions)


def open_onnx(file: ModelFile, companions: Sequence[Path] = ()) -> Model:
    """Open a file that has already been read. Otherwise the same as :func:`load_onnx`."""
    from ti_core.loading.onnx.load import open_model

    return open_model(file, companions)
