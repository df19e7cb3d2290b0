"""One comparison of a report with what it should be."""

from __future__ import annotations

from dataclasses import dataclass

HOLDS, DIFFERS, NOT_COMPARED = "holds", "differs", "not compared"


@dataclass(frozen=True)
class Check:
    """One comparison.

    Parameters
    ----------
    name : "json", "page", "text", "code", "model", "pack", "images" or "verdict".
    state : :data:`HOLDS`, :data:`DIFFERS` or :data:`NOT_COMPARED`.
    sentence : the result in words.
    sha256 : the digest that the report records; empty where it records none.
    """

    name: str
    state: str
    sentence: str
    sha256: str = ""
