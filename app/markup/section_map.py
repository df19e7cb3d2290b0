"""The sections of a long page: a map of links that stays in view, and headings that open and close what is below them.

A section is drawn when it is open. Which sections are open stands in the address, unless they are those that are open
at first. A visitor who opens another case finds the same sections open.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.markup.templating import render

AT_FIRST = ("recovered-trigger", "class-by-class", "saliency")
"""Anchors of the sections that are open at first."""
PARAMETER = "open"
"""Name of the open sections in the address: their anchors with commas between, or one of the two words below."""
ALL, NONE = "all", "none"
_OPEN = "section_map.open"
"""Where a session keeps the open sections, as in the address."""
_DRAWN = "section_map.drawn"
"""Where a session keeps the headings that were drawn since the map was begun."""
_ANCHOR = re.compile(r"[a-z0-9-]{1,40}")
MOST = 20
"""Maximum number of sections that an address names."""


def begin() -> DeltaGenerator:
    """The place of the map. What :func:`opened` draws from here on is in it, once :func:`end` draws it there."""
    st.session_state[_DRAWN] = []
    return st.container(key="section-map", horizontal=True, vertical_alignment="center")


def opened(title: str) -> bool:
    """The heading of a section, with the button that opens or closes it. Returns whether the section is open."""
    name = anchor(title)
    st.session_state.setdefault(_DRAWN, []).append(title)
    now = is_open(name)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.header(title, anchor=name, width="content")
        st.button(
            f"{'Hide' if now else 'Show'} {title}",
            key=f"{'hide' if now else 'show'}-{name}",
            icon=":material/expand_less:" if now else ":material/expand_more:",
            type="tertiary",
            on_click=_turn,
            args=(name, not now),
        )
    return now


def end(place: DeltaGenerator, first: str) -> None:
    """Draw the map. ``first`` is the title of the link to the top of the page, whose heading has that anchor."""
    drawn: Sequence[str] = st.session_state.get(_DRAWN, [])
    with place:
        st.html(
            render("page", "section_map", [(title, anchor(title)) for title in (first, *drawn)]),
            width="stretch",
        )
        names = [anchor(title) for title in drawn]
        whole = all(map(is_open, names))
        st.button(
            "Hide all sections" if whole else "Show all sections",
            key="sections.all",
            icon=":material/unfold_less:" if whole else ":material/unfold_more:",
            type="tertiary",
            on_click=_keep,
            args=(NONE if whole else ALL,),
        )


def anchor(title: str) -> str:
    """The name of a section in the address."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def is_open(name: str) -> bool:
    """Whether the section with that anchor is open."""
    kept = st.session_state.get(_OPEN, ",".join(AT_FIRST))
    return kept == ALL or name in kept.split(",")


def named() -> str:
    """The open sections as the address names them; empty for those that are open at first."""
    return str(st.session_state.get(_OPEN, ""))


def follow(same: bool) -> None:
    """Take over the open sections that the address names.

    Parameters
    ----------
    same : the address is of the page that was shown before. If it names none then, those of the beginning are open.
    """
    asked = st.query_params.get(PARAMETER, "")
    if asked:
        _keep(asked)
    elif same:
        st.session_state.pop(_OPEN, None)


def _turn(name: str, to_open: bool) -> None:
    """Open or close one section."""
    kept = st.session_state.get(_OPEN, ",".join(AT_FIRST))
    drawn = [anchor(title) for title in dict.fromkeys(st.session_state.get(_DRAWN, []))]
    now = drawn if kept == ALL else [] if kept == NONE else kept.split(",")
    _keep(",".join([*now, name] if to_open else [one for one in now if one != name]) or NONE)


def _keep(asked: str) -> None:
    """Keep the open sections, and write them into the address. Words that are no anchors are left out."""
    if asked not in (ALL, NONE):
        names = [one for one in dict.fromkeys(asked.split(",")[:MOST]) if _ANCHOR.fullmatch(one)]
        asked = ",".join(names) or NONE
    if set(asked.split(",")) == set(AT_FIRST):
        st.session_state.pop(_OPEN, None)
        st.query_params.pop(PARAMETER, None)
        return
    st.session_state[_OPEN] = asked
    if st.query_params.get(PARAMETER) != asked:
        st.query_params[PARAMETER] = asked
