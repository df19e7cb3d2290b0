"""Every setting of an inspection, with what a change costs said beforehand."""

from __future__ import annotations

import streamlit as st

from app import controls, state, words
from ti_core.errors import PackError, SettingsError
from ti_core.settings import Settings

AUTO = "chosen by the model's input and classes"


def show(prefix: str) -> None:
    """Every setting, with what a change costs."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Reference pack",
            ["", *state.packs()],
            format_func=lambda name: name or AUTO,
            key="pack",
            help="The models known to be clean or backdoored that the suspect is compared with.",
            width=340,
        )
        st.button(
            "The paper's settings",
            on_click=controls.fill,
            args=(prefix, controls.paper()),
            key="paper",
            help="Section 5 of the paper: per-image histograms of the maximum and two percentiles, saliency alone.",
        )
        st.button("Defaults", on_click=controls.fill, args=(prefix, Settings()), key="defaults")
    for column, (title, names) in zip(
        st.columns(len(controls.GROUPS), gap="large"), controls.GROUPS, strict=True
    ):
        with column:
            st.markdown(f"**{title}**")
            for name in names:
                controls.control(prefix, name)
    try:
        settings = controls.read(prefix)
    except SettingsError as error:
        st.warning(words.safe(str(error)), icon=":material/warning:")
        return
    cost(settings)


def cost(settings: Settings) -> None:
    """What these settings cost, said beforehand."""
    for name in [st.session_state.get("pack") or ""] if st.session_state.get("pack") else state.packs():
        try:
            pack = state.pack(name)
        except PackError:
            continue
        seconds = state.desk().pace.reference_seconds(pack, settings)
        if seconds:
            members = sum(not m.held_out for m in pack.members)
            st.info(
                f"At these settings the {members} reference models of {words.safe(name)} are looked at again, once for"
                f" this model: about {words.seconds(seconds)}.",
                icon=":material/schedule:",
            )
