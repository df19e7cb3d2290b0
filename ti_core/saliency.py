"""Unnormalised saliency of the predicted class with respect to the pixels: sec. 3.2 of the paper, by captum."""

from __future__ import annotations

import torch
from torch import nn


def saliency_maps(scores: nn.Module, images: torch.Tensor, batch_size: int = 256) -> torch.Tensor:
    """``max over channels of |d S_c / d x|`` with c the predicted class; **not normalised**.

    Parameters
    ----------
    scores : maps ``N x C x H x W`` to class scores ``N x K``.
    images : ``N x C x H x W`` in [0, 1]; left as they are.

    Returns
    -------
    Maps ``N x H x W``, at least 0, in score units per unit of pixel value.

    References
    ----------
    K. Simonyan, A. Vedaldi, A. Zisserman, "Deep inside convolutional networks", 2014.
    """
    from captum.attr import Saliency

    # The largest score is the predicted class's, so that one forward pass both predicts and is differentiated.
    method = Saliency(lambda x: scores(x).amax(dim=1))
    maps = [
        method.attribute(batch.detach().clone().requires_grad_(True), abs=True).amax(dim=1).detach()
        for batch in images.split(batch_size)
    ]
    return torch.cat(maps)
