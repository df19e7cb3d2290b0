"""The box with the sketch of a network: checked as it is edited, and inspected on request."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import streamlit as st

from app import words
from app.store.sources import Source
from ti_core.errors import SketchError, TrojanInterpretError
from ti_core.reconstruction.grammar import parse_sketch

EXAMPLE = "conv 16 5; relu; avgpool 2\nconv 32 5; relu; avgpool 2\nflatten; linear 512; relu; linear 10"
SECONDS = 60.0
"""How long one check may take."""
SHOWN = 40

Start = Callable[[Source, str], None]


def offer(source: Source, text: str, pack: str, key: str, start: Start) -> None:
    """The box, what is found of its sketch, and the button that inspects the file with it.

    Parameters
    ----------
    text : the sketch to begin with, or "".
    pack : name of the pack whose images measure the accuracy, or "".
    """
    with st.container(border=True):
        st.markdown("**The network's layers**")
        st.caption(
            "Weights alone do not say what is done with them. Name the layers in order, as the network calls them. The"
            " sketch is checked when you leave the box."
        )
        typed = st.text_area(
            "Sketch",
            value=_lines(text),
            height=180,
            key=f"{key}.sketch",
            placeholder=EXAMPLE,
            label_visibility="collapsed",
        )
        fits = bool(typed.strip()) and _checked(source, typed, pack)
        if st.button(
            "Inspect with these layers", icon=":material/search:", key=f"{key}.with", disabled=not fits
        ):
            start(source, str(parse_sketch(typed)))


def _lines(text: str) -> str:
    try:
        return parse_sketch(text).lines() if text else ""
    except SketchError:
        return text


def _checked(source: Source, typed: str, pack: str) -> bool:
    """Show what fits; whether the whole sketch does."""
    try:
        sketch = str(parse_sketch(typed))
        with st.spinner("Trying the layers"):
            found = _tried(str(source.path), source.digest, sketch, pack)
    except TrojanInterpretError as error:
        st.warning(words.safe(words.for_the_page(str(error)), 900), icon=":material/edit:")
        return False
    if found["accuracy"] is not None:
        st.success(
            f"All {len(found['fits'])} layers fit, and no tensor is left over. {found['accuracy']:.1%} of the images of"
            f" {words.safe(words.data_set(found['pack']))} are classified correctly.",
            icon=":material/check:",
        )
    else:
        st.warning(words.safe(words.for_the_page(found["problem"]), 900), icon=":material/edit:")
    _table(found)
    return found["accuracy"] is not None


def _table(found: dict[str, Any]) -> None:
    rows = [
        {"Layer of the sketch": one["layer"], "Tensors of the file": one["tensors"]} for one in found["fits"]
    ]
    rows += [{"Layer of the sketch": one, "Tensors of the file": "none fit"} for one in found["missing"]]
    rows += [{"Layer of the sketch": "none", "Tensors of the file": one} for one in found["left"]]
    with st.expander(f"Which tensors fit ({len(found['fits'])} fit, {len(found['left'])} left over)"):
        st.dataframe(
            [{name: words.plain(value, 120) for name, value in row.items()} for row in rows[: 10 * SHOWN]],
            hide_index=True,
            width="stretch",
            alt="Layers of the sketch and tensors of the file",
        )


@lru_cache(maxsize=64)
def _tried(path: str, digest: str, sketch: str, pack: str) -> dict[str, Any]:
    """What the worker finds of a sketch. ``digest`` is of the file at ``path``."""
    from ti_core.worker import Job, Limits
    from ti_core.worker.inspection_job import follow, sketch_tried

    request = {"model": path, "sketch": sketch, "pack": pack}
    with Job.start("try sketch", request, limits=Limits.for_seconds(SECONDS)) as job:
        follow(job, lambda stage, share: None)
        return sketch_tried(job)
