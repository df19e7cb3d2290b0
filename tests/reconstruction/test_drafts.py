"""Drafts that stored statistics decide: what is left out to save time is what cannot be kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from tests.classifier.test_reconstruct import Normed, digits, trained
from ti_core.reconstruction import candidates as candidates_module
from ti_core.reconstruction.candidates import FAR_ORDER, candidates
from ti_core.reconstruction.chain import chains
from ti_core.reconstruction.comparing import ways
from ti_core.reconstruction.comparing.ways import Ways
from ti_core.reconstruction.drafts import Drafting
from ti_core.reconstruction.layers.file_layers import file_layers


def look(norm: str, side: int) -> torch.Tensor:
    x = digits()[0][:96]
    return x if norm == "none" else (x - 0.5) / 0.5


NORMS = {"none": 0.0, "half": 0.4}
Row = tuple[str, str | None, float]


@dataclass
class Counted:
    """How many images went through how many drafts."""

    images: list[int] = field(default_factory=list)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    found, way = Counted(), Ways._way

    def count(self: Ways, draft: Any, few: int | None) -> Any:
        found.images.append(few or 96)
        return way(self, draft, few)

    monkeypatch.setattr(Ways, "_way", count)
    return found


def rows(most: float | None = None) -> list[Row]:
    layers = file_layers(trained(Normed).state_dict())
    found = Drafting(
        chains(layers)[0], {28: 0.0}, look, dict(NORMS), **({} if most is None else {"most": most})
    )
    return [(f"{d.items} {d.act} {d.pool}", d.norm, round(d.cost, 3)) for d in found.drafts()]


def test_few_images_leave_out_drafts_that_all_images_would_not_keep(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick, sent = rows(), sum(counted.images)
    counted.images.clear()
    monkeypatch.setattr(ways, "FEW", 1000)
    assert quick[:6] == rows()[:6] and sent < 0.6 * sum(counted.images)


def test_another_order_is_given_up_where_it_costs_too_much(counted: Counted) -> None:
    whole = rows()
    every = len(counted.images)
    counted.images.clear()
    limit = whole[0][2] + 2
    kept = rows(limit)
    assert [row for row in whole if row[2] <= limit] == [row for row in kept if row[2] <= limit]
    assert len(counted.images) <= every
    counted.images.clear()
    assert rows(-50.0) == [] and not counted.images


def test_orders_are_compared_with_the_best_one(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []

    class Noted(Drafting):
        def drafts(self) -> Any:
            limits.append(self.most)
            return super().drafts()

    monkeypatch.setattr(candidates_module, "Drafting", Noted)
    layers = file_layers(trained(Normed).state_dict())
    found = candidates(layers, (1, 28, 28), look, dict(NORMS))
    assert limits[0] == float("inf")
    assert len(limits) == 1 or limits[1] <= found[0].cost + FAR_ORDER
