"""The settings of an inspection, and an estimate of their cost before the inspection."""

from __future__ import annotations

from contextlib import suppress

import streamlit as st

from app import controls, state, words
from app.ask import (
    LAST,
    LEAST_MINUTES,
    MINUTES,
    MOST_MINUTES,
    PREFIX,
    as_last,
    standard,
    turned,
    wanted,
)
from ti_core.errors import PackError, SettingsError

AUTO = "chosen by the model's input and classes"


def show() -> None:
    """All settings, with the estimated cost of a change."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Reference pack",
            ["", *state.packs()],
            format_func=lambda name: name or AUTO,
            key="pack",
            on_change=_other_pack,
            help="The models known to be clean or backdoored that the suspect is compared with.",
            width=340,
        )
        st.number_input(
            "Longest inspection, in minutes",
            LEAST_MINUTES,
            MOST_MINUTES,
            MINUTES,
            key="minutes",
            help="Streams for which there is no time are left out. An inspection that does take longer is ended.",
            width=240,
        )
        _presets()
    controls.in_columns(PREFIX)
    try:
        controls.read(PREFIX)
    except SettingsError as error:
        st.warning(words.safe(words.for_the_page(str(error))), icon=":material/warning:")
        return
    cost()


def _presets() -> None:
    """Buttons that set several controls at once."""
    st.button(
        "The paper's settings",
        on_click=controls.fill,
        args=(PREFIX, controls.paper(standard())),
        key="paper",
        help="Section 5 of the paper: per-image histograms of the maximum and two percentiles, saliency alone. They"
        " hold for the next inspection.",
    )
    st.button(
        "Defaults",
        on_click=controls.fill,
        args=(PREFIX, standard()),
        key="defaults",
        help="The settings that the reference pack was made with.",
    )
    if LAST in st.session_state:
        st.button(
            "As before",
            on_click=as_last,
            key="as_before",
            help="The settings that were changed for an earlier inspection.",
        )


def notice() -> None:
    """Say which settings the next inspection is made with, where they are not the pack's own."""
    # Always there, so that nothing below changes its place: the browser would fold the settings away.
    with st.container():
        try:
            changed, own = turned(), standard()
        except SettingsError:
            return
        if not changed:
            return
        named = []
        for key, value in changed.items():
            name, here = controls.in_words(key, value)
            named.append(f"{name} {here} instead of {controls.in_words(key, getattr(own, key))[1]}")
        said = f"The next inspection is made with settings other than the pack's own: {'; '.join(named)}."
        st.info(words.safe(said, 1500), icon=":material/tune:")


def _other_pack() -> None:
    """Set the controls to the chosen pack's own settings. The visitor's changes stay."""
    before, after = standard(st.session_state.get("pack.before", "")), standard()
    st.session_state["pack.before"] = st.session_state["pack"]
    with suppress(SettingsError):
        after = after.with_(**controls.read(PREFIX).differing(before))
    controls.fill(PREFIX, after)


def cost() -> None:
    """The estimated cost of these settings."""
    for name in [st.session_state.get("pack") or ""] if st.session_state.get("pack") else state.packs():
        try:
            pack = state.pack(name)
            seconds = state.desk().pace.reference_seconds(pack, wanted(pack))
        except PackError:
            # The page of the packs says what is wrong with it.
            continue
        if seconds:
            members = sum(not m.held_out for m in pack.members)
            st.info(
                f"At these settings the {members} reference models of {words.safe(name)} are looked at again, once for"
                f" this model: about {words.seconds(seconds)}.",
                icon=":material/schedule:",
            )
