"""What the file that waits is, which pack fits it, and how long each effort takes: shown before it is inspected."""

from __future__ import annotations

import streamlit as st

from app import state, words
from app.markup.page import facts
from ti_core.results.files.first_look import FirstLook

EVERY = 0.5
"""Seconds between two questions whether the look is done."""


def show(key: str) -> None:
    """The card of the file whose look has that key."""
    if state.looks().found(key) is None:
        _follow(key)
    else:
        _card(key)


@st.fragment(run_every=EVERY)
def _follow(key: str) -> None:
    if state.looks().found(key) is not None:
        st.rerun(scope="app")
    st.markdown(":material/hourglass_empty: Looking at the file…")


def _card(key: str) -> None:
    found = state.looks().found(key)
    if not isinstance(found, FirstLook):
        st.warning(words.safe(words.for_the_page(str(found)), 900), icon=":material/block:")
        return
    classes = "not said by the file" if found.classes is None else f"{found.classes:,}"
    rows = [
        ("Format", found.format),
        ("Network", words.plain(found.network, 160)),
        ("Weights", f"{found.parameters:,}"),
        ("Classes", classes),
        ("Input", found.takes),
        *((TITLES[effort], f"about {words.seconds(seconds)}") for effort, seconds in found.seconds.items()),
    ]
    st.html(facts(rows))
    st.caption(words.safe(words.for_the_page(found.why), 600))
    if found.doubt:
        st.warning(words.safe(words.for_the_page(found.doubt), 900), icon=":material/warning:")


TITLES = {"quick": "Quick look takes", "standard": "Inspection takes", "thorough": "Thorough one takes"}
"""What the time of an effort is called on the page."""
