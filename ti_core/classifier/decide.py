"""A model whose network is open, with the network that images decide for."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import torch

from ti_core.classifier.reconstruct import Reconstructor
from ti_core.classifier.trial import Tried
from ti_core.reconstruction.candidates import shortest
from ti_core.reconstruction.chain import BrokenError
from ti_core.reconstruction.model import ALIKE, CLOSE, Model, Proposal, Reconstructed
from ti_core.reconstruction.network import network_of
from ti_core.reconstruction.sketch import difference
from ti_core.reconstruction.whole.facts import NOTHING

NEAR = 10.0
"""Difference of costs from which on the dearer of two candidates is ruled out, unless chance may make it."""


def decided(model: Model, images: torch.Tensor, labels: torch.Tensor | None) -> Model:
    """The model with the network that the images decide for; the same model where its file leaves nothing open.

    Parameters
    ----------
    images, labels : ``N x C x H x W`` in [0, 1] and their classes ``N``, or None.
    """
    if model.proposal is None:
        return model
    digest = sha256(images.contiguous().numpy().tobytes())
    digest.update(b"" if labels is None else labels.contiguous().numpy().tobytes())
    known = model.proposal.decisions
    key = digest.hexdigest()
    if key not in known:
        known[key] = _decided(model, model.proposal, images, labels)
    return known[key]


def _decided(model: Model, proposal: Proposal, images: torch.Tensor, labels: torch.Tensor | None) -> Model:
    layers = proposal.layers
    try:
        found = Reconstructor(layers, images, labels, proposal.stated).best()
    except BrokenError:
        found = []
    if not found:
        return model
    best = found[0]
    sketch = shortest(best.candidate.sketch(), layers)
    module = network_of(sketch, layers)
    text = str(best.candidate.sketch())
    others = [one for one in found if str(one.candidate.sketch()) != text]

    def agreement(other: Tried) -> float:
        return float((other.answers == best.answers).float().mean())

    def as_good(other: Tried) -> bool:
        """Whether the images do not tell the two apart: two standard errors of the difference, and the costs."""
        noise = 2 * ((1 - agreement(other)) / len(best.answers)) ** 0.5
        near = max(NEAR, best.chance(other))
        return other.cost <= best.cost + near and other.merit >= best.merit - max(CLOSE, noise)

    rivals = [one for one in others if as_good(one)]
    apart = [one for one in rivals if agreement(one) < ALIKE]
    second = next(iter(apart or others), None)
    alike = [
        difference(best.candidate.sketch(), one.candidate.sketch()) for one in rivals if one not in apart
    ]
    classes = int(module(torch.zeros(1, *best.candidate.input_shape)).shape[1])
    sure = Reconstructed(
        best.merit,
        None if second is None else second.merit,
        1.0 if second is None else agreement(second),
        "" if second is None else str(shortest(second.candidate.sketch(), layers)),
        len(best.answers),
        classes,
        labels is not None,
        bool(apart),
        proposal.stated is not NOTHING,
        tuple(dict.fromkeys(alike)),
    )
    return replace(
        model,
        module=module,
        sketch=str(sketch),
        classes=classes,
        input_shape=best.candidate.input_shape,
        reconstructed=sure,
    )
