"""Small pieces of HTML that Streamlit has no element for; every text that goes in is escaped here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from app.charts.theme import SYMBOLS, WORDS, Palette
from app.words import plain

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
    """The page's own rules: widths, the verdict's box, the galleries, and what is written on the main buttons.

    Streamlit writes white on them in either appearance, which on the dark one's light blue is hardly to be read.
    """
    button = '[data-testid="stBaseButton-primary"]:enabled'
    return f"{STYLE}<style>{button}, {button} * {{ color: {colours.page}; }}</style>"


def verdict(word: str, sentence: str, colours: Palette) -> str:
    """The verdict's box: a symbol, a word, a sentence."""
    colour = colours.verdicts[word]
    return (
        f'<div class="ti-verdict" role="status" style="border-color:{colour};background:{colours.card};">'
        f'<span class="mark" aria-hidden="true" style="color:{colour}">{SYMBOLS[word]}</span>'
        f'<div><div class="word" style="color:{colour}">{WORDS[word]}</div>'
        f'<div class="says" style="color:{colours.ink}">{escape(plain(sentence, 600))}</div></div></div>'
    )


def facts(pairs: Sequence[tuple[str, object]]) -> str:
    """A row of small facts: what, and its value."""
    cells = "".join(
        f"<div><dt>{escape(k)}</dt><dd>{escape(plain(v, 200))}</dd></div>"
        for k, v in pairs
        if v not in ("", None)
    )
    return f'<dl class="ti-facts">{cells}</dl>'


@dataclass(frozen=True)
class Picture:
    """A picture inside the page: its data, what it shows in words, and a line under it."""

    uri: str
    alt: str
    caption: str = ""

    def html(self) -> str:
        under = f"<small>{escape(plain(self.caption, 80))}</small>" if self.caption else ""
        return f'<img src="{escape(self.uri)}" alt="{escape(plain(self.alt, 200))}">{under}'


def gallery(
    groups: Sequence[tuple[str, Sequence[str]]], rows: Sequence[tuple[str, Sequence[Sequence[Picture]]]]
) -> str:
    """A table of pictures.

    Parameters
    ----------
    groups : the column groups: each a title and the titles of its columns.
    rows : each a title and, for every group, its pictures.
    """
    gap = '<td class="gap"></td>'
    head = '<tr><th class="row"></th>' + '<th class="gap"></th>'.join(
        f'<th class="group" colspan="{len(columns)}">{escape(title)}</th>' for title, columns in groups
    )
    sub = '</tr><tr><th class="row"></th>' + '<th class="gap"></th>'.join(
        "".join(f"<th>{escape(c)}</th>" for c in columns) for _, columns in groups
    )
    body = "".join(
        f'<tr><th class="row" scope="row">{escape(title)}</th>'
        + gap.join("".join(f"<td>{p.html()}</td>" for p in pictures) for pictures in cells)
        + "</tr>"
        for title, cells in rows
    )
    return f'<div class="ti-grid"><table><thead>{head}{sub}</tr></thead><tbody>{body}</tbody></table></div>'


def scale(picture: Picture, low: str, high: str, what: str) -> str:
    """The colour scale's legend."""
    return (
        f'<div class="ti-scale"><span>{escape(low)}</span>{picture.html()}<span>{escape(high)}</span>'
        f"<span>{escape(what)}</span></div>"
    )


def strip(pictures: Sequence[Picture], columns: int | None = None, widest: int = 150) -> str:
    """Pictures side by side, each with its line under it."""
    count = columns or len(pictures)
    cells = "".join(
        f'<figure><img src="{escape(p.uri)}" alt="{escape(plain(p.alt, 200))}">'
        f"<figcaption>{escape(plain(p.caption, 80))}</figcaption></figure>"
        for p in pictures
    )
    return f'<div class="ti-strip" style="grid-template-columns:repeat({count},minmax(0,{widest}px))">{cells}</div>'
