"""Stripes: the class that one wave over all images commands, refined by gradient.

A trigger may be a faint wave (SIG: Barni et al., ICIP 2019). A network answers to hardly any other frequency or phase,
so that a gradient search from nowhere misses it. Here all waves of low frequency are tried first, for all classes at
once. The best few of each class are refined by gradient: frequency, and amplitude and phase in every colour channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ti_core.classifier.fast.copying import fast_copy
from ti_core.kinds import Kind
from ti_core.streams.base import (
    Context,
    Evidence,
    Progress,
    Reading,
    silent,
)
from ti_core.streams.passes import Passes, portions
from ti_core.streams.searches.class_margins import ClassMargins
from ti_core.streams.searches.search import (
    Pools,
    chunks,
    descend,
    measure,
    pools,
    shifted,
)
from ti_core.streams.searches.waves import TRIED_ON, answers, frequencies, waves
from ti_core.streams.statistics import (
    as_array,
    mean_margins,
    per_class,
)

STRENGTH = {1: 0.2, 3: 0.12}
"""Largest amplitude, in pixel units of [0, 1], by the number of channels."""
PHASES = 4
STARTS = 2
"""Waves of each class that are refined."""
STEPS, IMAGES_A_STEP, UNSEEN = 12, 12, 48
RATES = {"turns": 0.12, "phase": 0.3, "size": 0.2}
"""Length of Adam's steps: in cycles over the image, in radians, and in logits of the share of the largest amplitude."""
BATCH = 256


def laid(
    turns: torch.Tensor, phase: torch.Tensor, amplitude: torch.Tensor, size: tuple[int, int]
) -> torch.Tensor:
    """Waves ``J x C x H x W``: ``amplitude sin(2 pi (u row / H + v column / W) + phase)``.

    Parameters
    ----------
    turns : ``J x 2``, the cycles u and v over the image's height and width.
    phase, amplitude : ``J x C``, in radians and in pixel units.
    """
    rows = torch.arange(size[0], device=turns.device) / size[0]
    columns = torch.arange(size[1], device=turns.device) / size[1]
    along = turns[:, 0, None, None] * rows[:, None] + turns[:, 1, None, None] * columns
    angle = 2 * torch.pi * along[:, None] + phase[:, :, None, None]
    return amplitude[:, :, None, None] * torch.sin(angle)


@dataclass(frozen=True)
class Waves:
    """J waves by their ``turns`` (``J x 2``), ``phase`` and ``amplitude`` (``J x C``), as for :func:`laid`."""

    turns: torch.Tensor
    phase: torch.Tensor
    amplitude: torch.Tensor

    def laid(self, size: tuple[int, int]) -> torch.Tensor:
        """The waves ``J x C x H x W``."""
        return laid(self.turns, self.phase, self.amplitude, size)

    def of(self, chosen: torch.Tensor) -> Waves:
        """The waves with these indices."""
        return Waves(self.turns[chosen], self.phase[chosen], self.amplitude[chosen])


def refined(
    scores: torch.nn.Module,
    images: torch.Tensor,
    pool: Pools,
    classes: torch.Tensor,
    turns: torch.Tensor,
    phase: torch.Tensor,
    progress: Progress = silent,
) -> Waves:
    """Waves that raise the margins of J classes, from waves with these ``turns`` and ``phase``.

    Parameters
    ----------
    turns, phase : ``J x 2`` and ``J``, as for :func:`laid`.
    """
    channels, size = int(images.shape[1]), (int(images.shape[2]), int(images.shape[3]))
    largest = STRENGTH.get(channels, STRENGTH[3])
    free = {
        "turns": turns.clone(),
        "phase": phase[:, None].repeat(1, channels),
        "size": torch.full((len(classes), channels), 2.0, device=images.device),
    }
    free = {name: values.requires_grad_() for name, values in free.items()}
    optimiser = torch.optim.Adam([{"params": [free[name]], "lr": rate} for name, rate in RATES.items()])

    def wave(part: slice) -> Waves:
        return Waves(free["turns"][part], free["phase"][part], largest * free["size"][part].sigmoid())

    for step in range(STEPS):
        chosen = pool.draw(classes, IMAGES_A_STEP, step)
        optimiser.zero_grad()
        for part in chunks(len(classes), IMAGES_A_STEP, BATCH):
            with torch.enable_grad():
                x = shifted(images[chosen[part]], wave(part).laid(size))
            descend(scores, x, classes[part])
        for values in free.values():
            if values.grad is not None:
                values.grad.nan_to_num_(0.0, 0.0, 0.0)
        optimiser.step()
        progress((step + 1) / STEPS)
    free = {name: values.detach() for name, values in free.items()}
    return wave(slice(None))


