"""Whether images and networks are enough for a pack: checked before the training, and again after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ti_core.errors import DataError, PackError
from ti_core.evaluation.shift import LEAST_GROUPS
from ti_core.evaluation.table import HANDFUL
from ti_core.kinds import KINDS
from ti_core.text import few, shown
from ti_core.zoo.plan.recipe import LABELS, Recipe
from ti_core.zoo.training.admission import fit_for_a_pack
from ti_core.zoo.training.data import ImageData

LEAST_TRAIN, LEAST_TEST = 4, 1
"""Minimum number of images of each class to train with, and to test with."""
SENSIBLE = 100
"""With fewer images of a class, the user is warned that networks may be weak."""
LARGEST_COUNT = 400
"""Largest number of members that is advised."""


def check_images(data: ImageData) -> list[str]:
    """Check that every class has images.

    Returns
    -------
    A sentence about each number that is enough but small.

    Raises
    ------
    DataError : a class has too few images to train or to test with.
    """
    train, test = (Counter(labels.tolist()) for labels in (data.y_train, data.y_test))
    short = [
        f"{shown(name, 60)} has {train[k]} and {test[k]}"
        for k, name in enumerate(data.class_names)
        if train[k] < LEAST_TRAIN or test[k] < LEAST_TEST
    ]
    if short:
        raise DataError(
            f"Every class of {data.name} needs at least {LEAST_TRAIN} images to train with and {LEAST_TEST} to test"
            f" with; {few(short)}. A sensible minimum is {SENSIBLE} images a class."
        )
    least = min(range(data.classes), key=lambda k: train[k] + test[k])
    count = train[least] + test[least]
    if count >= SENSIBLE:
        return []
    return [
        f"Class {shown(data.class_names[least], 60)} has {count} images. The networks may be weak: a sensible minimum"
        f" is {SENSIBLE} images a class."
    ]


def check_plan(recipes: Sequence[Recipe], count: int, again: Callable[[int], Sequence[Recipe]]) -> list[str]:
    """Check that a plan has networks of each label to fit to, and see how many it holds out for Table 1.

    Parameters
    ----------
    count : number of members that was asked for.
    again : gives the plan for another number of members. It is used to find a number that is enough.

    Returns
    -------
    A sentence about each number that is enough but small.

    Raises
    ------
    PackError : a label has too few networks to fit to.
    """

    def advice(enough: Callable[[Sequence[Recipe]], bool]) -> str:
        found = next((n for n in range(8, LARGEST_COUNT + 1, 8) if n > count and enough(again(n))), None)
        return f"--count {found} is enough." if found else "Raise --count."

    if missing := _missing(_entries(recipes)):
        raise PackError(
            f"{count} members are too few to fit a detector: {_told(missing)}. At least {LEAST_GROUPS} of each are"
            f" needed. {advice(lambda plan: not _missing(_entries(plan)))}"
        )
    held = _held_out(_entries(recipes))
    if min(held.values()) >= HANDFUL:
        return []
    rest = advice(lambda plan: min(_held_out(_entries(plan)).values()) >= HANDFUL)
    if not any(held.values()):
        return [f"No network will be held out from fitting, so that the pack will have no Table 1. {rest}"]
    return [
        f"Table 1 will rest on {_listed(held)} networks that are held out from fitting. With fewer than {HANDFUL} a"
        f" figure says little. {rest}"
    ]


def check_members(zoo: Path, records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The trained networks in ``zoo`` that may enter a pack.

    Parameters
    ----------
    records : of all trained networks.

    Raises
    ------
    PackError : too few networks of a label may enter. The sentence says why, and what to do.
    """
    members = [r for r in records if r["family"] != "base"]
    if odd := sorted({str(r["label"]) for r in members} - {"clean", *KINDS}):
        raise PackError(f"{zoo.name} holds networks of kinds that a pack cannot hold: {few(odd)}.")
    fit = fit_for_a_pack(records)
    missing = _missing(fit)
    if not missing:
        return fit
    trained = Counter(str(r["label"]) for r in members)
    have = {label: min(trained[label], kept) for label, kept in missing.items()}
    lost = [
        f"{trained[label] - sum(r['label'] == label for r in fit)} of {trained[label]} {label} networks"
        for label in missing
        if trained[label]
    ]
    why = (
        f" Not usable, for low accuracy or a trigger that was not learnt: {' and '.join(lost)}."
        if lost
        else ""
    )
    raise PackError(
        f"{zoo.name} has too few networks to fit a detector: {_told(missing)}. At least {LEAST_GROUPS} of each are"
        f" needed, beside those held out.{why} {_remedy(len(members), have)}"
    )


def missing_labels(records: Iterable[Mapping[str, Any]]) -> str:
    """The labels with too few fitted networks in words; empty if each has enough."""
    missing = _missing(records)
    return _told(missing) if missing else ""


def _remedy(count: int, have: Mapping[str, int]) -> str:
    """What the user can do, if a detector can be fitted to only ``have`` networks of each label among ``count``."""
    rest = "Give more images a class, or a larger architecture with --architecture."
    if not count:
        return "Train networks with zoo train, or give images with --data and no --zoo."
    factor = max(LEAST_GROUPS / max(kept, 0.5) for kept in have.values())
    wanted = min(LARGEST_COUNT, -(-round(factor * count) // 8) * 8 + 8)
    return f"Raise --count to {wanted}: what is trained is kept. {rest}"


def _entries(recipes: Iterable[Recipe]) -> list[Mapping[str, Any]]:
    return [r.as_dict() for r in recipes if r.family != "base"]


def _missing(records: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """The labels with too few fitted groups, and how many each has."""
    groups = {label: set[str]() for label in LABELS}
    for r in records:
        if not r["held_out"] and r["label"] in groups:
            groups[r["label"]].add(r["group"])
    return {label: len(own) for label, own in groups.items() if len(own) < LEAST_GROUPS}


def _held_out(records: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    counted = Counter(str(r["label"]) for r in records if r["held_out"])
    return {label: counted[label] for label in LABELS}


def _told(counts: Mapping[str, int]) -> str:
    return f"only {_listed(counts)} to fit to"


def _listed(counts: Mapping[str, int]) -> str:
    words = [f"{count or 'no'} {label}" for label, count in counts.items()]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
