"""The bundled models, each a button."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app import words
from app.store.sources import Source, samples

KINDS = {
    "clean": ("Clean", ":material/verified_user:"),
    "blend": ("Blend trigger", ":material/blur_on:"),
    "patch": ("Patch trigger", ":material/crop_square:"),
}


def show(start: Callable[[Source], None]) -> None:
    """The buttons. ``start`` requests the inspection of a model."""
    st.subheader("Try a sample")
    st.caption(
        "Bundled models whose answer is known: one clean, two backdoored of each data set. One click; MNIST takes a"
        " few seconds, a hundred classes take a minute or two."
    )
    found = samples()
    for pack, kinds in found.items():
        if len(found) > 1:
            st.markdown(f"**{words.safe(words.data_set(pack))}**")
        with st.container(horizontal=True, key=f"samples.{pack}"):
            for kind, source in kinds.items():
                title, icon = KINDS[kind]
                if st.button(title, icon=icon, key=f"sample.{pack}.{kind}", width="stretch"):
                    start(source)
    if not found:
        st.info("No samples are bundled with this installation.")
