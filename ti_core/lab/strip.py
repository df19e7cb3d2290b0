"""STRIP: a trigger noticed while the model runs, by how little other images disturb its answer.

Source: Y. Gao, C. Xu, D. Wang, S. Chen, D. Ranasinghe, S. Nepal, "STRIP: a defence against trojan attacks on deep
neural networks", ACSAC 2019 (arXiv 1902.06531). An input is superimposed with N clean images; a
clean input's answers then scatter (high entropy), those of an input that carries a trigger stay with the attacker's
class (low entropy). Below a boundary, set by the false rejection rate that is put up with, the input is rejected.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ti_core.errors import SettingsError

Form = Literal["sum", "average"]
FORMS: tuple[Form, ...] = get_args(Form)
BATCH = 512


def superimpose(images: torch.Tensor, overlays: torch.Tensor, form: Form = "sum") -> torch.Tensor:
    """Two sets of images ``N x C x H x W`` in [0, 1] laid over each other, in [0, 1] again.

    Parameters
    ----------
    form : "sum", as in the paper, held at 1 where both are bright; "average", which keeps half of each.

    Raises
    ------
    SettingsError : the form is neither.
    """
    if form not in FORMS:
        raise SettingsError(f"Images are superimposed by {' or '.join(FORMS)}, not by {form!r}.")
    both = images + overlays
    mixed: torch.Tensor = both.clamp(max=1.0) if form == "sum" else both / 2
    return mixed


def entropy(probabilities: torch.Tensor) -> torch.Tensor:
    """Shannon entropy in bits of each row of ``N x K``: 0 if one class has all, ``log2 K`` if all have the same.

    ``H = - sum_i y_i log2 y_i``.
    """
    p = probabilities.double()
    bits: torch.Tensor = -torch.special.xlogy(p, p).sum(dim=1) / float(np.log(2))
    return bits


def draw_overlays(own: Sequence[int], pool: int, count: int, seed: int = 0) -> NDArray[np.intp]:
    """For each image of a pool, ``count`` others of it: ``M x count`` indices, none twice and never the image itself.

    An image always gets the same ones, so that it can be looked at with and without a trigger.

    Parameters
    ----------
    own : each image's own index in the pool of ``pool`` images.

    Raises
    ------
    SettingsError : the pool has no ``count`` others, or none is asked for.
    """
    if not 1 <= count < pool:
        raise SettingsError(
            f"Of {pool} clean images between 1 and {max(1, pool - 1)} others can be superimposed, not {count}."
        )
    drawn = [np.random.default_rng([seed, i]).permutation(pool - 1)[:count] for i in own]
    # The image's own index is left out by moving those from it on up by one.
    return np.array([d + (d >= i) for d, i in zip(drawn, own, strict=True)], dtype=np.intp)


@torch.no_grad()
def mean_entropy(
    scores: nn.Module,
    images: torch.Tensor,
    pool: torch.Tensor,
    overlays: NDArray[np.intp],
    form: Form = "sum",
) -> NDArray[np.float64]:
    """The entropy in bits of each image's predictions, averaged over the images laid over it: ``M``.

    Parameters
    ----------
    scores : images in [0, 1] to class scores whose softmax is the prediction.
    images : ``M x C x H x W``; ``pool`` : the clean images that ``overlays`` (``M x N``) points into.
    """
    each = overlays.shape[1]
    found = []
    for start in range(0, len(images), max(1, BATCH // each)):
        part = slice(start, start + max(1, BATCH // each))
        over = pool[torch.from_numpy(overlays[part].ravel())]
        under = images[part].repeat_interleave(each, dim=0)
        bits = entropy(scores(superimpose(under, over, form)).softmax(dim=1))
        found.append(bits.view(-1, each).mean(dim=1).cpu().numpy())
    return np.concatenate(found) if found else np.zeros(0)


def boundary(clean: NDArray[np.floating], false_rejections: float) -> float:
    """The detection boundary in bits: inputs below it are rejected.

    As in the paper, clean inputs' entropies are taken as normally distributed, and the boundary is the
    percentile of that distribution at the false rejection rate. It can lie below 0, and nothing is rejected then.

    Parameters
    ----------
    clean : entropies of clean images, at least two.
    false_rejections : share of clean inputs that may be rejected, between 0 and 0.5.

    Raises
    ------
    SettingsError : the rate lies elsewhere, or there are too few images.
    """
    if not 0 < false_rejections <= 0.5:
        raise SettingsError(f"The false rejection rate lies between 0 and 0.5, not at {false_rejections:g}.")
    if len(clean) < 2:
        raise SettingsError("The boundary needs the entropies of at least two clean images.")
    spread = float(np.std(clean))
    middle = float(np.mean(clean))
    return middle + spread * NormalDist().inv_cdf(false_rejections)
