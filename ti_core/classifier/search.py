"""The search for a network's preprocessing, and for the place and form of its class scores, by trial."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from ti_core.classifier.classifier import SURE_ACCURACY, Classifier, Declared
from ti_core.classifier.first_pass import Ahead, FirstLook, Gauge
from ti_core.classifier.normalisation import Normalise, fitting
from ti_core.classifier.outputs import form_of, loss, place_of
from ti_core.classifier.scores import LARGE, Place, Scores, batches, scores_in
from ti_core.errors import ModelBehaviourError, SettingsError
from ti_core.reconstruction.model import Model

SAMPLE = 64
"""Number of images that every candidate is tried on. Only the best candidates see all images."""
LARGE_SAMPLE = 24
"""The same number for images of :data:`~ti_core.classifier.scores.LARGE` pixels a side, which take long."""
FINALISTS = 5
SIZES = (28, 32, 48, 64, 96, 128, 160, 224, 256, 299)
"""Sides to try if the file leaves the size open and the pack's size does not work."""
ABOUT = 0.02
"""Accuracies that differ by less count as equal."""
CLEARLY = 0.9
"""A later candidate replaces an earlier one only if its loss is below this share of the earlier loss."""


@dataclass(frozen=True)
class _Network:
    """A network that takes images of this size and returns class scores at this place."""

    variant: str
    module: nn.Module
    side: int | None
    place: Place
    output: str


@dataclass(frozen=True)
class _Way:
    """One candidate: a network and how its images are made."""

    network: _Network
    normalisation: str
    order: str

    @property
    def name(self) -> str:
        size = f"{self.network.side} x {self.network.side}" if self.network.side else ""
        order = self.order if self.order != "rgb" else ""
        return " ".join(filter(None, (self.network.variant, self.normalisation, order, size)))

    def scores(self) -> Scores:
        n = self.network
        return Scores(n.module, self.normalisation, n.output, n.side, self.order, n.place)


@dataclass(frozen=True)
class Settled:
    """A candidate that has seen all images: its merit, and its class scores ``N x K``."""

    way: _Way
    merit: float
    z: torch.Tensor


class _WrongSizeError(ModelBehaviourError):
    """The network takes no images of that size."""


