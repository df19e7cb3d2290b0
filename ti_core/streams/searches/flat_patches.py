"""Flat patches: the class that a patch of one colour at one place commands.

The plainest trigger is a sticker of one colour (BadNets, Gu et al., 2017). A gradient search of every pixel seldom
finds it, since the patterns on the way mean less to the network than either end. But only a few dozen colours differ
enough to matter. All of them are tried in every window, without a gradient, for all classes at once.
"""

from __future__ import annotations

import itertools

import torch

from ti_core.streams.base import Array, Progress, silent
from ti_core.streams.passes import Passes
from ti_core.streams.searches.search import for_every_class, stamp
from ti_core.streams.statistics import as_array

LEVELS = {1: (0.0, 0.25, 0.5, 0.75, 1.0), 3: (0.1, 0.5, 0.9)}
"""Values of each channel in [0, 1], by the number of channels. For other numbers all channels are equal."""
TRIED_ON = 16
"""Images that every colour is tried on."""


def colours(channels: int) -> torch.Tensor:
    """The colours that are tried, ``P x C``."""
    if channels not in LEVELS:
        return torch.tensor(LEVELS[1])[:, None].repeat(1, channels)
    return torch.tensor(list(itertools.product(LEVELS[channels], repeat=channels)))


def passes(channels: int, windows: int, tried_on: int = TRIED_ON) -> Passes:
    """The images that :func:`under_colours` sends through the network."""
    return Passes(forward=windows * tried_on * len(colours(channels)))


@torch.no_grad()
def under_colours(
    scores: torch.nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    masks: torch.Tensor,
    progress: Progress = silent,
) -> dict[str, Array]:
    """``flat_margins`` and ``flat_success``, ``K x windows``: margin and flip share under each class's best colour.

    Parameters
    ----------
    images, labels : ``N x C x H x W`` in [0, 1], of which the first few are used.
    masks : of the windows, ``windows x H x W``.
    """
    few, own = images[:TRIED_ON], labels[:TRIED_ON]
    tried = colours(images.shape[1]).to(images.device)[:, :, None, None]
    found = []
    for mask in masks:
        margins, shares = for_every_class(scores, stamp(few, mask[None], tried), own)
        best = margins.argmax(0, keepdim=True)
        found.append(torch.cat([margins.gather(0, best), shares.gather(0, best)]))
        progress(len(found) / len(masks))
    tables = torch.stack(found, dim=2)
    return {"flat_margins": as_array(tables[0]), "flat_success": as_array(tables[1])}
