"""From what a visitor chose to what a worker is asked to do."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from app import clean_images, state
from app.cases import home
from app.sources import Source, Upload
from app.tickets import Ticket
from ti_core.pack import PACKS, Pack
from ti_core.settings import Settings

MOST_CACHES = 64


def submit(source: Source, settings: Settings, pack: Pack | None, slot: str = "ticket") -> Ticket:
    """Ask for an inspection and remember its ticket in this session.

    Raises
    ------
    FullError : too many are waiting.
    """
    desk = state.desk()
    before = desk.ticket(st.session_state.get(slot, ""))
    if before is not None and before.active:
        desk.cancel(before)
    ticket = desk.submit(
        state.session_id(),
        source.name,
        request_of(source, settings, pack),
        desk.pace.expected(pack, settings),
    )
    st.session_state[slot] = ticket.id
    return ticket


def submit_alone(source: Source, settings: Settings, images: Sequence[Upload]) -> Ticket:
    """Ask for an inspection on the visitor's own clean images, in the place of a pack; they go when it has ended.

    Raises
    ------
    DataError : these are no images that could serve, or too many bytes.
    FullError : too many are waiting.
    OSError : they cannot be written.
    """
    desk = state.desk()
    before = desk.ticket(st.session_state.get("ticket", ""))
    if before is not None and before.active:
        desk.cancel(before)
    folder = desk.attach()
    try:
        path = clean_images.put(images, folder)
        ticket = desk.submit(
            state.session_id(),
            source.name,
            request_of(source, settings, None) | {"images": str(path.absolute())},
            desk.pace.expected(None, settings, alone=True),
            attached=folder,
        )
    except BaseException:
        desk.detach(folder)
        raise
    st.session_state["ticket"] = ticket.id
    return ticket


def request_of(source: Source, settings: Settings, pack: Pack | None) -> dict[str, Any]:
    """The request of the task "inspect".

    Each model has a cache of its own: whatever takes over the process that opens it can falsify nothing that another
    model's verdict rests on.
    """
    return {
        "model": str(source.path),
        "companions": [str(p) for p in source.companions],
        "pack": _pack(pack) if pack else None,
        "settings": {k: list(v) if isinstance(v, tuple) else v for k, v in settings.as_dict().items()},
        "device": "auto",
        "cache": str(_cache(source)),
        "case": True,
    }


def _pack(pack: Pack) -> str:
    """A bundled pack by its name, another by its folder."""
    return pack.name if pack.folder.parent == PACKS else str(pack.folder.absolute())


def _cache(source: Source) -> Path:
    """The folder of this model's own cache; the longest unused go."""
    root = home() / "cache"
    folder = root / source.digest
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.touch()
    others = sorted((p for p in root.iterdir() if p != folder), key=lambda p: p.stat().st_mtime, reverse=True)
    for old in others[MOST_CACHES:]:
        shutil.rmtree(old, ignore_errors=True)
    return folder
