"""Activation maximisation: the image from start to end, and the class score over the iterations."""

from __future__ import annotations

import numpy as np
import streamlit as st

from app import state, words
from app.charts import pictures
from app.charts.verdict import CONFIG, ascent_lines
from app.markup import section_map
from app.markup.page import Picture, strip
from ti_core.results.case import Case

WHO = {"maker": "the reference model that made the probes", "suspect": "this model"}


def show(case: Case, key: str) -> None:
    made = [who for who in WHO if f"actmax/{who}/images" in case.arrays]
    if not made:
        return
    if not section_map.opened("Activation maximisation"):
        return
    st.caption(
        "Small steps that make an image more of its class (maximised) or less (minimised): so the probes are made."
    )
    count = case.arrays[f"actmax/{made[0]}/images"].shape[2]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="large"):
        who = made[0]
        if len(made) > 1:
            who = st.segmented_control(
                "Steps by",
                made,
                default=made[0],
                format_func=WHO.__getitem__,
                required=True,
                key=f"{key}.actmax.who",
            )
        index = 0
        if count > 1:
            index = st.slider("Image", 1, count, 1, key=f"{key}.actmax.image", width=360) - 1
    images = case.arrays[f"actmax/{who}/images"][:, :, index]
    scores = case.arrays[f"actmax/{who}/scores"]
    target = case.class_names[int(case.arrays[f"actmax/{who}/classes"][index])]
    left, right = st.columns([3, 2], gap="large")
    with left:
        steps = scores.shape[1] - 1
        for way, name in zip(images, ("Maximised", "Minimised"), strict=True):
            shown = []
            for i, image in enumerate(way):
                step = round(i * steps / max(1, len(way) - 1))
                where = "start" if i == 0 else "end" if i == len(way) - 1 else f"step {step}"
                shown.append(
                    Picture(
                        pictures.uri(pictures.photo(image)),
                        f"{name} for class {words.plain(target, 30)}, {where}",
                        where,
                    )
                )
            st.markdown(f"{name} for class {words.safe(target, 30)}")
            st.html(strip(shown, widest=115))
    with right:
        lines = np.stack([scores[0, :, index], scores[1, :, index]])
        st.plotly_chart(
            ascent_lines(lines, ("maximised", "minimised"), state.colours()),
            theme=None,
            config=CONFIG,
            key=f"{key}.actmax.chart",
            alt=(
                f"Log-probability of the class: from {lines[0, 0]:.2g} to {lines[0, -1]:.2g} maximised, to"
                f" {lines[1, -1]:.2g} minimised."
            ),
        )
