"""Which kind of backdoor, and which mapping, a pack's figures are about: by the members' labels and families.

A trojaned member's label is the kind of its trigger. Its family says where its backdoor leads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ti_core.kinds import KINDS, MAPPINGS, Kind, MappingKind

FAMILY_MAPPINGS: Mapping[str, MappingKind] = {
    "all-to-all patch": "all to all",
    "all-to-all blend": "all to all",
    "one-source patch": "one source",
    "one-source blend": "one source",
}
"""Where the backdoors of a family lead. Those of every other family lead all images to one class."""

HARD_NEGATIVES = frozenset(
    {
        "adversarial",
        "certified",
        "robust",
        "private",
        "augmented",
        "small",
        "weak",
        "fine-tuned blend",
        "pruned patch",
        "transferred",
    }
)
"""Families of clean networks that detectors find hard: :mod:`ti_core.zoo.plan.kinds`."""


def mapping_of(family: str) -> MappingKind:
    """Where the backdoors of a family's members lead."""
    return FAMILY_MAPPINGS.get(family, "all to one")


def in_order(kind: str, mapping: str) -> tuple[int, int]:
    """A key to sort by: mappings as in :data:`MAPPINGS`, kinds as in :data:`KINDS`, unknown ones last."""
    return (
        MAPPINGS.index(mapping) if mapping in MAPPINGS else len(MAPPINGS),
        KINDS.index(kind) if kind in KINDS else len(KINDS),
    )


def performance_key(kind: str, mapping: str) -> str:
    """The name of figures in a pack's record: the kind of trigger, and any mapping but all to one."""
    return kind if mapping == "all to one" else f"{kind}, {mapping}"


def performance_of(detects: Mapping[str, Mapping[str, Any]], kind: Kind, mapping: MappingKind) -> Any:
    """The figures of one kind and mapping in what a pack records for one detector; None if it has none.

    Parameters
    ----------
    detects : :meth:`ti_core.reference.pack.Pack.performance`, or what a report holds of it.
    """
    for row in detects.values():
        if row["kind"] == kind and row.get("mapping", "all to one") == mapping:
            return row
    return None


def share_interval(share: float, count: int) -> tuple[float, float]:
    """95 % interval of a share of ``count`` cases (E. Wilson, JASA 1927)."""
    from scipy.stats import binomtest

    found = binomtest(round(share * count), count).proportion_ci(method="wilson")
    return float(found.low), float(found.high)
