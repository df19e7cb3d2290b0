"""What a pack's figures are about, by label and family."""

from __future__ import annotations

import pytest

from ti_core.kinds import KINDS, MAPPINGS
from ti_core.reference.families import mapping_of, performance_key, performance_of, share_interval
from ti_core.zoo.plan.kinds import FAMILIES


def test_the_packs_and_the_zoo_agree_where_every_family_leads() -> None:
    for name, family in FAMILIES.items():
        if family.leads is None:
            assert mapping_of(name) == "all to one"
            continue
        kind, mapping = family.leads
        assert mapping_of(name) == mapping
        assert kind in KINDS and mapping in MAPPINGS
    assert FAMILIES["one-source blend"].leads == ("blend", "one source")
    assert FAMILIES["generated"].leads == ("input dependent", "all to one")
    assert FAMILIES["low-frequency blend"].leads == ("blend", "all to one")
    assert FAMILIES["pruned patch"].leads is None and FAMILIES["certified"].leads is None
    assert mapping_of("standard") == mapping_of("challenge") == "all to one"


def test_figures_are_found_by_kind_and_mapping() -> None:
    rows = [{"kind": "patch", "found": 0.9}, {"kind": "patch", "mapping": "all to all", "found": 0.5}]
    detects = {performance_key(r["kind"], r.get("mapping", "all to one")): r for r in rows}
    assert list(detects) == ["patch", "patch, all to all"]
    assert performance_of(detects, "patch", "all to one") is rows[0]
    assert performance_of(detects, "patch", "all to all") is rows[1]
    assert performance_of(detects, "patch", "one source") is None
    assert performance_of(detects, "blend", "all to one") is None


def test_the_interval_of_a_share_is_wilsons() -> None:
    p, n, z = 15 / 18, 18, 1.959963984540054
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    assert share_interval(p, n) == pytest.approx((middle - half, middle + half))
