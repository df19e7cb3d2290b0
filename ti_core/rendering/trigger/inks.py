"""The colours of a drawing that stands on pages of several themes."""

from __future__ import annotations

from dataclasses import dataclass

from ti_core.rendering.drawings import INK, LINE, SOFT, SUSPECT


@dataclass(frozen=True)
class Inks:
    """Colours as hexadecimal texts: of words, of less important words, of lines, of the page and of what is marked."""

    ink: str = INK
    soft: str = SOFT
    line: str = LINE
    page: str = "#ffffff"
    mark: str = SUSPECT


PAPER = Inks()
"""For reports, which are white."""
