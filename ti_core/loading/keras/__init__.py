"""Keras files as PyTorch networks: the configuration is data, and nothing in the file is ever run.

A file passes through :mod:`container` (the archive, :mod:`hdf5`), :mod:`audit` (code in the configuration),
:mod:`graph` (which layer is called with what), :mod:`weights` (which array belongs to which layer) and
:mod:`network` (the ``nn.Module``). :mod:`load` puts them together. :mod:`layers` holds the layers that are known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ti_core.loading.model_file import ModelFile
    from ti_core.reconstruction.model import Model

__all__ = ["open_keras"]


def open_keras(file: ModelFile) -> Model:
    """Open an image classifier that Keras 2 or 3 saved, as ``.h5`` or ``.keras``.

    Returns
    -------
    The network from ``N x C x H x W`` to ``N x K``. A softmax at its end is left out.

    Raises
    ------
    RefusedFileError : the file holds code, or sizes beyond the limits, or something that Keras never writes.
    ModelFileError : it is damaged, no image classifier, or holds a layer that is not known.
    """
    from ti_core.loading.keras.load import open_model

    return open_model(file)
