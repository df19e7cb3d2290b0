"""Networks unlike the reference models, for which an alarm has to be surer.

A threshold is set on networks like the reference models. A network with other traits resembles none of them, and its
evidence lies elsewhere for reasons that have nothing to do with a backdoor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from ti_core.detector.detector import Assessment
from ti_core.detector.joint import LEAST_ERROR

UNLIKE_SURE = 0.8
"""Minimum probability of an alarm over a network unlike the reference models. ``python -m benchmarks.unlike`` prints
what it does to members of recipes and architectures that were left out of the fit."""
BEYOND = 2.0
"""A trait is unlike the reference models' if it is this many times their largest value, or their smallest over this."""

NEAREST = 8
"""Number of clean reference models that an unlike network is compared with: a tenth to a quarter of a pack's."""


@dataclass(frozen=True)
class Trait:
    """A trait by which networks are compared.

    Parameters
    ----------
    name : of the trait, in a sentence.
    word : a value in words.
    """

    name: str
    word: Callable[[float], str]


def counted(value: float) -> str:
    """A number of parameters in words: "11.2 million" or "23,000"."""
    return f"{value / 1e6:.1f} million" if value >= 1e6 else f"{float(f'{value:.2g}'):,.0f}"


TRAITS: Mapping[str, Trait] = {
    "parameters": Trait("parameters", counted),
    "layers": Trait("layers with weights", lambda v: f"{v:.0f}"),
    "mistakes": Trait("mistakes on clean images", lambda v: f"{v:.1%}"),
    "margin": Trait("usual lead of the largest score", lambda v: f"{v:.3g}"),
}


def traits(parameters: int, layers: int, accuracy: float, margin: float | None) -> dict[str, float]:
    """A network's traits by name, of :data:`TRAITS`; without those that are not known.

    Parameters
    ----------
    parameters, layers : 0 if they are not known, as of a graph that holds its weights as constants.
    accuracy : clean accuracy, 0 to 1.
    margin : the usual lead of the largest score on clean images.
    """
    found = {"mistakes": max(1 - accuracy, LEAST_ERROR)}
    if parameters and layers:
        found |= {"parameters": float(parameters), "layers": float(layers)}
    if margin is not None and margin > 0:
        found["margin"] = margin
    return found


def unlike(own: Mapping[str, float], reference: Sequence[Mapping[str, float]]) -> tuple[str, ...]:
    """A sentence for every trait in which a network is unlike the reference models.

    Parameters
    ----------
    own : its traits by name, of :data:`TRAITS`; each above 0.
    reference : those of the clean reference models.
    """
    said = []
    for name, trait in TRAITS.items():
        known = [traits[name] for traits in reference if name in traits]
        if name not in own or not known:
            continue
        value, low, high = own[name], min(known), max(known)
        if not low / BEYOND <= value <= high * BEYOND:
            said.append(
                f"It is unlike the clean reference models in its {trait.name}: {trait.word(value)}, theirs are"
                f" {trait.word(low)} to {trait.word(high)}."
            )
    return tuple(said)


def nearest(own: Mapping[str, float], reference: Sequence[Mapping[str, float]]) -> list[int]:
    """Indices of the :data:`NEAREST` reference models most like a network, the nearest first.

    The distance is the mean of the squared logarithms of the ratios of the traits that both have.

    Parameters
    ----------
    own, reference : as of :func:`unlike`.
    """
    distances = [
        fmean(math.log(own[name] / other[name]) ** 2 for name in shared) if shared else math.inf
        for other, shared in ((other, own.keys() & other.keys()) for other in reference)
    ]
    return sorted(range(len(reference)), key=distances.__getitem__)[:NEAREST]


def beside_nearest(strength: float, others: Sequence[float]) -> str:
    """A sentence on how far a network stands out, beside the clean reference models most like it.

    Parameters
    ----------
    strength, others : joint strength of the most suspicious class, in deviations, of the network and of these models.
    """
    further = sum(other >= strength for other in others)
    stand = f"{further or 'none'} {'stand' if further > 1 else 'stands'} out as far"
    return (
        f"Of the {len(others)} clean reference models most like it, {stand}: its most suspicious class reaches"
        f" {strength:.1f} deviations, theirs {min(others):.1f} to {max(others):.1f}."
    )


def surer(assessment: Assessment, unlike: Sequence[str]) -> Assessment:
    """The assessment, which is inconclusive where it would be an alarm that is not sure enough for such a network."""
    if not unlike or assessment.verdict != "backdoored" or assessment.probability >= UNLIKE_SURE:
        return assessment
    return replace(assessment, verdict="inconclusive", trigger_kind=None)