class Search:
    """See :func:`ti_core.classifier.understand.understand`."""

    made: type[Classifier] = Classifier
    sure: float = SURE_ACCURACY
    """From this on, nothing further is tried."""

    def __init__(
        self,
        model: Model,
        images: torch.Tensor,
        labels: torch.Tensor,
        classes: int,
        declared: Declared,
        needed: float,
        gauge: Gauge | None = None,
    ) -> None:
        self.model, self.classes, self.declared, self.needed = model, classes, declared, needed
        self.images, self.labels, self._look = images, labels, FirstLook(gauge)
        chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:SAMPLE]
        if int(images.shape[2]) >= LARGE:
            chosen = chosen[:LARGE_SAMPLE]
        few = len(images) > 2 * SAMPLE or len(chosen) < len(images) // 2
        self.sample = (images[chosen], labels[chosen]) if few else (images, labels)
        self.tried: dict[str, float] = {}
        self._sampled: dict[_Way, float] = {}
        self.settled: list[Settled] = []

    def best(self) -> Classifier:
        """The candidate to keep, however accurate it is."""
        first: ModelBehaviourError | None = None
        last: _Network | None = None
        for variant, module in self._modules():
            try:
                last = self._opened(variant, module)
            except ModelBehaviourError as error:
                first = first or error
                continue
            self._look.at_batch(self._way(last).scores(), self.images, self._ahead(last.side))
            self._try(last)
            if self._top >= self.sure:
                break
        if last is None:
            assert first is not None
            raise first
        if self._top < self.needed and self._size_is_open():
            self._other_sizes(last)
        kept = self._kept()
        self._look.searched(kept.way.network.side)
        way, n = kept.way, kept.way.network
        return self.made(
            way.scores(),
            way.normalisation,
            n.output,
            kept.merit,
            self.tried,
            n.variant,
            n.side,
            way.order,
            n.place,
            self.needed,
        )

    def _way(self, network: _Network) -> _Way:
        return _Way(network, self.names()[0], "rgb")

    def _ahead(self, side: int | None) -> Ahead:
        """The work after a network is opened: every preparation on a sample, the best ones on all images."""
        orders = 2 if self.declared.channel_order == "auto" and self.images.shape[1] == 3 else 1
        tried = len(self.names()) * orders
        images = tried * len(self.sample[0]) + min(FINALISTS, tried) * len(self.images)
        return Ahead.of(images, self.classes, self.images, side)

    @property
    def _top(self) -> float:
        """The best so far."""
        return max((settled.merit for settled in self.settled), default=0.0)

    def _kept(self) -> Settled:
        """Of the candidates about as accurate as the best, the one with the lowest loss; the earlier of equals.

        Neighbouring scalings give nearly the same accuracy, and one image more or less is chance. The loss tells the
        network's own scaling from the others more often.
        """
        names, networks = self.names(), list(dict.fromkeys(s.way.network for s in self.settled))
        near = [s for s in self.settled if s.merit >= self._top - ABOUT]
        near.sort(
            key=lambda s: (
                networks.index(s.way.network),
                s.way.order == "bgr",
                names.index(s.way.normalisation),
            )
        )
        kept, least = near[0], loss(near[0].z, self.labels)
        for settled in near[1:]:
            if (found := loss(settled.z, self.labels)) < CLEARLY * least:
                kept, least = settled, found
        return kept

    def _modules(self) -> Iterator[tuple[str, nn.Module]]:
        """The network and its variants, made when they are needed, or the declared one."""
        wanted, variants = self.declared.variant, self.model.variants
        if wanted not in ("auto", "") and wanted not in variants:
            known = ", ".join(map(repr, variants)) or "none"
            raise SettingsError(f"{self.model.file} has no variant {wanted!r}; it has: {known}.")
        if wanted in ("auto", ""):
            yield "", self.model.module
        for name, make in variants.items():
            if wanted in ("auto", name):
                yield name, make()

    def _opened(self, variant: str, module: nn.Module) -> _Network:
        """The network at the first size that goes through it."""
        first: ModelBehaviourError | None = None
        for side in self.sides():
            try:
                place, output = self._examine(module, side)
            except _WrongSizeError as error:
                first = first or error
                continue
            return _Network(variant, module, side, place, output)
        assert first is not None
        raise first

    def _size_is_open(self) -> bool:
        shape = self.model.input_shape
        return self.declared.input_size == 0 and (shape is None or shape[1] == 0)

    def sides(self) -> list[int | None]:
        """Sides to scale the images to; None for as they are."""
        own = int(self.images.shape[2])
        if not self._size_is_open():
            wanted = self.declared.input_size or (self.model.input_shape or (0, 0))[1]
            return [wanted if wanted != own or self.images.shape[3] != own else None]
        return [None, *(side for side in SIZES if side != own)]

    def names(self) -> list[str]:
        """Normalisations to try."""
        if self.declared.normalisation != "auto":
            return [Normalise(self.declared.normalisation).name]
        # The file's declaration is tried first, and used only if it works.
        return sorted(fitting(int(self.images.shape[1])), key=lambda n: n != self.model.declared)

    def _try(self, network: _Network) -> None:
        """Try every preparation of images for one network: all on a sample, the best on all images."""
        names, order = self.names(), self.declared.channel_order
        first = "rgb" if order == "auto" else order
        if names[0] == self.model.declared:
            way = _Way(network, names[0], first)
            if self._settle(way) >= self.sure:
                return
        ways = self._ranked([_Way(network, name, first) for name in names])
        if order == "auto" and self.images.shape[1] == 3:
            # A wrong order can make a wrong scale look best. If nothing does well, all are tried again.
            again = ways[:FINALISTS] if self.tried[ways[0].name] >= self.sure else ways
            ways = self._ranked([*ways, *(_Way(network, way.normalisation, "bgr") for way in again)])
        for way in ways[:FINALISTS]:
            self._settle(way)

    def _other_sizes(self, network: _Network) -> None:
        """Try larger images, for networks that take any size and were trained on another size than the pack's."""
        before = self._kept().way
        names = dict.fromkeys([before.normalisation, self.names()[0]])
        for side in SIZES:
            if side <= int(self.images.shape[2]):
                continue
            try:
                self._examine(network.module, side)
            except ModelBehaviourError:
                continue
            larger = _Network(network.variant, network.module, side, network.place, network.output)
            way = self._ranked([_Way(larger, name, before.order) for name in names])[0]
            if self.tried[way.name] > self._top and self._settle(way) >= self.sure:
                return

    def _ranked(self, ways: list[_Way]) -> list[_Way]:
        """Ways by accuracy on the sample; the earlier of equals first."""
        for way in ways:
            if way not in self._sampled:
                images, labels = self.sample
                self.tried[way.name] = self._sampled[way] = self._merit(self._answers(way, images), labels)
        return sorted(ways, key=lambda way: self._sampled[way], reverse=True)

    def _settle(self, way: _Way) -> float:
        """The merit of a candidate on all images. The candidate is kept with its scores."""
        z = self._answers(way, self.images)
        self.tried[way.name] = merit = self._merit(z, self.labels)
        self.settled.append(Settled(way, merit, z))
        return merit

    @torch.no_grad()
    def _answers(self, way: _Way, images: torch.Tensor) -> torch.Tensor:
        """Class scores ``N x K``."""
        scores = way.scores()
        with self._look.timed(way.network.side, len(images)):
            return torch.cat([scores(x) for x in batches(scores, images)])

    def _merit(self, z: torch.Tensor, labels: torch.Tensor) -> float:
        """The share of images classified as labelled."""
        return float((z.argmax(1) == labels).float().mean())

    @torch.no_grad()
    def _examine(self, module: nn.Module, side: int | None) -> tuple[Place, str]:
        """Where the class scores are, and whether they are "logits" or "probabilities"; an error if there are none."""
        file, images = self.model.file, self.images[:8]
        scores = Scores(module, self.names()[0], side=side)
        try:
            self._look.at_one(module, scores.prepared(images[:1]), self._ahead(side))
            returned = module(scores.prepared(images))
        except (RuntimeError, ValueError, IndexError, TypeError, ModelBehaviourError) as error:
            reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
            raise _WrongSizeError(
                f"{file} does not accept images of {tuple(images.shape[1:])}: {reason}"
            ) from error
        place = place_of(returned, len(images), self.classes, file)
        z = scores_in(returned, place)
        if not bool(torch.isfinite(z).all()):
            raise ModelBehaviourError(f"{file} returns scores that are not finite on clean images.")
        return place, form_of(z) if self.declared.output == "auto" else self.declared.output
