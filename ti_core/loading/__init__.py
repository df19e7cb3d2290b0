"""Safe opening of model files: nothing in a file is ever run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ti_core.loading.digest import sha256_of
from ti_core.loading.file_report import FileReport, describe_file
from ti_core.loading.model_file import read_model_file

if TYPE_CHECKING:
    from ti_core.reconstruction.model import Model


def load_model(
    path: str | Path,
    *,
    architecture: str | None = None,
    companions: Sequence[str | Path] = (),
    sketch: str | None = None,
) -> Model:
    """Open a model file without running anything that is in it.

    Parameters
    ----------
    path : a safetensors file, a torch file of any version (state dict, checkpoint or whole module), an ONNX file,
        a Keras model (``.h5`` or ``.keras``), or a model folder as hubs hand it out, also in a zip archive.
        The format is recognised by the content.
    architecture : registered name that a bare state dict must fit; without it every architecture is tried.
    companions : the files with an ONNX graph's weights, if they do not lie beside the graph.
    sketch : text that names the layers of a state dict's network (:mod:`ti_core.reconstruction.grammar`).

    Returns
    -------
    Model : the network (float32, frozen, in evaluation mode) and what the file states about it.

    Raises
    ------
    RefusedFileError : the file could run code, or exceeds the limits.
    UnknownArchitectureError : a bare state dict that fits no registered architecture.
    SketchError : the sketch cannot be read, or does not fit the file.
    ModelFileError : the file is damaged, in no supported format, or holds NaN.
    """
    from ti_core.loading.opening import open_model

    return open_model(
        read_model_file(Path(path)), architecture, [Path(other) for other in companions], sketch
    )


__all__ = ["FileReport", "describe_file", "load_model", "sha256_of"]
