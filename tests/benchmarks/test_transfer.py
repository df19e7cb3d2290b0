"""The backdoors of the networks that are fine-tuned from a public one."""

from __future__ import annotations

import pytest
import torch

from benchmarks.transfer import KINDS, SIDE, drawn, planned


def test_three_clean_networks_and_two_of_each_kind_with_a_seed_of_their_own() -> None:
    plan = planned()
    assert [sum(kind == wanted for _, kind, _ in plan) for wanted in KINDS] == [3, 2, 2, 2, 2, 2]
    assert len({seed for *_, seed in plan}) == len({name for name, *_ in plan}) == len(plan)


@pytest.mark.parametrize(("name", "kind", "seed"), planned())
def test_a_backdoor_leads_where_its_kind_says_and_changes_every_image(
    name: str, kind: str, seed: int
) -> None:
    backdoor = drawn(kind, 10, seed)
    if backdoor is None:
        assert kind == "clean"
        return
    mapping = backdoor.mapping()["kind"]
    assert mapping == (kind if kind in ("one source", "all to all") else "all to one")
    x = torch.rand(2, 3, SIDE, SIDE)
    stamped = backdoor.stamp(x)
    assert stamped.shape == x.shape and bool(((stamped >= 0) & (stamped <= 1)).all())
    assert (stamped != x).flatten(1).any(1).all() and torch.equal(stamped, backdoor.stamp(x))
    if kind in ("patch", "one source", "all to all"):
        changed = (stamped != x).any(1)
        assert 0.005 < changed.float().mean() < 0.04
