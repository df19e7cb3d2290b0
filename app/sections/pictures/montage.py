"""All methods of attribution on one image: small pictures of this model and of a clean one, asked for by one press."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image
from safetensors.numpy import save

from app import controls, state, words
from app.ask import as_inspected
from app.charts import pictures
from app.jobs.errands import Errand, starter
from app.markup.page import Picture, Tile, montage, scale
from app.store.sources import Source
from ti_core.results.case import Case
from ti_core.results.files.attributions import (
    FILE,
    LARGEST_FILE,
    LARGEST_MAPS,
    MAPS,
    WHO,
    Attributions,
)
from ti_core.settings import ATTRIBUTIONS
from ti_core.worker.limits import Limits

SECONDS = 900.0
"""How long all methods may take together."""
EVERY = 0.4
NAMES = {"suspect": "this model", "witness": "a clean model"}
_turn = threading.Lock()


def show(case: Case, key: str, index: int) -> None:
    """The button, the progress, or the pictures of the image with that index."""
    source = state.kept(case.report.model["sha256"], case.report.model["file"])
    if not case.finished or not case.understood or not case.witness or source is None:
        return
    slot = f"{key}.montage"
    asked, errand = st.session_state.get(slot, (None, None))
    if asked is not None and errand.active:
        _follow(slot)
        return
    if asked == index and errand.state == "done":
        _pictures(case, errand.result, index)
        return
    if asked == index and errand.state == "failed":
        st.warning(words.safe(words.for_the_page(errand.error), 600), icon=":material/block:")
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("All methods on this image", icon=":material/grid_view:", key=f"{slot}.ask"):
            try:
                st.session_state[slot] = (index, _ask(case, source, index))
            except OSError as error:
                st.warning(f"The image cannot be kept: {words.reason(error)}", icon=":material/block:")
                return
            st.rerun(scope="app")
        st.caption(
            f"{len(ATTRIBUTIONS)} methods explain the clean image of the first column, for both models. That takes"
            " seconds for a small network, and minutes for a large one."
        )


def _ask(case: Case, source: Source, index: int) -> Errand[Attributions]:
    """Begin the work on the clean probe with that index. It is stopped when the tab is closed."""
    desk, session = state.desk(), state.session_id()
    folder = desk.attach()
    path = folder / "image.safetensors"
    image = case.arrays["probes"][0, 0, index].astype(np.float32)
    path.write_bytes(save({"image": np.ascontiguousarray(image)}))
    request: dict[str, Any] = as_inspected(case, source).as_dict() | {
        "image": str(path.absolute()),
        "witness": case.witness,
        "target": case.report.target_class,
    }
    shape, classes = (image.shape[-2], image.shape[-1]), len(case.class_names)
    return Errand(
        starter("explain image", request, Limits.for_seconds(SECONDS)),
        lambda job: Attributions.of(
            job.result_json(FILE, LARGEST_FILE), job.result(MAPS, LARGEST_MAPS), shape, classes
        ),
        lambda: state.alive(session),
        lambda: desk.detach(folder),
        _turn,
    )


@st.fragment(run_every=EVERY)
def _follow(slot: str) -> None:
    _, errand = st.session_state.get(slot, (None, None))
    if errand is None:
        return
    if not errand.active:
        if errand.state == "cancelled":
            st.session_state.pop(slot, None)
        st.rerun(scope="app")
    left, right = st.columns([6, 1], vertical_alignment="bottom")
    with left:
        text = words.stage("opening") if errand.stage == "opening" else words.safe(errand.stage, 80)
        st.progress(min(1.0, errand.share), text=text)
    with right:
        if st.button("Cancel", key=f"{slot}.cancel", width="stretch"):
            errand.cancel()
            st.session_state.pop(slot, None)
            st.rerun(scope="app")


def _pictures(case: Case, found: Attributions, index: int) -> None:
    """A tile for the image and one for every method, and the scale that they share."""
    image = case.arrays["probes"][0, 0, index]
    seen = [words.plain(case.class_names[one], 20) for one in found.seen]
    photo = Picture(pictures.uri(pictures.photo(image)), f"Image {index + 1}")
    tiles = [Tile("The image", (photo,), f"this model sees {seen[0]}, a clean model {seen[1]}")]
    tiles += [_tile(found, method) for method in ATTRIBUTIONS]
    st.html(montage(tiles))
    st.html(
        scale(
            Picture(pictures.uri(pictures.colour_scale()), "Colour scale from dark to bright"),
            "0",
            "1",
            "share of each method's largest value; left this model, right a clean model",
        )
    )


def _tile(found: Attributions, method: str) -> Tile:
    """Both networks' maps by one method on the method's own scale, or why there are none."""
    title = controls.CHOICES[method]
    shown, reasons = [], {}
    for who in WHO:
        if (method, who) in found.maps:
            drawn: Image.Image = pictures.heat_map(found.maps[method, who], found.top(method))
            shown.append(Picture(pictures.uri(drawn), f"{title} of {NAMES[who]}"))
        else:
            reasons[who] = found.unfit[method, who]
    alike = len(reasons) == len(WHO) and len(set(reasons.values())) == 1
    notes = [
        reasons[WHO[0]] if alike else f"{NAMES[who].capitalize()}: {reason}"
        for who, reason in reasons.items()
    ]
    return Tile(f"{title[:1].upper()}{title[1:]}", tuple(shown), " ".join(dict.fromkeys(notes)))
