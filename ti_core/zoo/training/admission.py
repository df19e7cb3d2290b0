"""Which networks of a zoo may enter a pack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from ti_core.reference.member import needed_accuracy
from ti_core.zoo.attacks.mapping import reachable_success

MINIMUM_SUCCESS = 0.9
"""Minimum attack success rate of a trojan in a pack, of the paper's and the challenge's kind."""
SUCCESS_OF_KINDS = 0.8
"""The same of a backdoor of another kind or mapping, as a share of the success that can be reached. With covers or
correct labels it is hard to learn."""
MOST_LEFT = 0.3
"""Maximum attack success rate that is left in a network that was cleansed and counts as clean. One with more is neither
clean nor a good example of a backdoor."""
COSTLY_REGIMES = ("certified", "private")
"""Regimes that buy their guarantee with clean accuracy."""
ASTRAY = 3.0
"""A network has gone astray if its clean accuracy is below this multiple of chance, or, with few classes, below the
middle between chance and 1."""
MINIMUM_SHARE = 0.6
"""Minimum clean accuracy of a network in a pack, as a share of the zoo's median. Below it, the training diverged.

Adversarial training lowers the accuracy. With many classes such a network is below 0.7 of the median."""


def fit_for_a_pack(
    records: Iterable[Mapping[str, Any]], beside: Iterable[float] = ()
) -> list[Mapping[str, Any]]:
    """The networks that may enter a pack: no bases, and only those with enough attack success and clean accuracy.

    A network that was cleansed of a backdoor is clean only if little of its success is left. One that would get no
    verdict as a suspect is no member.

    ``beside`` holds the clean accuracies of members that the pack already has.
    """
    members = [r for r in records if r["family"] != "base"]
    beside = tuple(beside)
    accuracies = [*beside, *(r["clean_accuracy"] for r in members)]
    usual = median(accuracies) if accuracies else 0.0
    fit = [r for r in members if is_what_it_says(r) and r["clean_accuracy"] >= _least_accuracy(r, usual)]
    if not fit:
        return []
    # What would get no verdict as a suspect says nothing about suspects.
    reached = [*beside, *(r["clean_accuracy"] for r in fit)]
    needed = needed_accuracy(reached, int(fit[0]["options"]["classes"]))
    return [r for r in fit if r["clean_accuracy"] >= needed]


def gone_astray(accuracy: float, classes: int) -> bool:
    """Whether a network with this clean accuracy is trained again, with smaller steps."""
    chance = 1 / classes
    return accuracy < min(ASTRAY * chance, (1 + chance) / 2)


def _least_accuracy(record: Mapping[str, Any], usual: float) -> float:
    """Minimum clean accuracy of this network in a pack, where ``usual`` is the zoo's median."""
    if record["label"] == "clean" and (record.get("epsilon") or record.get("regime") in COSTLY_REGIMES):
        chance = 1 / int(record["options"]["classes"])
        return min(MINIMUM_SHARE * usual, ASTRAY * chance)
    return MINIMUM_SHARE * usual


def is_what_it_says(record: Mapping[str, Any]) -> bool:
    """Whether a backdoor works, and a cleansed network is clean."""
    success = record.get("attack_success")
    if record["label"] == "clean":
        return success is None or success <= MOST_LEFT
    if not (attack := record.get("attack")):
        return success is not None and success >= MINIMUM_SUCCESS
    reachable = reachable_success(attack["mapping"]["kind"], record["clean_accuracy"])
    return success is not None and success >= SUCCESS_OF_KINDS * reachable
