"""The bundled models, each a button."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app import words
from app.store.sources import Source, samples


def show(start: Callable[[Source], None]) -> None:
    """The buttons. ``start`` requests the inspection of a model."""
    st.header("Try a sample")
    st.caption(
        "Bundled models whose answer is known: of each data set one clean, one with a blended trigger, one with a"
        " patch. One click; MNIST takes a few seconds, a hundred classes take a minute or two."
    )
    found = samples()
    for pack, kinds in found.items():
        with st.container(horizontal=True, key=f"samples.{pack}"):
            for kind, source in kinds.items():
                name = f"{words.safe(words.data_set(pack))} {kind}"
                if st.button(name, key=f"sample.{pack}.{kind}", width="stretch"):
                    start(source)
    if not found:
        st.info("No samples are bundled with this installation.")
