"""Handing in a model of one's own: the file, what it is compared with, what it is, and the buttons that begin."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

import streamlit as st

from app import offered_models, state, uploader, waiting, words
from app.ask import look_of, wanted
from app.sections import own_images
from app.store.arrivals import Upload, most_bytes
from app.store.sources import Source
from ti_core.errors import ModelFileError, PackError, SettingsError

GROUNDS = {
    "pack": "Reference models",
    "alone": "My own images",
}
"""The choices for the comparison, with their labels."""
WAITING = "waiting"
"""Where a session keeps the model that waits, and what it was made of."""


class Start(Protocol):
    """Requests an inspection."""

    def __call__(self, source: Source, *, uploads: Sequence[Any], quick: bool) -> None: ...


class StartAlone(Protocol):
    """Requests an inspection without reference models."""

    def __call__(
        self, source: Source, images: Sequence[Upload], uploads: Sequence[Any], quick: bool
    ) -> None: ...


def show(start: Start, start_alone: StartAlone) -> None:
    """The box for the visitor's model."""
    st.header("Inspect your own")
    uploads = uploader.files(
        "Model file",
        key="upload",
        help="A state dict, a whole module, ONNX, or a Keras model; for ONNX with outside data hand in both files;"
        " of a model hub's folder, all files, or a zip archive of it.",
    )
    st.caption(
        "safetensors, PyTorch .pt and .pth, ONNX, Keras .h5 and .keras, a model hub's folder,"
        f" up to {words.limit(most_bytes())} together. The file stays on this machine."
    )
    offered = offered_models.choose(bool(uploads))
    ground = st.segmented_control(
        "Compare it with",
        list(GROUNDS),
        default="pack",
        format_func=GROUNDS.__getitem__,
        required=True,
        key="ground",
        help="Models known to be clean or backdoored, of the same kind of images; or, where there are none, clean"
        " images of your own.",
    )
    images = own_images.choose("images") if ground == "alone" else ()
    chosen = bool(uploads) != bool(offered)
    pressed = _buttons(chosen and (ground == "pack" or bool(images)))
    try:
        source = _waiting(offered, uploads) if chosen else None
        if source is None:
            st.session_state.pop(WAITING, None)
            return
        if pressed is None:
            _look(source)
            return
        state.looks().drop(state.session_id())
        if ground == "alone":
            start_alone(source, images, uploads, pressed)
        else:
            start(source, uploads=uploads, effort=pressed)
    except ModelFileError as error:
        st.warning(words.safe(str(error)), icon=":material/block:")
    except OSError as error:
        uploader.not_kept(error)


def _buttons(ready: bool) -> str | None:
    """The buttons of the efforts; the name of the one that was pressed."""
    with st.container(horizontal=True):
        whole = st.button(
            "Inspect", type="primary", icon=":material/search:", key="inspect", disabled=not ready
        )
        quick = st.button(
            "Quick look",
            icon=":material/bolt:",
            key="quick",
            disabled=not ready,
            help="The streams that tell most in a quarter of the time, or half of it with many classes. Patches are its"
            " weak side.",
        )
        thorough = st.button(
            "Thorough",
            icon=":material/troubleshoot:",
            key="thorough",
            disabled=not ready,
            help="Every kind of backdoor is looked for. Evidence of reference models that the pack lacks is computed"
            " first, which can take long. It is kept for later inspections.",
        )
    return "standard" if whole else "quick" if quick else "thorough" if thorough else None


def _waiting(offered: str | None, uploads: Sequence[Any]) -> Source:
    """The model that waits: one that the server offers, or an upload, which is put on the shelf once.

    Raises
    ------
    ModelFileError : the files are no model that this page takes.
    OSError : they cannot be kept.
    """
    made_of = (offered, *(upload.file_id for upload in uploads))
    kept = st.session_state.get(WAITING)
    if kept is None or kept[0] != made_of or not kept[1].path.exists():
        found = offered_models.source(offered) if offered else state.shelf().put(uploads)
        kept = st.session_state[WAITING] = made_of, found
    source: Source = kept[1]
    return source


def _look(source: Source) -> None:
    """Say what the model is, from a look in the background."""
    with suppress(SettingsError, PackError):
        name = st.session_state.get("pack", "")
        pack = state.pack(name) if name else None
        request = look_of(source, wanted(pack), pack)
        stamp = source.path.stat().st_mtime_ns
        key = hashlib.sha256(f"{request.as_dict()} {stamp}".encode(errors="replace")).hexdigest()
        state.looks().ask(state.session_id(), key, request.as_dict())
        waiting.show(key)
