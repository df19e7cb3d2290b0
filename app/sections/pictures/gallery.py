"""The saliency gallery: this model's and a clean reference model's saliency of the same probe images, on one scale."""

from __future__ import annotations

import numpy as np
import streamlit as st

from app import controls, words
from app.charts import pictures
from app.charts.verdict import kind_word
from app.markup import section_map
from app.markup.page import Picture, gallery, scale
from app.sections.pictures import methods, montage
from ti_core.paper.probes import ROWS
from ti_core.results.case import Case
from ti_core.settings import Settings

NOTES = {
    "clean": "Clean",
    "maximised": "Maximised",
    "minimised": "Minimised",
}


def show(case: Case, key: str) -> Settings | None:
    """The gallery of one image: three rows of probes for every kind of trigger, with one slider and one switch.

    Returns the settings with another method of attribution if the visitor asks for its pictures.
    """
    if "probes" not in case.arrays:
        return None
    if not section_map.opened("Saliency"):
        return None
    st.caption(
        "What each model looks at: the brighter a pixel, the more the answer hangs on it. In rows the clean image, and"
        " the same image changed to be more and less of its class; in columns the random triggers put on it."
    )
    source = "attribution" if "attribution/suspect" in case.arrays else "saliency"
    method = case.report.settings["attribution"] if source == "attribution" else "saliency"
    for note in case.notes:
        st.info(words.safe(words.for_the_page(note)), icon=":material/info:")
    count = case.arrays["probes"].shape[2]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="large"):
        index = 0
        if count > 1:
            index = (
                st.slider(
                    "Image",
                    1,
                    count,
                    1,
                    key=f"{key}.image",
                    help="Which of the probe images is shown.",
                    width=360,
                )
                - 1
            )
        over = st.toggle(
            "Overlay on the image", key=f"{key}.overlay", help="Lay the saliency over its image."
        )
        asked = methods.choose(case, method, key) if case.finished else None
    top = scale_of(case, source)
    st.html(table(case, index, source, top, over))
    st.html(
        scale(
            Picture(pictures.uri(pictures.colour_scale()), "Colour scale from dark to bright"),
            "0",
            f"{top:.3g}",
            f"{controls.CHOICES[method]}, one scale for all pictures",
        )
    )
    if source == "attribution" and method == "jsma":
        st.caption(
            "JSMA marks the pixels that it had to change. Under each picture stands how many there were. A dark picture"
            " without a number was of that class already, or a seventh of its pixels was not enough."
        )
    montage.show(case, key, index)
    return None if asked is None else Settings.parse(case.report.settings).with_(attribution=asked)


def scale_of(case: Case, source: str = "saliency") -> float:
    """The top of the shared colour scale: the 99.5th percentile of both models' maps together."""
    both = np.concatenate([case.arrays[f"{source}/{who}"].ravel() for who in ("suspect", "witness")])
    return float(max(np.quantile(both, 0.995), 1e-12))


def table(case: Case, index: int, source: str, top: float, over: bool) -> str:
    """One image's gallery as a table of pictures."""
    arrays = case.arrays
    who = {"suspect": "this model", "witness": "a clean model"}
    groups = [(kind_word(kind).capitalize(), ["probe", *who.values()]) for kind in case.kinds]
    rows = []
    for r, row in enumerate(ROWS):
        cells = []
        for g, kind in enumerate(case.kinds):
            image = arrays["probes"][g, r, index]
            what = f"{row} image, {kind_word(kind)}"
            pictures_of = [Picture(pictures.uri(pictures.photo(image)), f"Probe: {what}")]
            for name, words_of in who.items():
                values = arrays[f"{source}/{name}"][g, r, index]
                drawn = pictures.overlay(image, values, top) if over else pictures.heat_map(values, top)
                seen = case.class_names[int(arrays[f"seen/{name}"][g, r, index])]
                pictures_of.append(
                    Picture(
                        pictures.uri(drawn),
                        f"Saliency of {words_of}: {what}; it sees {words.plain(seen, 30)}",
                        f"sees {words.plain(seen, 14)}{_pixels(case, source, values)}",
                    )
                )
            cells.append(pictures_of)
        rows.append((NOTES[row], cells))
    return gallery(groups, rows)


def _pixels(case: Case, source: str, values: np.ndarray) -> str:
    """How many pixels JSMA changed, where its maps are shown."""
    changed = int(np.count_nonzero(values))
    jsma = source == "attribution" and case.report.settings["attribution"] == "jsma"
    return f", {words.article(changed, 'pixel')} to change" if jsma and changed else ""
