"""Pieces of HTML of the attack lab: pictures enlarged by a whole number, and the answers of both models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.charts import pictures
from app.charts.theme import Palette
from app.markup.page import Picture
from app.markup.templating import render

STYLE = """
<style>
.ti-exact { display: flex; flex-wrap: wrap; gap: .4rem 1rem; align-items: flex-start; }
.ti-exact figure { margin: 0; width: var(--wide); }
.ti-exact img { width: var(--wide); height: auto; image-rendering: pixelated; display: block; border-radius: 2px;
  outline: 1px solid rgba(128,128,128,.45); }
.ti-exact figcaption { font-size: .82rem; opacity: .85; line-height: 1.3; padding-top: .3rem; }
@media (max-width: 1100px) { .ti-exact figure, .ti-exact img { width: var(--narrow); } }
.ti-answer { display: flex; gap: .8rem; align-items: center; border-left: .35rem solid; padding: .6rem .9rem;
  border-radius: .3rem; min-height: 6.1rem; }
.ti-answer .mark { font-size: 1.15rem; font-weight: 700; line-height: 1; width: 2rem; height: 2rem; flex: none;
  border: 2px solid currentColor; border-radius: 50%; display: grid; place-items: center; }
.ti-answer .who { font-size: .82rem; opacity: .85; } .ti-answer .word { font-weight: 700; }
.ti-answer .says { overflow-wrap: anywhere; line-height: 1.35; }
</style>
"""

MARKS = {"flips": "✗", "stays": "✓", "changes": "≠"}
COLOURS_OF = {"flips": "backdoored", "stays": "clean", "changes": "inconclusive"}


def exact(shown: Sequence[Picture], width: int, wide: int = 216, narrow: int = 120) -> str:
    """Pictures side by side, enlarged by a whole number so that all their pixels have the same size.

    Parameters
    ----------
    width : width of the pictures in their own pixels.
    wide, narrow : largest width on the page in pixels, on wide and on narrow screens.
    """
    return render("lab", "exact", shown, *(max(1, limit // width) * width for limit in (wide, narrow)))


def picture(image: NDArray[np.floating], alt: str, caption: str = "") -> Picture:
    """An image ``C x H x W`` in [0, 1] as a picture of the page."""
    return Picture(pictures.uri(pictures.photo(image)), alt, caption)


def answer(who: str, word: str, sentence: str, colours: Palette) -> str:
    """One model's answer: a symbol, a word and a sentence of at most 300 characters.

    Parameters
    ----------
    word : "flips", "stays" or "changes".
    """
    colour = colours.verdicts[COLOURS_OF[word]]
    return render("lab", "answer", who, MARKS[word], word.capitalize(), sentence, colour, colours)
