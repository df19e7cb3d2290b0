"""Activation maximisation as a film: a frame that a slider chooses, the strip, and the class score over the steps."""

from __future__ import annotations

import streamlit as st

from app import state, words
from app.charts import pictures
from app.charts.pictures import Array
from app.charts.verdict import CONFIG, ascent_lines
from app.markup import section_map
from app.markup.page import Picture, strip
from ti_core.rendering.pictures import evenly
from ti_core.results.case import Case

LARGE, SMALL = 300, 96
"""Largest width in pixels of the frame that is shown, and of those in the strips."""
ALONG = 7
"""Maximum number of frames in a strip."""
WAYS = ("Maximised", "Minimised")
WHO = {"maker": "the reference model", "suspect": "this model"}


def show(case: Case, key: str) -> None:
    made = [who for who in WHO if f"actmax/{who}/images" in case.arrays]
    if not made:
        return
    if not section_map.opened("Activation maximisation"):
        return
    st.caption(
        "The probes are made in small steps that make an image more of its class (maximised) or less (minimised). The"
        " slider plays the steps like a film."
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
                help="The probes were made with a reference model. This model's own steps stand beside it.",
            )
        index = 0
        if count > 1:
            index = st.slider("Image", 1, count, 1, key=f"{key}.actmax.image", width=360) - 1
    images = case.arrays[f"actmax/{who}/images"][:, :, index]
    scores = case.arrays[f"actmax/{who}/scores"][:, :, index]
    if not images.size or not scores.size:
        return
    target = case.class_names[int(case.arrays[f"actmax/{who}/classes"][index])]
    steps = _steps(images.shape[1], scores.shape[1])
    frame = len(steps) - 1
    if frame:
        frame = st.select_slider(
            "Step",
            range(len(steps)),
            value=frame,
            format_func=lambda number: _named(number, steps),
            key=f"{key}.actmax.frame",
            help="Drag it, or use the arrow keys, to play the film. The step is shown large.",
        )
    left, right = st.columns([3, 2], gap="large")
    with left:
        _film(images, scores, steps, frame, target)
    with right:
        st.plotly_chart(
            ascent_lines(scores, ("maximised", "minimised"), state.colours(), steps[frame]),
            theme=None,
            config=CONFIG,
            key=f"{key}.actmax.chart",
            alt=(
                f"Log-probability of the class: from {scores[0, 0]:.2g} to {scores[0, -1]:.2g} maximised, to"
                f" {scores[1, -1]:.2g} minimised."
            ),
        )


def _steps(frames: int, scores: int) -> list[int]:
    """The iteration that each kept frame shows."""
    return [round(i * (scores - 1) / max(1, frames - 1)) for i in range(frames)]


def _named(number: int, steps: list[int]) -> str:
    return "start" if number == 0 else "end" if number == len(steps) - 1 else f"step {steps[number]}"


def _film(images: Array, scores: Array, steps: list[int], frame: int, target: str) -> None:
    """Both ways at one frame, large, and a strip of each below, with a mark at the frame or the one nearest to it."""
    shown = []
    for way, line, name in zip(images, scores, WAYS, strict=True):
        where = f"{name} for class {words.plain(target, 30)}, {_named(frame, steps)}"
        caption = f"{where}: log-probability {line[steps[frame]]:.3g}"
        shown.append(Picture(pictures.uri(pictures.photo(way[frame])), where, caption))
    st.html(strip(shown, widest=LARGE))
    along = evenly(len(steps), ALONG)
    nearest = min(along, key=lambda number: abs(number - frame))
    for way, name in zip(images, WAYS, strict=True):
        small = []
        for number in along:
            mark = "▲ " if number == nearest else ""
            said = _named(number, steps)
            small.append(
                Picture(pictures.uri(pictures.photo(way[number])), f"{name}, {said}", f"{mark}{said}")
            )
        st.html(strip(small, widest=SMALL))
