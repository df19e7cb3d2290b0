"""STRIP: detects a trigger in an input by the low entropy of the predictions for superimposed images.

Source: Y. Gao, C. Xu, D. Wang, S. Chen, D. Ranasinghe, S. Nepal, "STRIP: a defence against trojan attacks on deep
neural networks", ACSAC 2019 (arXiv 1902.06531). An input is superimposed with N clean images. The predictions for a
clean input vary (high entropy). The predictions for an input with a trigger stay at the target class (low entropy). An
input is rejected if its entropy is below the detection boundary, which is set by an accepted false rejection rate.
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
    """Superimpose two sets of images ``N x C x H x W`` in [0, 1]. The result lies in [0, 1].

    Parameters
    ----------
    form : "sum", as in the paper, clipped at 1; or "average", the mean of both.

    Raises
    ------
    SettingsError : the form is unknown.
    """
    if form not in FORMS:
        raise SettingsError(f"Images are superimposed by {' or '.join(FORMS)}, not by {form!r}.")
    both = images + overlays
    mixed: torch.Tensor = both.clamp(max=1.0) if form == "sum" else both / 2
    return mixed


def entropy(probabilities: torch.Tensor) -> torch.Tensor:
    """Shannon entropy in bits of each row of ``N x K``: 0 for one certain class, ``log2 K`` for equal probabilities.

    ``H = - sum_i y_i log2 y_i``.
    """
    p = probabilities.double()
    bits: torch.Tensor = -torch.special.xlogy(p, p).sum(dim=1) / float(np.log(2))
    return bits


def draw_overlays(own: Sequence[int], pool: int, count: int, seed: int = 0) -> NDArray[np.intp]:
    """Draw ``count`` other images of the pool for each image: indices ``M x count``, without repetition in a row.

    An image always gets the same ones, so that its entropy with and without a trigger can be compared.

    Parameters
    ----------
    own : the index of each image in the pool.
    pool : number of images in the pool.

    Raises
    ------
    SettingsError : the pool has fewer than ``count`` other images, or ``count`` is below 1.
    """
    if not 1 <= count < pool:
        raise SettingsError(
            f"Of {pool} clean images between 1 and {max(1, pool - 1)} others can be superimposed, not {count}."
        )
    drawn = [np.random.default_rng([seed, i]).permutation(pool - 1)[:count] for i in own]
    # Indices from the image's own on are raised by one, so that its own is left out.
    return np.array([d + (d >= i) for d, i in zip(drawn, own, strict=True)], dtype=np.intp)


@torch.no_grad()
def mean_entropy(
    scores: nn.Module,
    images: torch.Tensor,
    pool: torch.Tensor,
    overlays: NDArray[np.intp],
    form: Form = "sum",
) -> NDArray[np.float64]:
    """Mean entropy ``M`` in bits of each image's predictions over the images superimposed on it.

    Parameters
    ----------
    scores : maps images in [0, 1] to class scores; their softmax is the prediction.
    images : ``M x C x H x W``.
    pool : the clean images.
    overlays : indices ``M x N`` into the pool.
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
    """The detection boundary in bits. Inputs with an entropy below it are rejected.

    As in the paper, the entropies of clean inputs are assumed to be normally distributed. The boundary is the
    percentile of this distribution at the false rejection rate. If it is below 0, no input is rejected.

    Parameters
    ----------
    clean : entropies of clean images, at least two.
    false_rejections : accepted share of rejected clean inputs, between 0 and 0.5.

    Raises
    ------
    SettingsError : the rate is outside this range, or there are fewer than two images.
    """
    if not 0 < false_rejections <= 0.5:
        raise SettingsError(f"The false rejection rate lies between 0 and 0.5, not at {false_rejections:g}.")
    if len(clean) < 2:
        raise SettingsError("The boundary needs the entropies of at least two clean images.")
    spread = float(np.std(clean))
    middle = float(np.mean(clean))
    return middle + spread * NormalDist().inv_cdf(false_rejections)
