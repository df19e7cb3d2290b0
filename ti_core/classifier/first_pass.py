"""The first pass of a network: how long one image takes, measured before the work begins."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from ti_core.classifier.fast.copying import fast_copy
from ti_core.classifier.fast.work import Products, work

IMAGES = 16
"""Maximum number of images that are measured at once at first."""
AS_SEARCHED = 256
"""Number of images that are measured at once last, where that is quick: as many as the streams send through a network.
In so large a batch a small network takes a fraction of the time an image."""
IMAGES_ON_GPU = 256
BUDGET = 0.3
"""Seconds that a batch may take. A slower network is measured on fewer images, at least on one."""
REPEATS = 2
"""Number of passes, of which the quickest counts, forward and back each. A pass that takes long is not repeated."""
COLD = 2.0
"""Seconds below which a pass is repeated. The first one of a process takes up to a second more than the next one."""
MOST_CHANGED = 4.0
"""Maximum factor by which a longer measurement corrects a first pass."""
SLOW = 0.25
"""Seconds of a forward pass of one image from which on the overhead of a call is no matter."""
BACKWARD = 3.0
"""Time of a forward and backward pass to the pixels, in forward passes; 2.5 to 3.4 are usual."""


@dataclass(frozen=True)
class FirstPass:
    """Seconds that one image takes.

    Parameters
    ----------
    forward : through the network.
    both : through the network, and the gradient back to the pixels.
    work : products of a forward pass, which are the same on every machine; 0 if they were not counted.
    """

    forward: float
    both: float
    work: float = 0.0

    def at(self, forward: float) -> FirstPass:
        """The same network at another speed, which is known of its forward pass."""
        factor = min(MOST_CHANGED, max(1 / MOST_CHANGED, forward / max(1e-9, self.forward)))
        return FirstPass(factor * self.forward, factor * self.both, self.work)


@dataclass(frozen=True)
class Ahead:
    """The work before a search for a network's preprocessing.

    Parameters
    ----------
    images : number of images that the search sends through the network.
    classes : K.
    shape : ``C x H x W`` of the images that the network is shown.
    values : number of values of one image at the size that the network takes.
    """

    images: int
    classes: int
    shape: tuple[int, int, int]
    values: int

    @classmethod
    def of(cls, images: int, classes: int, shown: torch.Tensor, side: int | None) -> Ahead:
        """The work on images ``N x C x H x W`` that are scaled to ``side x side``, or left as they are."""
        channels, height, width = (int(n) for n in shown.shape[1:])
        return cls(images, classes, (channels, height, width), channels * (side or height) * (side or width))


class Gauge(ABC):
    """Is told what the first pass of a network takes."""

    @property
    @abstractmethod
    def rounded(self) -> bool:
        """Whether the streams' gradients may be in bfloat16."""

    @abstractmethod
    def begin(self) -> None:
        """A network is about to be measured."""

    @abstractmethod
    def measured(self, first: FirstPass, ahead: Ahead) -> None:
        """A network was measured.

        Raises
        ------
        TooLongError : the work would take longer than it may.
        """

    @abstractmethod
    def searched(self, images: int, seconds: float) -> None:
        """The search for the preprocessing has ended. So many images went through the network at the chosen size."""


def measure(scores: nn.Module, images: torch.Tensor, guess: float, rounded: bool = False) -> FirstPass:
    """Measure a forward and backward pass.

    The pass is made with the copy of the network that the streams use. Random states are left as they are.

    Parameters
    ----------
    scores : images ``N x C x H x W`` in [0, 1] to class scores ``N x K``, on the images' device.
    guess : seconds of a forward pass of one image, as far as it is known. It stands where there is no gradient.
    rounded : whether the streams' gradients may be in bfloat16.
    """
    count = max(1, int(BUDGET / max(1e-9, BACKWARD * guess)))
    count = min(count, len(images), IMAGES_ON_GPU if images.is_cuda else IMAGES)
    try:
        with torch.random.fork_rng(devices=[]):
            network = fast_copy(scores, images, rounded)
            found = [_pass(network, images[:count])]
            # The first pass makes what the later ones use, and beside other work any pass may be interrupted.
            while len(found) < REPEATS and found[-1].both * count < COLD:
                found.append(_pass(network, images[:count]))
            if count < AS_SEARCHED and min(one.both for one in found) * AS_SEARCHED < BUDGET:
                many = images.repeat(-(-AS_SEARCHED // len(images)), 1, 1, 1)[:AS_SEARCHED]
                found.append(_pass(network, many))
        forward, both = min(one.forward for one in found), min(one.both for one in found)
        return FirstPass(forward, both, work(network, images))
    except (RuntimeError, TypeError, ValueError):
        return FirstPass(guess, BACKWARD * guess)


class FirstLook:
    """The first look at a network, which is told to a gauge. Of several networks only the first is measured.

    Parameters
    ----------
    gauge : None if nobody asks.
    """

    def __init__(self, gauge: Gauge | None) -> None:
        self._gauge = gauge
        self._forward = 0.0
        self._measured = False
        self._timed: dict[int | None, tuple[int, float]] = {}

    def at_one(self, network: nn.Module, prepared: torch.Tensor, ahead: Ahead) -> None:
        """Show the network one prepared image ``1 x C x H x W``, before it is shown a batch.

        A slow network is told to the gauge at once.

        Raises
        ------
        Exception : whatever the network raises if it does not take the image.
        """
        if self._measured or self._gauge is None:
            return
        self._gauge.begin()
        with torch.random.fork_rng(devices=[]):
            with Products() as counted:
                self._forward = _seconds(network, prepared)
            if SLOW < self._forward < COLD:
                self._forward = min(self._forward, _seconds(network, prepared))
        if self._forward > SLOW:
            first = FirstPass(self._forward, BACKWARD * self._forward, counted.count)
            self._gauge.measured(first, ahead)

    def at_batch(self, scores: nn.Module, images: torch.Tensor, ahead: Ahead) -> None:
        """Measure a forward and backward pass of a network that :meth:`at_one` has seen."""
        if not self._measured and self._gauge is not None:
            self._measured = True
            self._gauge.begin()
            self._gauge.measured(measure(scores, images, self._forward, self._gauge.rounded), ahead)

    @contextmanager
    def timed(self, side: int | None, images: int) -> Iterator[None]:
        """Time a forward pass of so many images that are scaled to this side."""
        start = time.perf_counter()
        yield
        count, seconds = self._timed.get(side, (0, 0.0))
        self._timed[side] = count + images, seconds + time.perf_counter() - start

    def searched(self, side: int | None) -> None:
        """Tell what the search took at the side that it chose."""
        if self._gauge is not None:
            self._gauge.searched(*self._timed[side])


def _seconds(network: nn.Module, prepared: torch.Tensor) -> float:
    start = time.perf_counter()
    network(prepared)
    return time.perf_counter() - start


def _pass(network: nn.Module, images: torch.Tensor) -> FirstPass:
    x = images.detach().float().requires_grad_(True)
    start = time.perf_counter()
    with torch.no_grad():
        network(x)
    _wait_for(x)
    middle = time.perf_counter()
    with torch.enable_grad():
        torch.autograd.grad(network(x).amax(1).sum(), x, allow_unused=True)
    _wait_for(x)
    end = time.perf_counter()
    return FirstPass((middle - start) / len(x), (end - middle) / len(x))


def _wait_for(x: torch.Tensor) -> None:
    """Wait until a GPU has computed what it was given."""
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
