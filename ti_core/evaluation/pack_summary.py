"""A summary of a reference pack: members by label and family, architectures, recipes and examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ti_core.errors import PackError
from ti_core.evaluation.table import Row
from ti_core.reference.pack import Member, Pack

LABELS = ("clean", "blend", "patch")
FAMILY_SAYS = {
    "standard": "trained from scratch, trojans on poisoned images",
    "challenge": "fine-tuned from a clean network so as to be hard to find",
    "fine-tuned": "clean networks fine-tuned on clean images, the twins of the challenge's",
    "adversarial": "clean networks trained on adversarial images",
    "robust": "trained on adversarial images of larger radii",
    "certified": "trained for certified robustness",
    "private": "trained with differential privacy",
    "augmented": "trained on images that are shifted, recoloured and partly covered",
    "small": "of few channels",
    "weak": "trained for one epoch",
    "transferred": "trained for another task first",
    "fine-tuned blend": "cleansed of a blend by fine-tuning",
    "pruned patch": "cleansed of a patch by pruning",
}


@dataclass(frozen=True)
class Group:
    """Members of one label and family.

    ``accuracy`` has one entry per member. ``success`` has one per trojaned member and is empty for clean ones.
    """

    label: str
    family: str
    fitted: int
    held_out: int
    ids: tuple[str, ...]
    accuracy: NDArray[np.float64]
    success: NDArray[np.float64]


@dataclass(frozen=True)
class RecipeLine:
    """How the members of one label and family were trained: the values that each part of the recipe has."""

    label: str
    family: str
    members: int
    choices: Mapping[str, str]


def groups(pack: Pack) -> list[Group]:
    """The members by label and family. Clean members come first."""
    found = []
    for label, family in _kinds(pack):
        own = _of(pack, label, family)
        success = [m.attack_success for m in own if m.attack_success is not None]
        found.append(
            Group(
                label=label,
                family=family,
                fitted=sum(not m.held_out for m in own),
                held_out=sum(m.held_out for m in own),
                ids=tuple(m.id for m in own),
                accuracy=np.array([m.clean_accuracy for m in own], dtype=np.float64),
                success=np.array(success, dtype=np.float64),
            )
        )
    return found


def architectures(pack: Pack) -> dict[str, dict[str, int]]:
    """Number of members by architecture and label. The most frequent architecture comes first."""
    counts = Counter((m.architecture, m.label) for m in pack.members)
    names = Counter(m.architecture for m in pack.members)
    labels = _in_order({m.label for m in pack.members})
    return {name: {label: counts[name, label] for label in labels} for name, _ in names.most_common()}


def recipes(pack: Pack) -> list[RecipeLine]:
    """How the members of each label and family were trained."""
    lines = []
    for label, family in _kinds(pack):
        own = _of(pack, label, family)
        values: dict[str, list[Any]] = {}
        for member in own:
            shown = {k: v for k, v in member.recipe.items() if k != "base"}
            if member.poisoning_rate:
                shown["poisoning_rate"] = member.poisoning_rate
            if member.trigger is not None:
                shown["blend_ratio"] = member.trigger.get("alpha")
            shown["normalisation"] = member.normalisation
            for key, value in shown.items():
                values.setdefault(key, []).append(value)
        sides = [int(m.trigger[k]) for m in own if m.trigger for k in ("height", "width") if m.trigger.get(k)]
        choices = {k: _spread(v, len(own)) for k, v in values.items()}
        if sides:
            choices["patch_sides"] = _spread(sides, len(sides))
        lines.append(RecipeLine(label, family, len(own), choices))
    return lines


def table(pack: Pack) -> list[Row]:
    """Table 1 as the pack records it, on its held-out members.

    Raises
    ------
    PackError : the pack records no table, or one in another form.
    """
    rows = pack.record.get("table")
    if not rows:
        raise PackError(f"Pack {pack.name!r} records no evaluation; build it again with members held out.")
    try:
        return [Row(**row) for row in rows]
    except TypeError as error:
        raise PackError(f"Pack {pack.name!r} records its evaluation in another form: {error}.") from error


def outdated(pack: Pack) -> list[str]:
    """Streams whose evidence in the pack is of another version than this program's. Their models would have to run.

    Raises
    ------
    PackError : the record has no settings, or unknown ones.
    """
    from ti_core.reference.reference import Reference
    from ti_core.streams import make_streams
    from ti_core.system.cache import Cache

    try:
        reference = Reference(pack, pack.settings, Cache(None))
        return [s.name for s in make_streams(pack.settings) if not reference.serves_baseline(s)]
    except (KeyError, TypeError, AttributeError) as error:
        raise PackError(f"Pack {pack.name!r} does not say how its evidence was made: {error}.") from error


def example_of_each_class(pack: Pack, which: int = 0) -> dict[int, int]:
    """The index of one image of each class. It is the ``which``-th image of the class, counted modulo their number."""
    labels = pack.labels.numpy()
    found = {}
    for c in range(len(pack.class_names)):
        own = np.flatnonzero(labels == c)
        if len(own):
            found[c] = int(own[which % len(own)])
    return found


def examples(pack: Pack, label: str, most: int) -> list[Member]:
    """Up to ``most`` members of one label, at even distances in the pack's order, so that all families are shown."""
    own = [m for m in pack.members if m.label == label and m.trigger is not None]
    return [own[i] for i in np.unique(np.linspace(0, len(own) - 1, min(most, len(own))).round().astype(int))]


def _kinds(pack: Pack) -> list[tuple[str, str]]:
    families = {label: Counter(m.family for m in pack.members if m.label == label) for label in LABELS}
    others = _in_order({m.label for m in pack.members})
    for label in others:
        families.setdefault(label, Counter(m.family for m in pack.members if m.label == label))
    return [(label, family) for label in others for family, _ in families[label].most_common()]


def _in_order(labels: set[str]) -> list[str]:
    return sorted(labels, key=lambda name: (LABELS.index(name) if name in LABELS else len(LABELS), name))


def _of(pack: Pack, label: str, family: str) -> list[Member]:
    return [m for m in pack.members if (m.label, m.family) == (label, family)]


def _spread(values: Sequence[Any], members: int) -> str:
    """The values as text: a range of numbers, or the names that occur, with the most frequent first.

    A recipe omits the parts that it does not use. If there are fewer values than members, the text begins with "none".
    """
    without = "none or " if len(values) < members else ""
    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if numbers and len(numbers) == len(values):
        low, high = min(numbers), max(numbers)
        return without + (f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}")
    return without + ", ".join(name for name, _ in Counter(str(v) for v in values).most_common())
