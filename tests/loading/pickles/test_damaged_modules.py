"""Damaged whole modules of unknown classes open with finite weights or are refused with a sentence."""

from __future__ import annotations

from tests.damage import MANY
from tests.loading.pickles.mutations import mutation, outcome


def test_damaged_modules_open_or_are_refused() -> None:
    found = [outcome(mutation(number)) for number in range(MANY or 40)]
    assert 0.1 < found.count("refused") / len(found) < 1
