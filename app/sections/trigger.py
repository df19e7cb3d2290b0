"""The recovered trigger of any kind, what it does to each class, and clean images without and with it."""

from __future__ import annotations

import streamlit as st

from app import state, words
from app.charts import pictures
from app.charts.theme import inks
from app.markup import section_map
from app.markup.page import Picture, drawings, strip
from ti_core.rendering.trigger.figures import form_figures, table_figures
from ti_core.rendering.trigger.shown import ShownTrigger, shown_trigger
from ti_core.results.case import Case


def show(case: Case) -> None:
    found = shown_trigger(case)
    if found is None:
        return
    if not section_map.opened("Recovered trigger"):
        return
    for sentence in (found.sentence, found.covering):
        if sentence:
            st.markdown(words.safe(sentence, 600))
    left, right = st.columns([1, 4], gap="medium")
    with left:
        _form(case, found)
    with right:
        if len(found.clean):
            st.html(strip(_images(case, found), columns=len(found.clean), widest=130))
            st.caption(words.safe(f"{found.effect} Below each image is the class that this model sees.", 600))
    tables = table_figures(found, case.class_names, inks(state.colours()))
    if tables:
        st.html(drawings([Picture(pictures.figure_uri(t), t.caption) for t in tables], widest=440))
        st.caption(
            "Per cent of each class's unseen images by the class that this model sees, without and with the trigger."
            " Frames mark the class that each class is led to."
        )


def _form(case: Case, found: ShownTrigger) -> None:
    """The trigger itself, and where covering turns stamped images back."""
    own = form_pictures(found)
    if not own:
        st.caption(words.safe(found.form_says, 200))
    if "occlusion/turned" in case.arrays:
        turned = pictures.heat_map(case.arrays["occlusion/turned"], 1.0)
        own.append(
            Picture(
                pictures.uri(turned),
                "Share of stamped images turned back, by the place that is covered",
                "Covered here, images turn back: dark none, bright all",
            )
        )
    if own:
        st.html(strip(own, columns=1, widest=220))


def form_pictures(found: ShownTrigger) -> list[Picture]:
    """The trigger itself; none of a kind that has no picture."""
    return [
        Picture(
            pictures.figure_uri(figure),
            f"The recovered {words.plain(found.kind, 30)} trigger",
            figure.caption,
        )
        for figure in form_figures(found, inks(state.colours()))
    ]


def _images(case: Case, found: ShownTrigger) -> list[Picture]:
    """Images without the trigger, then the same with it, with the class that the model sees in each."""
    shown = []
    for which, images, seen in (
        ("clean", found.clean, found.before),
        ("stamped", found.stamped, found.after),
    ):
        for image, index in zip(images, seen, strict=True):
            name = words.plain(case.class_names[int(index)], 30)
            shown.append(
                Picture(pictures.uri(pictures.photo(image)), f"{which} image, seen as {name}", f"sees {name}")
            )
    return shown
