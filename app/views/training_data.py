"""The page My training data: images that a model was trained on, and which of them look poisoned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from app import offered_models, state, uploader, words
from app.jobs import examination
from app.sections import training_images
from app.store import clean_images
from app.store.arrivals import Upload, most_bytes
from app.store.sources import Source
from ti_core.errors import TrojanInterpretError

FOUND = "training.found"
RATE, LEAST_RATE, MOST_RATE = 5, 1, 30
"""The share of a class that may be poisoned, in percent."""


def page() -> None:
    st.title("My training data")
    st.markdown(
        "Hand in a model and the images that it was trained on, with their labels. Two methods look for images with a"
        " trigger and a false label, class by class: Activation Clustering and Spectral Signatures."
    )
    left, right = st.columns(2, gap="large")
    with left:
        models = uploader.files("Model file", key="training.model", help="As on the page Inspect.")
        st.caption(
            f"As on the page Inspect, up to {words.limit(most_bytes())}. The files stay on this machine."
        )
        offered = offered_models.choose(bool(models))
    with right:
        images = uploader.files(
            "Training images with labels",
            type=[ending.lstrip(".") for ending in clean_images.ARCHIVES],
            key="training.images",
            max_upload_size=clean_images.MOST_BYTES >> 20,
            help="A .zip with a folder of pictures for each class, or an .npz with an array of images and one of"
            " labels.",
        )
        st.caption(
            f"A .zip with a folder for each class, or an .npz, up to {clean_images.MOST_BYTES >> 20} MB: 50 or"
            " more of a class. They are deleted when the work ends; those that stand out are shown here."
        )
        rate = st.slider(
            "Share of a class that may be poisoned, in percent",
            LEAST_RATE,
            MOST_RATE,
            RATE,
            key="training.rate",
            help="Spectral Signatures names 1.5 times as many images of each class. Activation Clustering does not use"
            " it.",
        )
    ready = bool(models) != bool(offered) and bool(images)
    if st.button(
        "Look for poison", type="primary", icon=":material/search:", key="training.look", disabled=not ready
    ):
        st.session_state.pop(FOUND, None)
        _look(offered, models, images, rate / 100)
    if FOUND in st.session_state:
        training_images.show(st.session_state[FOUND])


def _look(offered: str | None, models: Sequence[Any], images: Sequence[Upload], rate: float) -> None:
    """Examine the images. The bar and the button that cancels stand there meanwhile."""
    desk = state.desk()
    try:
        source = offered_models.source(offered) if offered else state.shelf().put(models)
        folder = desk.attach()
    except TrojanInterpretError as error:
        st.warning(words.safe(str(error), 600), icon=":material/block:")
        return
    except OSError as error:
        uploader.not_kept(error)
        return
    shown = st.empty()
    try:
        with shown.container():
            bar = st.progress(0.0, text=words.stage("opening"))
            # A press runs the page anew, which ends this run and with it the work.
            st.button("Cancel", key="training.cancel")
        request = _request(source, str(clean_images.put(images, folder).absolute()), rate)
        st.session_state[FOUND] = examination.examined(request, lambda stage, share: _tell(bar, stage, share))
    except TrojanInterpretError as error:
        st.warning(words.safe(words.for_the_page(str(error)), 900), icon=":material/block:")
    except OSError as error:
        uploader.not_kept(error)
    finally:
        desk.detach(folder)
    shown.empty()


def _request(source: Source, images: str, rate: float) -> dict[str, Any]:
    return {
        "model": str(source.path),
        "companions": [str(path) for path in source.companions],
        "images": images,
        "rate": rate,
        "device": "auto",
    }


def _tell(bar: Any, stage: str, share: float) -> None:
    bar.progress(min(1.0, max(0.0, share)), text=words.stage(stage))
