"""Activation maximisation and its inverse: eq. (3) and eq. (4) of the TrojanInterpret paper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class Ascent:
    """The result of activation maximisation.

    ``images`` are the final images, ``N x C x H x W`` in [0, 1]. ``log_probability`` is ``log p(c|x)`` before every
    step and at the end, ``(T + 1) x N``. ``path`` holds images from start to end, if they were asked for.
    """

    images: torch.Tensor
    log_probability: torch.Tensor
    path: tuple[torch.Tensor, ...] = ()


def objective(scores: nn.Module, x: torch.Tensor, classes: torch.Tensor, weight: float) -> torch.Tensor:
    """``log p(c|x) - lambda ||x||^2`` for every image, ``N``: what eq. (3) maximises over x."""
    log_p = F.log_softmax(scores(x), dim=1).gather(1, classes[:, None])[:, 0]
    return log_p - weight * x.flatten(1).pow(2).sum(1)


def maximise(
    scores: nn.Module,
    images: torch.Tensor,
    classes: torch.Tensor,
    iterations: int,
    step: float,
    weight: float,
    inverse: bool = False,
    keep_path: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Ascent:
    """Gradient ascent on eq. (3) from clean images; with ``inverse``, descent on it (eq. 4).

    Parameters
    ----------
    scores : maps ``N x C x H x W`` to class scores ``N x K``.
    images : the start of the ascent, in [0, 1]. They are not changed.
    classes : the class c of every image, ``N``.
    iterations, step, weight : T, the L2 length of one step, and lambda.
    keep_path : number of images of the path to keep, evenly spaced, with both ends.
    progress : is told the share of the iterations that is done.

    Notes
    -----
    Each image's gradient is scaled to length 1 before the step, since ``log p`` saturates on images that the network is
    sure of. The images are kept in [0, 1]. An image whose gradient vanishes does not change.
    """
    sign = -1.0 if inverse else 1.0
    x = images.clone()
    kept_at = {round(i * iterations / max(1, keep_path - 1)) for i in range(keep_path)}
    path, log_p = [], []
    for t in range(iterations + 1):
        if t in kept_at:
            path.append(x.clone())
        x.requires_grad_(t < iterations)
        with torch.set_grad_enabled(t < iterations):
            value = objective(scores, x, classes, weight)
        log_p.append((value + weight * x.flatten(1).pow(2).sum(1)).detach())
        if t == iterations:
            break
        (gradient,) = torch.autograd.grad(value.sum(), x)
        length = gradient.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
        x = (x.detach() + sign * step * torch.nan_to_num(gradient / length)).clamp(0, 1)
        if progress is not None:
            progress((t + 1) / iterations)
    return Ascent(x.detach(), torch.stack(log_p), tuple(path))
