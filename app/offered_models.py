"""The choice of a model in the folder that the server's operator allows, beside the upload."""

from __future__ import annotations

import streamlit as st

from app import words
from app.store.served import served
from app.store.sources import Source
from ti_core.errors import ModelFileError


def choose(uploaded: bool) -> str | None:
    """The box with the models of the folder, where there is one; the name of the chosen model."""
    folder = served()
    if folder is None:
        return None
    chosen: str | None = st.selectbox(
        "Or a model in this server's folder",
        folder.names(),
        index=None,
        key="offered",
        placeholder="Choose a file",
        help=f"Files up to {words.limit(folder.limit)}, which need no upload.",
    )
    if chosen and uploaded:
        st.caption("Either hand in a file or choose one of the server's folder.")
    return chosen


def source(name: str) -> Source:
    """The model of that name.

    Raises
    ------
    ModelFileError : it is no longer in the folder.
    """
    folder = served()
    if folder is None:
        raise ModelFileError("This server no longer offers a folder with models; hand in the file.")
    return folder.source(name)
