"""Small pieces of HTML that Streamlit has no element for. The templates escape every text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.charts.theme import SYMBOLS, WORDS, Palette
from app.markup.templating import render

STYLE = """
<style>
.block-container, [data-testid="stMainBlockContainer"] { max-width: 1240px; padding-top: 4.5rem; }
.ti-verdict { display: flex; gap: 1rem; align-items: center; border-left: .45rem solid; padding: .9rem 1.1rem;
  border-radius: .3rem; }
.ti-verdict .mark { font-size: 1.5rem; line-height: 1; font-weight: 700; width: 2.6rem; height: 2.6rem;
  border: 3px solid currentColor; border-radius: 50%; display: grid; place-items: center; flex: none; }
.ti-verdict .word { font-size: 1.45rem; font-weight: 700; line-height: 1.2; }
.ti-verdict .says { font-size: 1.02rem; overflow-wrap: anywhere; }
.ti-facts { display: flex; flex-wrap: wrap; gap: .4rem 2.2rem;
  margin: .2rem 0 .4rem !important; padding: 0 !important; }
.ti-facts div, .ti-facts dt, .ti-facts dd { margin: 0 !important; padding: 0; }
.ti-facts div { min-width: 6rem; } .ti-facts dt { font-size: .8rem; opacity: .75; } .ti-facts dd { margin: 0;
  font-weight: 600; overflow-wrap: anywhere; }
.ti-grid { overflow-x: auto; } .ti-grid table { border-collapse: separate; border-spacing: 3px; width: 100%;
  table-layout: fixed; min-width: 620px; }
.ti-grid th { font-weight: 500; font-size: .8rem; text-align: center; opacity: .85; padding: .1rem; line-height: 1.2; }
.ti-grid th.row { text-align: right; width: 5.2rem; padding-right: .4rem; }
.ti-grid th.group { font-weight: 600; opacity: 1; font-size: .9rem; border-bottom: 2px solid; }
.ti-grid td { padding: 0; text-align: center; vertical-align: top; }
.ti-grid td.gap, .ti-grid th.gap { width: .6rem; }
.ti-grid img, .ti-strip img { width: 100%; image-rendering: pixelated; display: block; border-radius: 2px; }
.ti-grid small, .ti-strip small { font-size: .75rem; opacity: .8; }
.ti-scale { display: flex; align-items: center; gap: .5rem; font-size: .8rem; margin: .3rem 0 .6rem 5.6rem; }
.ti-scale img { width: 180px; height: 10px; border-radius: 2px; }
.ti-strip { display: grid; gap: 4px; } .ti-strip figure { margin: 0; text-align: center; }
.ti-strip figcaption { font-size: .75rem; opacity: .8; line-height: 1.25; padding-top: 2px; }
</style>
"""


def style(colours: Palette) -> str:
    """The style sheet of the page: its width, the verdict's box, the galleries and the text colour of primary buttons.

    Streamlit writes white on primary buttons in both themes. White is hard to read on the light blue of the dark theme.
    """
    button = '[data-testid="stBaseButton-primary"]:enabled'
    return f"{STYLE}<style>{button}, {button} * {{ color: {colours.page}; }}</style>"


def verdict(word: str, sentence: str, colours: Palette) -> str:
    """The verdict's box: a symbol, a word and a sentence of at most 600 characters."""
    return render("page", "verdict", SYMBOLS[word], WORDS[word], sentence, colours.verdicts[word], colours)


def facts(pairs: Sequence[tuple[str, object]]) -> str:
    """A row of names and values. Empty values are left out."""
    return render("page", "facts", [(name, value) for name, value in pairs if value not in ("", None)])


@dataclass(frozen=True)
class Picture:
    """A picture in the page: its data URI, an alternative text and a caption."""

    uri: str
    alt: str
    caption: str = ""


def gallery(
    groups: Sequence[tuple[str, Sequence[str]]], rows: Sequence[tuple[str, Sequence[Sequence[Picture]]]]
) -> str:
    """A table of pictures.

    Parameters
    ----------
    groups : the groups of columns, each with its title and the titles of its columns.
    rows : each row's title and its pictures, one sequence per group.
    """
    return render("page", "gallery", groups, rows)


def scale(picture: Picture, low: str, high: str, what: str) -> str:
    """The legend of a colour scale: both ends and what the colours mean."""
    return render("page", "scale", picture, low, high, what)


def strip(pictures: Sequence[Picture], columns: int | None = None, widest: int = 150) -> str:
    """Pictures side by side with their captions, each at most ``widest`` pixels wide."""
    return render("page", "strip", pictures, columns or len(pictures), widest)
