"""Small pieces of HTML that Streamlit has no element for. The templates escape every text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.charts.theme import SYMBOLS, WORDS, Palette
from app.markup.templating import render
from ti_core.results.coverage import Line

STYLE = """
<style>
.block-container, [data-testid="stMainBlockContainer"] { max-width: 1240px; padding-top: 4.5rem; }
.ti-verdict { display: flex; gap: 1rem; align-items: center; border-left: .45rem solid; padding: .9rem 1.1rem;
  border-radius: .3rem; }
.ti-verdict .mark { font-size: 1.5rem; line-height: 1; font-weight: 700; width: 2.6rem; height: 2.6rem;
  border: 3px solid currentColor; border-radius: 50%; display: grid; place-items: center; flex: none; }
.ti-verdict .headline { font-size: 1.3rem; font-weight: 600; line-height: 1.25; overflow-wrap: anywhere; }
.ti-verdict .word { display: inline; font-size: 1.45rem; font-weight: 700; }
.ti-verdict .says { font-size: 1.02rem; overflow-wrap: anywhere; }
.ti-verdict .says { margin-top: .2rem; }
.ti-verdict.so-far { border: .18rem dashed; border-left: .45rem dashed; }
.ti-verdict.so-far .mark { border-style: dashed; }
.ti-covered { width: 100%; border-collapse: collapse; font-size: .9rem; }
.ti-covered th, .ti-covered td { text-align: left; vertical-align: top; padding: .2rem .9rem .2rem 0; }
.ti-covered td.rate { white-space: nowrap; }
.ti-covered th { font-weight: 500; opacity: .75; } .ti-covered tr { border-bottom: 1px solid #8884; }
.ti-covered tr.hit td { font-weight: 700; } .ti-covered tr.gap td { opacity: .75; }
.ti-covered-box { container-type: inline-size; }
@container (max-width: 1000px) { .ti-covered td.rate { white-space: normal; } }
@container (max-width: 700px) { .ti-covered thead, .ti-covered td.none { display: none; }
  .ti-covered tr { display: block; padding: .45rem 0; } .ti-covered td { display: block; padding: 0; }
  .ti-covered td:first-child { font-weight: 600; }
  .ti-covered td[data-name]::before { content: attr(data-name) ": "; opacity: .75; } }
[data-testid="stLayoutWrapper"]:has(> .st-key-section-map) { position: sticky; top: 3.4rem; z-index: 90; }
.st-key-section-map { flex-wrap: nowrap !important; border-bottom: 1px solid #8884; }
.st-key-section-map > div:first-child { min-width: 0 !important; flex: 1 1 0 !important; }
.ti-map { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; white-space: nowrap; font-size: .9rem;
  padding: .55rem 0; }
@media (max-width: 640px) { .st-key-sections-all p { position: absolute; clip-path: inset(50%); width: 1px;
  overflow: hidden; }
  .ti-map { flex-wrap: nowrap; overflow-x: auto; mask-image: linear-gradient(90deg, #000 85%, #0004); } }
@media (max-width: 1000px) {
  [class*="st-key-"][class*="-beside"] > div > [data-testid="stHorizontalBlock"] { flex-wrap: wrap; }
  [class*="st-key-"][class*="-beside"] > div > [data-testid="stHorizontalBlock"] > div { min-width: 100%; } }
[class*="st-key-samples-"] { display: grid !important; grid-template-columns: repeat(3, minmax(0, 1fr)); }
[class*="st-key-samples-"] > div { width: 100% !important; min-width: 0 !important; }
[class*="st-key-samples-"] button { height: 100%; padding-left: .3rem; padding-right: .3rem; }
[class*="st-key-samples-"] button p { white-space: normal; line-height: 1.25; }
@media (max-width: 1000px) { [data-testid="stHorizontalBlock"] { row-gap: 1rem !important; } }
[data-testid="stButtonGroup"] > div { flex-wrap: wrap !important; overflow: visible !important; }
.stMarkdownBadge { white-space: normal !important; }
@media (max-width: 640px) {
  [data-testid="stTable"] :is(th, td) { overflow-wrap: anywhere; }
  .ti-scale { margin-left: 0 !important; flex-wrap: wrap; } }
.ti-map a { text-decoration: none; flex: none; } .ti-map a:hover { text-decoration: underline; }
[data-testid="stHeading"] :is(h1, h2, h3) { scroll-margin-top: 8.4rem !important; }
.ti-facts { display: flex; flex-wrap: wrap; gap: .4rem 1.8rem;
  margin: .2rem 0 .4rem !important; padding: 0 !important; }
.ti-facts div, .ti-facts dt, .ti-facts dd { margin: 0 !important; padding: 0; }
.ti-facts div { min-width: 6rem; } .ti-facts dt { font-size: .8rem; opacity: .75; } .ti-facts dd { margin: 0;
  font-weight: 600; overflow-wrap: anywhere; }
[data-testid="stHeading"] h2 { font-size: 1.75rem; padding: .5rem 0 1rem; }
[data-testid="stCode"] code { white-space: pre-wrap !important; overflow-wrap: anywhere; }
.ti-grid { overflow-x: auto; } .ti-grid table { border-collapse: separate; border-spacing: 3px; width: 100%;
  table-layout: fixed; min-width: 620px; }
.ti-grid th { font-weight: 500; font-size: .8rem; text-align: center; opacity: .85; padding: .1rem; line-height: 1.2; }
.ti-grid .row { text-align: right; width: 5.2rem; padding-right: .4rem; }
.ti-grid th.group { font-weight: 600; opacity: 1; font-size: .9rem; border-bottom: 2px solid; }
.ti-grid td { padding: 0; text-align: center; vertical-align: top; }
.ti-grid td.gap, .ti-grid th.gap { width: .6rem; }
.ti-grid img, .ti-strip img { width: 100%; image-rendering: pixelated; display: block; border-radius: 2px; }
.ti-grid small, .ti-strip small { font-size: .75rem; opacity: .8; }
.ti-scale { display: flex; align-items: center; gap: .5rem; font-size: .8rem; margin: .3rem 0 .6rem 5.6rem; }
.ti-scale img { width: 180px; height: 10px; border-radius: 2px; }
@media (max-width: 640px) { .ti-strip.many { grid-template-columns: repeat(4, minmax(0, 1fr)) !important; } }
.ti-strip { display: grid; gap: 4px; } .ti-strip figure { margin: 0; text-align: center; }
.ti-montage { display: grid; gap: .7rem 1rem; grid-template-columns: repeat(auto-fill, minmax(170px, 1fr)); }
.ti-montage figure { margin: 0; } .ti-montage figcaption { font-size: .85rem; line-height: 1.3; padding-bottom: 3px; }
.ti-montage .pair { display: grid; gap: 3px; grid-template-columns: repeat(2, minmax(0, 1fr)); }
.ti-montage img { width: 100%; image-rendering: pixelated; display: block; border-radius: 2px; }
.ti-montage small { display: block; font-size: .75rem; line-height: 1.3; padding-top: 3px; opacity: .8; }
.ti-drawings { display: flex; flex-wrap: wrap; gap: .6rem 1.4rem; }
.ti-drawings img { width: min(100%, var(--widest)); height: auto; display: block; }
.ti-strip figcaption { font-size: .75rem; opacity: .8; line-height: 1.25; padding-top: 2px; }
</style>
"""


def style(colours: Palette) -> str:
    """The style sheet of the page: its width, the verdict's box, the galleries, and the text of buttons and captions.

    Streamlit writes white on primary buttons in both themes. White is hard to read on the light blue of the dark theme.
    Its captions are too faint in the light theme.
    """
    caption = '[data-testid="stCaptionContainer"]'
    captions = f"{caption} {{ opacity: 1 !important; }} {caption}, {caption} * {{ color: {colours.soft}; }}"
    button = '[data-testid="stBaseButton-primary"]:enabled'
    own = f"{button}, {button} * {{ color: {colours.page}; }}"
    links = f".st-key-section-map {{ background: {colours.page}; }} .ti-map a {{ color: {colours.ink} !important; }}"
    return f"{STYLE}<style>{own} {links} {captions} {caption} a {{ color: inherit; }}</style>"


def verdict(word: str, heading: str, lines: Sequence[str], colours: Palette, final: bool = True) -> str:
    """The verdict's box: a symbol, a heading that begins with the verdict's word, and sentences below it.

    A verdict that is not final has a dashed box and says so before its word.
    """
    about = heading.removeprefix(WORDS[word])
    return render(
        "page", "verdict", SYMBOLS[word], WORDS[word], about, lines, colours.verdicts[word], colours, final
    )


def covered(lines: Sequence[Line]) -> str:
    """The table of what was looked for. On a narrow screen each line is a block."""
    return render("page", "covered", lines)


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


@dataclass(frozen=True)
class Tile:
    """One tile of a montage: a title, pictures side by side, and a note below them."""

    title: str
    pictures: tuple[Picture, ...]
    note: str = ""


def montage(tiles: Sequence[Tile]) -> str:
    """Small pictures with titles, as many in a row as there is room for."""
    return render("page", "montage", tiles)


def drawings(pictures: Sequence[Picture], widest: int) -> str:
    """Drawings side by side where there is room, each at most ``widest`` pixels wide. They have no captions."""
    return render("page", "drawings", pictures, widest)
