"""A mistake in a formula, and the tests that must notice it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """Replaces ``old``, which occurs once in ``ti_core/<file>``, by ``new``. One of ``tests`` must then fail."""

    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def of(file: str, tests: str, *changes: tuple[str, str]) -> list[Mutant]:
    return [Mutant(file, old, new, tuple(f"tests/{name}" for name in tests.split())) for old, new in changes]
