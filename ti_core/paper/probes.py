"""The probe images: Algorithm 1, lines 3 to 8, of the TrojanInterpret paper."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ti_core.paper.actmax import maximise
from ti_core.paper.triggers import TriggerSpec, draw_blend, draw_patch
from ti_core.settings import Settings

ROWS = ("clean", "maximised", "minimised")


@dataclass(frozen=True)
class Probes:
    """The probe images, which every model is shown.

    Parameters
    ----------
    kinds : the trigger kind of each group; "none" is a group without triggers.
    images : ``G x 3N x C x H x W`` in [0, 1]: G groups of the same 3N images (N clean, N maximised, N minimised),
        each image under a random trigger of the group's kind.
    stack : the 3N images without triggers.
    triggers : for each group, the trigger on each image (None in the group "none").
    """

    kinds: tuple[str, ...]
    images: torch.Tensor
    stack: torch.Tensor
    triggers: tuple[tuple[TriggerSpec | None, ...], ...]

    @property
    def flat(self) -> torch.Tensor:
        """All probes as one batch, ``G*3N x C x H x W``."""
        return self.images.flatten(0, 1)

    @property
    def digest(self) -> str:
        """SHA-256 of the images. Two inspections share evidence only if all pixels are equal."""
        return hashlib.sha256(self.images.detach().cpu().contiguous().numpy().tobytes()).hexdigest()


def choose_images(
    images: torch.Tensor, labels: torch.Tensor, settings: Settings
) -> tuple[torch.Tensor, torch.Tensor]:
    """Algorithm 1, line 3: N clean images drawn from the pack's without replacement; all if there are fewer."""
    rng = np.random.default_rng([settings.seed, 1])
    chosen = torch.from_numpy(rng.permutation(len(images))[: settings.images])
    return images[chosen], labels[chosen]


def make_probes(
    network: nn.Module,
    images: torch.Tensor,
    settings: Settings,
    progress: Callable[[float], None] = lambda share: None,
) -> Probes:
    """Algorithm 1, lines 4 to 8: maximised and minimised copies of N images, stacked to 3N, under random triggers.

    Parameters
    ----------
    network : the trojaned reference model (or the suspect) that the copies are made with; class scores ``N x K``.
        Each image is maximised and minimised for the class that this network sees in it.
    images : the N clean images, ``N x C x H x W`` in [0, 1].
    progress : is told the share that is done.
    """
    with torch.no_grad():
        classes = network(images).argmax(1)
    options = (settings.actmax_iterations, settings.actmax_step, settings.actmax_lambda)
    maximised = maximise(
        network, images, classes, *options, progress=lambda share: progress(0.5 * share)
    ).images
    minimised = maximise(
        network, images, classes, *options, inverse=True, progress=lambda share: progress(0.5 + 0.5 * share)
    ).images
    stack = torch.cat([images, maximised, minimised])
    groups = [_put_triggers(stack, kind, settings) for kind in settings.trigger_kinds]
    return Probes(
        kinds=settings.trigger_kinds,
        images=torch.stack([g[0] for g in groups]),
        stack=stack,
        triggers=tuple(g[1] for g in groups),
    )


def _put_triggers(
    stack: torch.Tensor, kind: str, settings: Settings
) -> tuple[torch.Tensor, tuple[TriggerSpec | None, ...]]:
    if kind == "none":
        return stack, (None,) * len(stack)
    rng = np.random.default_rng([settings.seed, 2 if kind == "patch" else 3])
    shape = (int(stack.shape[1]), int(stack.shape[2]), int(stack.shape[3]))
    largest = min(settings.patch_size, *shape[1:])
    specs = tuple(
        draw_patch(rng, shape, (min(3, largest), largest))
        if kind == "patch"
        else draw_blend(rng, settings.blend_ratio)
        for _ in range(len(stack))
    )
    stamped = [spec.render(shape).stamp(image[None]) for spec, image in zip(specs, stack, strict=True)]
    return torch.cat(stamped), specs
