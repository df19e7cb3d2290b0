"""Which of the networks that names and shapes allow a file holds: decided by images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import inf

import torch
import torch.nn.functional as F

from ti_core.classifier.normalisation import Normalise, fitting
from ti_core.classifier.trial import Tried, balanced, loss_of, losses_of, merit_of, scored
from ti_core.reconstruction.candidates import FAR, Candidate, candidates, distinct
from ti_core.reconstruction.comparing.paddings import otherwise_padded
from ti_core.reconstruction.comparing.ways import WEIGHT
from ti_core.reconstruction.layers.file_layers import FileLayer
from ti_core.reconstruction.network import build
from ti_core.reconstruction.sketch import Items, Layer
from ti_core.reconstruction.statistics import drift, watched
from ti_core.reconstruction.usual import ACTIVATIONS, POOLS
from ti_core.reconstruction.whole.facts import NOTHING, Stated

FOLLOWED = 96
"""Images that drafts are compared on by the statistics of their batch normalisations."""
SAMPLE = 48
"""Images that every candidate is tried on."""
MOST_IMAGES = 256
"""Images that the finalists are tried on."""
NORMED, FIRST, FINALISTS = 4, 16, 6
"""Candidates that are tried under several normalisations, that are tried first, and that see all images."""
BESIDE = 0.25
"""Share of the labels' weight beside stored statistics, which say more."""
SETTLED = 4.0
"""Factor of the weight of stored statistics that are compared on all images."""
FORCE, AT_REST, MOST_DRIFT = 8.0, 1.3, 4.0
"""Cost of the drift beyond what chance makes of it in a trained network."""
LAYOUTS, MOST_USUAL = 8, 2.5
"""Rows of layers that are tried with other activations than ReLU, and the cost up to which an activation is."""
HOPELESS = 40.0
"""A candidate whose cost is above the best one's by so much after a glance is not tried on the whole sample."""
GOOD = 0.25
"""Accuracy above chance, on the sample, from which on no further candidate is tried."""
USUAL_NORMS = {"none": 0.0, "half": 0.4, "mnist": 0.4, "cifar10": 0.4, "imagenet": 0.4}
OTHER_NORM = 0.8
OPERATIONS = 5e9
"""Multiplications of the whole network on the images that the drafts are compared on."""


