"""The choice of a method of attribution for the pictures of a case."""

from __future__ import annotations

import streamlit as st

from app import controls, words
from ti_core.results.case import Case
from ti_core.settings import ATTRIBUTIONS


def choose(case: Case, shown: str, key: str) -> str | None:
    """A button for each method. Returns the method whose pictures are asked for.

    A method that this network does not allow has a disabled button, with the reason below it.
    """
    asked = None
    with st.popover(f"Method: {controls.CHOICES[shown]}", icon=":material/layers:"):
        st.caption(
            "Another method changes the pictures only. The model is looked at again for it; what its verdict rests on"
            " is kept, so that this takes seconds, or a minute with LIME and Kernel SHAP."
        )
        for method in ATTRIBUTIONS:
            reason, title = case.unfit.get(method, ""), controls.CHOICES[method]
            if st.button(
                title[:1].upper() + title[1:],
                key=f"{key}.method.{method}",
                disabled=method == shown or bool(reason),
                width="stretch",
            ):
                asked = method
            if reason:
                st.caption(words.safe(reason, 300))
    return asked
