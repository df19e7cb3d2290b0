"""Violations are 0 on the right side only, and their gradients lead there."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from ti_core.streams.gates.violation import Pair, _compared, _joined, straight

TRUE = Pair(torch.tensor(0.0), torch.tensor(0.4))
FALSE = Pair(torch.tensor(0.3), torch.tensor(0.0))
MEANT = {
    "And": lambda a, b: a and b,
    "Or": lambda a, b: a or b,
    "Xor": lambda a, b: a != b,
    "Equal": lambda a, b: a == b,
}


@pytest.mark.parametrize("operator", MEANT)
@pytest.mark.parametrize(("a", "b"), list(product([True, False], repeat=2)))
def test_joined_conditions(operator: str, a: bool, b: bool) -> None:
    pair = _joined(operator, [TRUE if a else FALSE, TRUE if b else FALSE])
    assert pair is not None
    assert (float(pair.true) == 0) == MEANT[operator](a, b)
    assert (float(pair.false) == 0) == (not MEANT[operator](a, b))
    assert (float(pair.lean) > 0) == MEANT[operator](a, b)


def test_not_swaps_the_sides() -> None:
    pair = _joined("Not", [TRUE])
    assert pair is not None and float(pair.true) == pytest.approx(0.4) and float(pair.false) == 0


@pytest.mark.parametrize(
    ("operator", "a", "b", "true"),
    [
        ("Greater", 0.7, 0.5, True),
        ("GreaterOrEqual", 0.2, 0.5, False),
        ("Less", 0.2, 0.5, True),
        ("LessOrEqual", 0.7, 0.5, False),
        ("Equal", 0.5, 0.5, True),
        ("Equal", 0.2, 0.5, False),
    ],
)
def test_comparisons(operator: str, a: float, b: float, true: bool) -> None:
    x = torch.tensor(a, requires_grad=True)
    pair = _compared(operator, x, torch.tensor(b))
    assert (pair.true == 0).item() == true and (pair.false == 0).item() != true
    if not true:
        (slope,) = torch.autograd.grad(pair.true, x)
        assert (x - slope * pair.true).item() == pytest.approx(b, abs=2e-4)


def test_a_number_of_conditions_keeps_its_value() -> None:
    x = torch.tensor([0.2, 0.8], requires_grad=True)
    number = straight(torch.tensor([0.0, 1.0]), 5 * x)
    assert number.tolist() == [0, 1]
    assert torch.autograd.grad(number.sum(), x)[0].tolist() == [5, 5]