class Reconstructor:
    """See :func:`ti_core.classifier.decide.decided`."""

    def __init__(
        self,
        layers: Sequence[FileLayer],
        images: torch.Tensor,
        labels: torch.Tensor | None,
        stated: Stated = NOTHING,
    ) -> None:
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
        order = (order if labels is None else balanced(order, labels))[:MOST_IMAGES]
        self.layers, self.images, self.stated = layers, images[order], stated
        self.labels = None if labels is None else labels[order]
        self._scaled: dict[int, torch.Tensor] = {}
        names = sorted(fitting(int(images.shape[1])), key=lambda name: USUAL_NORMS.get(name, OTHER_NORM))
        self.norms = {name: USUAL_NORMS.get(name, OTHER_NORM) for name in names}

    def look(self, norm: str, side: int, count: int | None = None) -> torch.Tensor:
        """Images under a normalisation and of a side."""
        if side not in self._scaled:
            x = self.images
            if x.shape[2:] != (side, side):
                x = F.interpolate(x, size=(side, side), mode="bilinear", antialias=True)
            self._scaled[side] = x
        found: torch.Tensor = Normalise(norm)(self._scaled[side][:count])
        return found

    @torch.no_grad()
    def best(self) -> list[Tried]:
        """Candidates that have seen all images, the best first."""
        count = self._followed()
        _, channels, height, width = self.images.shape
        found = candidates(
            self.layers,
            (channels, height, width),
            lambda norm, side: self.look(norm, side, count),
            self.norms,
            self.stated,
        )
        found = [candidate for candidate in found if candidate.input_shape[0] == channels]
        found = [candidate for candidate in found if candidate.cost <= found[0].cost + FAR]
        told = found[0].norm is not None
        sample = self._compared(found, told)
        if not sample:
            return []
        pinned = distinct(replace(one.candidate, norm=one.norm, cost=one.prior) for one in sample)
        # The draft that the stored statistics fit best is always among the finalists.
        first = [one for one in pinned if one.items == found[0].items][:1] if told else []
        last = self._ranked(distinct([*first, *pinned[: FINALISTS // 2 if told else FINALISTS]]), None, 1)
        if not last:
            return []
        pooled = [one if told else replace(one, norm=None) for one in last[0].candidate.otherwise_pooled()]
        return self._closest(self._ranked(pooled, None, 2, last), pinned)

    def _closest(self, last: list[Tried], pinned: Sequence[Candidate]) -> list[Tried]:
        """The best layers once more with the activations and the normalisations that come closest.

        What few images say of a normalisation is uncertain, and under a wrong one a wrong activation may look better.
        """
        for _ in range(2):
            best = last[0]
            done = {
                (one.candidate.act, one.norm) for one in last if one.candidate.items == best.candidate.items
            }
            others = [
                one
                for one in pinned
                if (one.items, one.pool) == (best.candidate.items, best.candidate.pool)
                and (one.act, one.norm) not in done
            ]
            acts = [one for one in others if one.norm == best.norm]
            norms: dict[str | None, Candidate] = {}
            for one in others:
                if one.norm not in [norm for _, norm in done]:
                    norms.setdefault(one.norm, one)
            last = self._ranked([*acts[:2], *list(norms.values())[:2]], None, 1, last)
            if last[0].norm == best.norm:
                break
        return last

    def _compared(self, found: Sequence[Candidate], told: bool) -> list[Tried]:
        """Candidates on the sample, the best first: layers, activations and normalisations in turn."""
        sample = self._first(found)
        # Under a wrong activation the right layers may look worse than others, so the most usual are tried again.
        again = [tried.candidate for tried in sample[:2]] + self._opened(found[:1], ("relu",))
        if told:
            again = again[:1]
        else:
            # Nothing stored shows the normalisation: the two that did best so far are tried.
            best_first = dict.fromkeys([one.norm for one in sample] + list(self.norms))
            self.norms = {name: self.norms[name] for name in best_first}
            again = [replace(one, norm=None) for one in again]
        further = [] if told else self._acted(sample, again)
        sample = self._ranked(self._every(distinct(again)), SAMPLE, 2, sample)
        sample = self._ranked(further, SAMPLE, 1, sample)
        if not sample:
            return []
        if sample[0].candidate.items not in [one.items for one in again]:
            again = [replace(sample[0].candidate, norm=sample[0].norm)]
            sample = self._ranked(self._every(again), SAMPLE, 1, sample)
        compared = sample[0].norm
        sample = self._ranked([replace(sample[0].candidate, norm=None)], SAMPLE, len(self.norms), sample)
        best = sample[0].candidate
        if sample[0].norm != compared:
            # The activations were compared under another normalisation, which may have favoured a wrong one.
            sample = self._ranked(self._every([replace(best, norm=sample[0].norm)]), SAMPLE, 1, sample)
            best = sample[0].candidate
        others = [one.with_(best.act, best.pool) for one in found if one.norm in (None, sample[0].norm)]
        others += best.without_one()
        others = distinct(replace(one, norm=sample[0].norm) for one in others)
        sample = self._ranked(others, SAMPLE, 1, sample)
        if told:
            return sample
        sample = self._padded(sample)
        if sample[0].candidate.items != best.items:
            # Other layers do better than those that were tried with every activation.
            sample = self._ranked(self._every([sample[0].candidate]), SAMPLE, 1, sample)
        return sample

    def _padded(self, sample: list[Tried]) -> list[Tried]:
        """The candidates with what paddings of the best one's convolutions come closer, until none does."""
        if self.stated is not NOTHING:
            return sample
        done: set[Items] = set()
        while sample[0].candidate.items not in done:
            best = sample[0]
            done.add(best.candidate.items)
            near = [replace(one, norm=best.norm) for one in otherwise_padded(best.candidate)]
            seen = {one.candidate.items for one in sample if one.norm == best.norm}
            sample = self._ranked([one for one in near if one.items not in seen], SAMPLE, 1, sample)
        return sample

    def _acted(self, sample: Sequence[Tried], tried: Sequence[Candidate]) -> list[Candidate]:
        """The best layers beside those that are tried with every activation, with the usual ones."""
        if self.stated.act is not None:
            return []
        seen = {one.items for one in tried}
        made = []
        for one in sample:
            if one.candidate.items in seen or one.candidate.act is None:
                continue
            seen.add(one.candidate.items)
            plain = replace(one.candidate, norm=one.norm, cost=one.prior - ACTIVATIONS[one.candidate.act])
            usual = {act: cost for act, cost in ACTIVATIONS.items() if cost <= MOST_USUAL}
            made += [
                replace(plain, act=act, cost=plain.cost + cost)
                for act, cost in usual.items()
                if act != plain.act
            ]
            if len(seen) >= LAYOUTS:
                break
        return made

    def _first(self, found: Sequence[Candidate]) -> list[Tried]:
        """The most usual candidates on the sample; further ones only if none of them does well."""
        sample = self._ranked(self._opened(found[:NORMED], ("relu",)), SAMPLE, 3)
        norm = sample[0].norm if sample else None
        portions = ((found[NORMED:FIRST], "relu"), (found[: 2 * NORMED], "tanh"), (found[FIRST:], "relu"))
        for portion, act in portions:
            pinned = [replace(one, norm=one.norm or norm) for one in self._opened(portion, (act,))]
            sample = self._ranked(pinned, SAMPLE, 1, sample)
            classes = len(self.labels.unique()) if self.labels is not None else 2
            if sample and sample[0].merit >= 1 / classes + GOOD:
                break
        return sample

    def _followed(self) -> int:
        """The number of images for the statistics: fewer for a large network."""
        side = int(self.images.shape[2])
        convs = [layer for layer in self.layers if layer.kind == "conv"]
        if not convs:
            return FOLLOWED
        first = convs[0].out
        # Where there are twice as many channels, the image mostly has half the side.
        each = sum(
            layer.tensors["weight"].numel() * (side * min(1.0, first / layer.out)) ** 2 for layer in convs
        )
        return int(max(6, min(FOLLOWED, OPERATIONS / max(1.0, each))))

    def _opened(self, found: Iterable[Candidate], acts: Sequence[str]) -> list[Candidate]:
        """Candidates with their open choices made in the most usual ways."""
        made = []
        for candidate in found:
            for act in acts if candidate.acts else ("",):
                for pool in POOLS if candidate.pools else ("",):
                    made.append(candidate.with_(Layer(act) if act else None, pool or None))
        return made

    def _every(self, found: Iterable[Candidate]) -> list[Candidate]:
        """Candidates with every activation and both poolings, where those were open."""
        made = []
        for candidate in found:
            for swapped in (candidate, *candidate.otherwise_pooled()):
                if self.stated.act is not None:
                    made.append(swapped)
                    continue
                own = ACTIVATIONS.get(candidate.act or Layer("relu"), 0.0)
                made += [
                    replace(swapped, act=act, cost=swapped.cost + cost - own)
                    for act, cost in ACTIVATIONS.items()
                    if act != candidate.act or swapped is not candidate
                ]
        return made

    def _ranked(
        self, found: Iterable[Candidate], count: int | None, norms: int, before: Sequence[Tried] = ()
    ) -> list[Tried]:
        tried = list(before)
        for candidate in found:
            best = min((one.cost for one in tried), default=inf)
            try:
                tried += self._tried(candidate, count, norms, best + HOPELESS)
            except (RuntimeError, ValueError):
                # A size that does not go through the network.
                continue
        return sorted(tried, key=lambda one: one.cost)

    def _tried(self, candidate: Candidate, count: int | None, most: int, limit: float) -> list[Tried]:
        """The candidate under its own normalisation, or under the usual ones.

        Where the first images of the sample lead to a cost above ``limit``, their losses stand for all.
        """
        built = build(candidate.sketch(), self.layers)
        if built.module is None or built.left:
            return []
        names = [candidate.norm] if candidate.norm else list(self.norms)[:most]
        found = []
        for norm in names:
            x = self.look(norm, candidate.input_shape[1], count)
            prior = candidate.cost + (0.0 if candidate.norm else self.norms[norm])
            with watched(built.module) as departed:
                z = scored(built.module, x, self.labels, inf if count is None else limit - prior)
            labels = None if self.labels is None else self.labels[: len(z)]
            weight = BESIDE if departed else 1.0
            cost = prior + len(x) * loss_of(z, labels) * weight
            cost += (WEIGHT if count is not None else SETTLED * WEIGHT) * sum(departed)
            if count is None and labels is not None and int(labels.max()) < z.shape[1]:
                cost += FORCE * min(MOST_DRIFT, max(0.0, drift(built.module, x, labels) - AT_REST))
            losses = weight * losses_of(z, labels)
            found.append(Tried(candidate, norm, merit_of(z, labels), cost, z.argmax(1), prior, losses))
        return found