def find_waves(
    scores: torch.nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    pool: Pools,
    classes: torch.Tensor,
    trying: Progress = silent,
    refining: Progress = silent,
) -> Waves:
    """The best refined wave of each of J classes.

    Parameters
    ----------
    labels : of the images, of which the first few choose the waves that are refined.
    trying, refining : told of the two parts of the search.
    """
    channels, size = int(images.shape[1]), (int(images.shape[2]), int(images.shape[3]))
    turns, phase = (values.to(images.device) for values in grid(*size))
    strength = STRENGTH.get(channels, STRENGTH[3])
    tried, shapes = slice(0, TRIED_ON), strength * waves(*size, phases=PHASES).to(images.device)
    found = answers(scores, images[tried], labels[tried], shapes, trying)[:, classes]
    best = found.topk(min(STARTS, len(found)), dim=0).indices.T
    count, starts = best.shape
    repeated, best = classes.repeat_interleave(starts), best.flatten()
    own = refined(scores, images, pool, repeated, turns[best], phase[best], refining)
    known = wave_margins(scores, images, Pools(pool.unseen, pool.fit), repeated, own.laid(size))
    # The wave is chosen on the images that it was made on, so that its margins are those of unseen images.
    chosen = known.nanmean(1).nan_to_num(float("-inf")).view(count, starts).argmax(1)
    return own.of(chosen + starts * torch.arange(count, device=images.device))


class Stripes(ClassMargins):
    """Margin of every class under its best wave, refined by gradient."""

    name: ClassVar[str] = "stripes"
    title: ClassVar[str] = "Wave inversion"
    version: ClassVar[int] = 1
    seconds: ClassVar[float] = 1.0
    doing: ClassVar[str] = "Searching waves shared by all images"
    heading: ClassVar[str] = "One wave over all images"
    unit: ClassVar[str] = "deviations"
    measures: ClassVar[str] = "deviations by class"
    kinds: ClassVar[tuple[Kind, ...]] = ("stripes",)
    clear: ClassVar[float] = 1.3
    """Of 59 fitted members of mnist that carry a blend and are found, 5 reach more under a wave than under a universal
    perturbation, up to 1.26 times as much."""

    def passes(self, classes: int, shape: tuple[int, int, int]) -> Passes:
        return sum(self._work(classes, shape), Passes())

    def _work(self, classes: int, shape: tuple[int, int, int]) -> tuple[Passes, Passes]:
        """The images of the waves that are tried, and of their refinement."""
        tried = max(1, PHASES * len(frequencies(*shape[1:])))
        refining = Passes(forward=UNSEEN, both=STEPS * IMAGES_A_STEP) * (STARTS * classes)
        return Passes(forward=TRIED_ON * tried), refining + Passes(forward=UNSEEN * classes + BATCH)

    def evidence(self, scores: torch.nn.Module, context: Context, progress: Progress = silent) -> Evidence:
        """``margins`` and ``success`` (``K``): mean margin and flip share on unseen images under each class's best
        wave."""
        images, count = context.images.float(), context.classes
        channels, size = int(images.shape[1]), (int(images.shape[2]), int(images.shape[3]))
        network, pool = fast_copy(scores, images, context.rounded), pools(context.labels, count, UNSEEN)
        trying, refining = portions(progress, self._work(count, (channels, *size)))
        classes = torch.arange(count, device=images.device)
        own = find_waves(network, images, context.labels, pool, classes, trying, refining)
        margins = wave_margins(network, images, pool, classes, own.laid(size))
        progress(1.0)
        return {
            "margins": as_array(mean_margins(margins)),
            "success": as_array((margins > 0).float().mean(1)),
        }

    def read(self, evidence: Evidence, clean: Evidence, class_names: tuple[str, ...]) -> Reading:
        found = self.beside(evidence, clean)
        sentence = (
            f"One wave over all images turns {float(evidence['success'][found.target]):.0%} of unseen images into"
            f" class {class_names[found.target]}: {found.score:.1f} deviations more than in clean models;"
            f" {found.clean_share:.0%} of the clean models have a class that goes as far."
        )
        return Reading(
            found.score, found.clean_share, sentence, found.target, per_class(found.own, found.others)
        )


def grid(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Turns ``P x 2`` and phases ``P`` of the waves that :func:`ti_core.streams.searches.waves.waves` makes."""
    found = [(u, v, k) for u, v in frequencies(height, width) for k in range(PHASES)] or [(0, 0, 0)]
    turns = torch.tensor([(u, v) for u, v, _ in found], dtype=torch.float32)
    return turns, torch.tensor([2 * torch.pi * k / PHASES for _, _, k in found])


@torch.no_grad()
def wave_margins(
    scores: torch.nn.Module,
    images: torch.Tensor,
    pool: Pools,
    classes: torch.Tensor,
    own: torch.Tensor,
) -> torch.Tensor:
    """Margins ``J x UNSEEN`` under J waves, on the images of the pool that measure."""
    chosen = pool.test(classes, UNSEEN)
    parts = chunks(len(classes), UNSEEN, 2 * BATCH)
    return torch.cat([measure(scores, shifted(images[chosen[p]], own[p]), classes[p]) for p in parts])
