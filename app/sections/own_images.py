"""The upload of the visitor's own images, which replace reference models, and the limits of such a verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from app import uploader
from app.store import clean_images
from app.store.sources import Source, Upload
from ti_core.reference.own_images import FEWEST, MOST

Start = Callable[[Source, Sequence[Upload]], None]


def choose(key: str) -> Sequence[Upload]:
    """The uploader, the requirements for the images, and how reliable the verdict is."""
    uploads = uploader.files(
        f"Clean images, {FEWEST} or more",
        type=[ending.lstrip(".") for ending in (*clean_images.ARCHIVES, *clean_images.PICTURES)],
        key=key,
        max_upload_size=clean_images.MOST_BYTES >> 20,
        help="Pictures; or a .zip of them, in a folder for each class if they are sorted by class; or an .npz with an"
        " array of images and, if there are any, one of labels.",
    )
    st.caption(
        "Images as the model knows them, of all its classes, none of them with a trigger. Labels help to find out how"
        f" the pixels are scaled, but are not needed. Of more than {MOST}, {MOST} are drawn. They are deleted when the"
        " inspection ends; a few stay in the case if a trigger is shown on them."
    )
    st.info(
        "Without reference models the verdict is weaker: it only says how far one of the model's classes stands apart"
        " from its others, and is more often undecided or wrong.",
        icon=":material/info:",
    )
    return uploads


def offer(source: Source, key: str, start: Start) -> None:
    """The uploader and the button for a stored model without a fitting pack."""
    with st.container(border=True):
        st.markdown("**Inspect it without reference models, on clean images of your own**")
        uploads = choose(f"{key}.images")
        if st.button(
            "Inspect on these images",
            type="primary",
            icon=":material/search:",
            key=f"{key}.alone",
            disabled=not uploads,
        ):
            start(source, uploads)
