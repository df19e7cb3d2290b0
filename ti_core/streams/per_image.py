"""Activation maximisation per image, at one length: how far a small change of its own carries every image to a class.

For every class, each image gets a perturbation of its own that maximises the margin of the class (the paper's eq. 3)
inside an L2 ball of one radius for all images. A backdoor whose trigger differs from image to image, or is a warp or a
wave, is a short cut too: its target is nearer to every image than the other classes are. Networks that were trained to
resist small changes give way least of all.
"""

from __future__ import annotations

from typing import ClassVar

import torch

from ti_core.classifier.fast.copying import fast_copy
from ti_core.kinds import Kind
from ti_core.streams.base import (
    Context,
    Evidence,
    Progress,
    Reading,
    as_stack,
    silent,
)
from ti_core.streams.passes import Passes
from ti_core.streams.searches.class_margins import ClassMargins
from ti_core.streams.searches.perturbations import unit
from ti_core.streams.searches.search import MOMENTUM, ascent, chunks, measure, pools, usual_margin
from ti_core.streams.statistics import (
    as_array,
    in_usual_margins,
    mean_margins,
    per_class,
)

RADIUS = 2.0
"""L2 radius for grey images of 28 x 28 pixels; other sizes have the same change per pixel."""
COLOUR = 0.5
"""Factor of the radius for colour images, whose classes give way sooner."""
STEPS = 8
IMAGES = 48
"""Images a class, for up to 10 classes."""
FEWEST = 12
BATCH = 256


def images_a_class(classes: int) -> int:
    """So many that the work grows little with the number of classes."""
    return max(FEWEST, min(IMAGES, 10 * IMAGES // classes))


def radius_for(channels: int, height: int, width: int) -> float:
    """The radius of the ball, in pixel units of [0, 1]."""
    return float(RADIUS * (height * width / 784) ** 0.5 * (1.0 if channels == 1 else COLOUR))


def nearest(
    scores: torch.nn.Module, images: torch.Tensor, classes: torch.Tensor, radius: float, steps: int = STEPS
) -> torch.Tensor:
    """Images ``J x n x C x H x W``, each moved by at most ``radius`` (L2) towards its class, and kept within [0, 1].

    Each step goes to the point of the sphere in the direction of the averaged gradients of that image: for a linear
    classifier that is the maximum itself.
    """
    speed = torch.zeros_like(images)
    moved = images
    for _ in range(steps):
        gradient = ascent(scores, moved, classes)
        speed = MOMENTUM * speed + unit(gradient.flatten(0, 1)).view_as(images)
        moved = (images + radius * unit(speed.flatten(0, 1)).view_as(images)).clamp(0, 1)
    return moved


class PerImage(ClassMargins):
    """Mean margin of every class when each image is changed on its own, in units of the usual margin."""

    name: ClassVar[str] = "per_image"
    title: ClassVar[str] = "Activation maximisation per image"
    version: ClassVar[int] = 1
    seconds: ClassVar[float] = 0.5
    doing: ClassVar[str] = "Moving every image to every class"
    heading: ClassVar[str] = "A small change of each image"
    unit: ClassVar[str] = "margin"
    measures: ClassVar[str] = "margin by class"
    kinds: ClassVar[tuple[Kind, ...]] = ("patch", "blend", "stripes", "warp", "input dependent")

    def passes(self, classes: int, shape: tuple[int, int, int]) -> Passes:
        attacked = classes * images_a_class(classes)
        return Passes(forward=attacked + BATCH, both=STEPS * attacked)

    def evidence(self, scores: torch.nn.Module, context: Context, progress: Progress = silent) -> Evidence:
        """``margins`` and ``success`` (``K``), of images of other classes; ``scale`` (``1``), their usual margin."""
        images, count = context.images.float(), context.classes
        network, each = fast_copy(scores, images, context.rounded), images_a_class(count)
        everyone = torch.arange(count, device=images.device)
        # All images are attacked, and none is only measured, since nothing is shared between them.
        chosen = pools(context.labels, count, 0).draw(everyone, each, 0)
        radius = radius_for(*images.shape[1:])
        found = []
        for part in chunks(count, each, BATCH):
            moved = nearest(network, images[chosen[part]], everyone[part], radius)
            found.append(measure(network, moved, everyone[part]))
            progress(part.stop / count)
        margins = torch.cat(found)
        return {
            "margins": as_array(mean_margins(margins)),
            "success": as_array((margins > 0).float().mean(1)),
            "scale": usual_margin(network, images),
        }

    def read(self, evidence: Evidence, clean: Evidence, class_names: tuple[str, ...]) -> Reading:
        own, others = in_usual_margins(as_stack(evidence))[0], in_usual_margins(clean)
        # A class that is easy for every network is no ground: its distance from the clean models' own is.
        found = self.beside(evidence, clean)
        sentence = (
            f"A small change of each image of its own carries images to class {class_names[found.target]} by"
            f" {found.score:.1f} deviations more than in clean models; {found.clean_share:.0%} of the clean models have"
            " a class that goes as far."
        )
        return Reading(found.score, found.clean_share, sentence, found.target, per_class(own, others))
