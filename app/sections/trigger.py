"""The recovered trigger, and clean images without and with it."""

from __future__ import annotations

import streamlit as st

from app import words
from app.charts import pictures
from app.markup.page import Picture, strip
from ti_core.results.case import Case


def show(case: Case) -> None:
    arrays = case.arrays
    if "trigger/mask" not in arrays:
        return
    st.subheader("Recovered trigger")
    stream = case.report.streams.get("recovered_trigger", {})
    if stream.get("sentence"):
        st.markdown(words.safe(stream["sentence"], 600))
    covered = stream.get("occlusion")
    if isinstance(covered, dict) and covered.get("sentence"):
        st.markdown(words.safe(covered["sentence"], 600))
    left, right = st.columns([1, 4], gap="medium")
    kind = str(stream.get("kind") or "recovered")
    with left:
        picture = pictures.trigger_picture(arrays["trigger/mask"], arrays["trigger/pattern"])
        own = [
            Picture(
                pictures.uri(picture),
                f"The recovered {kind} trigger",
                "The trigger; grey lets the image through" if kind == "patch" else "The pattern",
            )
        ]
        if "occlusion/turned" in arrays:
            turned = pictures.heat_map(arrays["occlusion/turned"], 1.0)
            own.append(
                Picture(
                    pictures.uri(turned),
                    "Share of stamped images turned back, by the place that is covered",
                    "Covered here, images turn back: dark none, bright all",
                )
            )
        st.html(strip(own, columns=1, widest=220))
    with right:
        shown: list[Picture] = []
        for which, seen in (("clean", "before"), ("stamped", "after")):
            for image, index in zip(arrays[f"trigger/{which}"], arrays[f"trigger/{seen}"], strict=True):
                name = words.plain(case.class_names[int(index)], 30)
                shown.append(
                    Picture(
                        pictures.uri(pictures.photo(image)), f"{which} image, seen as {name}", f"sees {name}"
                    )
                )
        if shown:
            st.html(strip(shown, columns=len(arrays["trigger/clean"]), widest=130))
            st.caption(
                "Clean images above, the same with the trigger below, and the class that this model sees in each."
            )
