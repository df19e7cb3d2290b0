"""STRIP as an opinion on a network: how many images with a trigger it would reject while the network runs.

STRIP judges inputs, not networks. Here it is given the trigger with the smallest mask that inversion finds. Its false
rejection rate is set on clean images. Its false acceptance rate is measured on images with that trigger, also at the
other rates of the table of STRIP-ViTA (Gao et al. 2019, arXiv 1911.10312), which superimposes images in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.methods.base import Method, Need, Source, Subject
from ti_core.methods.lab.strip import boundary, draw_overlays, mean_entropy
from ti_core.methods.opinion import Opinion
from ti_core.streams.searches.masks import invert
from ti_core.system.progress import ShareProgress, silent_share

SEARCH = 0.8
"""Share of the work that the search of a trigger takes."""


@dataclass(frozen=True)
class StripRates:
    """Settings of STRIP.

    Parameters
    ----------
    overlays : images superimposed on each one.
    false_rejections : accepted share of clean images that are rejected.
    images : most images of each sort that are measured.
    further : other accepted shares at which the false acceptances are told, ascending.
    """

    overlays: int = 20
    false_rejections: float = 0.01
    images: int = 100
    further: tuple[float, ...] = (0.005, 0.03, 0.05)


class Strip(Method):
    """STRIP."""

    name = "strip"
    title = "STRIP"
    source = Source(
        "Y. Gao, C. Xu, D. Wang, S. Chen, D. Ranasinghe, S. Nepal",
        2019,
        "ACSAC",
        "https://arxiv.org/abs/1902.06531",
        "a false acceptance rate below 1 % at a false rejection rate of 1 % on MNIST, CIFAR-10 and GTSRB",
    )
    needs = (Need.IMAGES, Need.CLASSES)
    sees = "images with a trigger that outweighs everything else in the image, while the network runs"
    measures = "share of images with the found trigger that are rejected"
    threshold = None
    differs = (
        "The publication knows the trigger and superimposes 100 images. Here the trigger is the smallest that inversion"
        " finds, and 20 images are superimposed. The share that is rejected serves as a statistic;"
        " the publication has no decision on networks. Of the domains of STRIP-ViTA, vision, text and audio, this"
        " program has the first, since it opens classifiers of images. There STRIP-ViTA reports rates of 0 %."
    )

    def __init__(self, protocol: StripRates | None = None) -> None:
        self.protocol = protocol or StripRates()

    def opinion(self, subject: Subject, progress: ShareProgress = silent_share) -> Opinion:
        images = subject.images.float()
        found = invert(
            subject.scores,
            images,
            subject.labels,
            subject.classes,
            progress=lambda share: progress(SEARCH * share),
        )
        target = int(found.norms.argmin())
        others = images[subject.labels != target]
        mask, pattern = found.masks[target], found.patterns[target]
        stamped = (1 - mask) * others + mask * pattern
        measured = entropies(subject, stamped, self.protocol)
        rejected, missed = measured.rates(self.protocol.false_rejections)
        progress(1.0)
        further = ", ".join(f"{measured.rates(r)[1]:.0%} at {r:.1%}" for r in self.protocol.further)
        sentence = (
            f"With the smallest trigger found, for class {subject.class_names[target]}, {1 - missed:.0%} of the images"
            f" are rejected (false acceptance {missed:.0%}), and {rejected:.0%} of the clean images (false rejection)."
            f" At other accepted false rejection rates the false acceptance is {further}."
        )
        return self.said(1 - missed, sentence, target)


@dataclass(frozen=True)
class Entropies:
    """Mean entropies in bits.

    Parameters
    ----------
    setting, measuring : of clean images, those that set the boundary and the others.
    stamped : of images with a trigger.
    """

    setting: NDArray[np.float64]
    measuring: NDArray[np.float64]
    stamped: NDArray[np.float64]

    def rates(self, accepted: float) -> tuple[float, float]:
        """False rejection rate and false acceptance rate, 0 to 1, at an accepted share of rejected clean images."""
        below = boundary(self.setting, accepted)
        missed = float((self.stamped >= below).mean()) if len(self.stamped) else 1.0
        return float((self.measuring < below).mean()), missed


def entropies(subject: Subject, stamped: torch.Tensor, protocol: StripRates) -> Entropies:
    """The entropies of clean images, in two halves, and of images with a trigger."""
    pool = subject.images.float()
    overlays = min(protocol.overlays, len(pool) - 1)
    clean = np.arange(min(2 * protocol.images, len(pool)))
    setting, measuring = clean[::2], clean[1::2]
    some = stamped[: protocol.images]
    return Entropies(
        _entropies(subject, pool[setting], setting, overlays),
        _entropies(subject, pool[measuring], measuring, overlays),
        _entropies(subject, some, np.arange(len(some)) % len(pool), overlays),
    )


def _entropies(
    subject: Subject, images: torch.Tensor, own: NDArray[np.intp], overlays: int
) -> NDArray[np.float64]:
    drawn = draw_overlays([int(i) for i in own], len(subject.images), overlays, subject.seed)
    return mean_entropy(subject.scores, images, subject.images.float(), drawn)
