"""Unnormalised saliency of the predicted class with respect to the pixels: sec. 3.2 of the paper.

The maps are bit-equal to those of ``captum.attr.Saliency``, which a test compares. Captum itself serves the other
methods only (:mod:`ti_core.inspection.attribution`): importing it takes a sixth of an inspection on the command line.
"""

from __future__ import annotations

import torch
from torch import nn

BATCH_VALUES, SMALLEST_BATCH = 2**20, 64
"""Number of values in a batch of images, and the minimum number of images in a batch."""


def saliency_maps(scores: nn.Module, images: torch.Tensor, batch_size: int | None = None) -> torch.Tensor:
    """``max over channels of |d S_c / d x|`` with c the predicted class; **not normalised**.

    Parameters
    ----------
    scores : maps ``N x C x H x W`` to class scores ``N x K``.
    images : ``N x C x H x W`` in [0, 1]; left as they are.
    batch_size : images in a batch; by default enough to outweigh the overhead of a call on a small network.

    Returns
    -------
    Maps ``N x H x W``, at least 0, in score units per unit of pixel value.

    References
    ----------
    K. Simonyan, A. Vedaldi, A. Zisserman, "Deep inside convolutional networks", 2014.
    """
    return saliency_and_classes(scores, images, batch_size)[0]


def saliency_and_classes(
    scores: nn.Module, images: torch.Tensor, batch_size: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """:func:`saliency_maps`, and the predicted classes ``N`` whose saliency they are, from the same forward pass."""
    maps, classes = [], []
    for batch in images.split(batch_size or max(SMALLEST_BATCH, BATCH_VALUES // max(1, images[:1].numel()))):
        x = batch.detach().requires_grad_(True)
        with torch.enable_grad():
            # The largest score is the predicted class's, so one pass predicts and is differentiated. No image's score
            # depends on another image, so the gradient of the sum holds each image's own gradient.
            best = scores(x).max(dim=1)
            (gradient,) = torch.autograd.grad(best.values.sum(), x)
        gradient = gradient.abs_()
        maps.append(gradient[:, 0] if gradient.shape[1] == 1 else gradient.amax(dim=1))
        classes.append(best.indices)
    return torch.cat(maps), torch.cat(classes)
