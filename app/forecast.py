"""How long each effort takes with the file that waits, from one measured pass of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from app import state, uploader, words
from app.ask import request_of, wanted
from app.store.sources import Source
from ti_core.errors import TrojanInterpretError

SAID = {"quick": "A quick look", "standard": "All streams"}
"""What an effort is called on the page."""


def offer(source: Callable[[], Source], ready: bool) -> None:
    """The button that measures, and what it found. The file is opened in a confined process."""
    pressed = st.button(
        "How long will it take?",
        icon=":material/schedule:",
        key="forecast",
        disabled=not ready,
        help="One pass of the model is measured, without an inspection. A quick look is chosen under Settings.",
    )
    if not pressed:
        return
    try:
        with st.spinner("Measuring one pass of the model"):
            name = st.session_state.get("pack", "")
            pack = state.pack(name) if name else None
            request = request_of(source(), wanted(pack), pack).with_(case=False, cache=None)
            st.info(says(state.desk().pace.of_model(request.as_dict())), icon=":material/schedule:")
    except TrojanInterpretError as error:
        st.warning(words.safe(words.for_the_page(str(error)), 600), icon=":material/block:")
    except OSError as error:
        uploader.not_kept(error)


def says(costs: Mapping[str, float]) -> str:
    """The time of each effort in one sentence."""
    told = [f"{SAID[name]}: about {words.seconds(seconds)}" for name, seconds in costs.items()]
    return f"{'. '.join(told)}. Clean models take less, since no trigger is searched for them."
