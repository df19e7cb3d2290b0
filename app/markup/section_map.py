"""The map of a long page: links to its sections, which stay in view while the page scrolls."""

from __future__ import annotations

import re
from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.markup.templating import render

_DRAWN = "section_map.drawn"
"""Where a session keeps the headings that were drawn since the map was begun."""


def begin() -> DeltaGenerator:
    """The place of the map. What :func:`heading` draws from here on is in it, once :func:`end` draws it there."""
    st.session_state[_DRAWN] = []
    return st.container(key="section-map")


def heading(title: str) -> None:
    """The heading of a section."""
    st.header(title, anchor=anchor(title))
    st.session_state.setdefault(_DRAWN, []).append(title)


def end(place: DeltaGenerator, first: str) -> None:
    """Draw the map. ``first`` is the title of the link to the top of the page, whose heading has that anchor."""
    titles: Sequence[str] = [first, *st.session_state.get(_DRAWN, [])]
    place.html(render("page", "section_map", [(title, anchor(title)) for title in titles]))


def anchor(title: str) -> str:
    """The name of a section in the address."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
