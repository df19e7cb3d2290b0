"""What may stand between two layers of a whole module."""

from __future__ import annotations

from ti_core.reconstruction.sketch import Layer
from ti_core.reconstruction.usual import ACT, POOL, Choice
from ti_core.reconstruction.whole.choices import ELSEWHERE, stated_choices
from ti_core.reconstruction.whole.facts import Stated

USUAL = [Choice((ACT,)), Choice((ACT, POOL), 0.5)]
AVERAGE = Layer("avgpool", (2,))


def costs(stated: Stated) -> dict[tuple[Layer, ...], float]:
    return {choice.layers: choice.cost for choice in stated_choices(USUAL, None, stated)}


def test_registered_poolings_come_before_those_of_a_function() -> None:
    """A DenseNet registers its transitions' average poolings, and may call the max pooling of its beginning."""
    assert costs(Stated(pools=(AVERAGE,))) == {(ACT,): 0.0, (ACT, AVERAGE): 0.5, (ACT, POOL): 0.5 + ELSEWHERE}


def test_without_registered_poolings_any_may_be_called() -> None:
    assert costs(Stated()) == {(ACT,): 0.0, (ACT, POOL): 0.5}
