"""Turns a visitor's choices into requests for the worker."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import streamlit as st

from app import controls, state
from app.jobs.tickets import Ticket
from app.store import clean_images
from app.store.cases import home
from app.store.sources import Source, Upload
from ti_core.errors import PackError, SettingsError
from ti_core.reference.pack import PACKS, Pack
from ti_core.results.case import Case
from ti_core.results.cautions import own_values
from ti_core.settings import Settings
from ti_core.stream_registry import STANDARD
from ti_core.worker.request import InspectionRequest

PREFIX = "settings"
"""Prefix of the keys of the controls on the page Inspect."""
LAST = "settings.last"
"""Where a session keeps the pack and the settings that were turned for an earlier inspection."""
MINUTES, LEAST_MINUTES, MOST_MINUTES = 120, 1, 480
"""The time that an inspection may take by default, and the range of the control, in minutes.

The default is that of the command line. A ResNet-18 of full width on images of 32 x 32 takes 22 minutes of one core.
"""
MOST_CACHES = 64
CACHE_BYTES = 4 * 1024**3
"""Maximum size of the other models' caches together, in bytes on the disk."""


def standard(name: str | None = None) -> Settings:
    """The default values of the controls: the settings of the named pack, or by default of the chosen pack."""
    name = st.session_state.get("pack", "") if name is None else name
    try:
        return state.pack(name).settings if name else Settings()
    except PackError:
        return Settings()


def turned() -> dict[str, Any]:
    """The settings of the controls that differ from the pack's own; those that only change pictures are left out.

    Raises
    ------
    SettingsError : the controls stand at something impossible.
    """
    chosen, own = controls.read(PREFIX), standard()
    return {name: chosen.as_dict()[name] for name in own_values(chosen, own)}


def start_afresh() -> None:
    """Set the controls to the pack's own settings, after an inspection was asked for and before they are drawn.

    What was turned is for one inspection. It is kept beside, so that it can be asked for again.
    """
    with suppress(SettingsError):
        if changed := turned():
            st.session_state[LAST] = (st.session_state.get("pack", ""), changed)
    st.session_state["pack"] = st.session_state["pack.before"] = ""
    controls.fill(PREFIX, standard())


def as_last() -> None:
    """Set the controls to what was turned for an earlier inspection; a callback."""
    pack, changed = st.session_state[LAST]
    st.session_state["pack"] = st.session_state["pack.before"] = pack
    controls.fill(PREFIX, standard().with_(**changed))


def wanted(pack: Pack | None, effort: str = STANDARD) -> Settings:
    """The settings of the controls. With a pack, its own settings with the visitor's changes.

    Parameters
    ----------
    effort : a name in :data:`ti_core.stream_registry.EFFORTS`.

    Raises
    ------
    SettingsError : the values of the controls are not valid.
    PackError : the pack does not say how it was made.
    """
    chosen = controls.read(PREFIX).of_effort(effort)
    return pack.settings_with(chosen.differing(standard())) if pack else chosen


def submit(
    source: Source, settings: Settings, pack: Pack | None, slot: str = "ticket", sketch: str | None = None
) -> Ticket:
    """Request an inspection and store its ticket in this session.

    Raises
    ------
    FullError : too many inspections are waiting.
    OSError : the folder of the cache cannot be made.
    """
    desk = state.desk()
    before = desk.ticket(st.session_state.get(slot, ""))
    if before is not None and before.active:
        desk.cancel(before)
    ticket = desk.submit(
        state.session_id(),
        source.name,
        request_of(source, settings, pack).with_(sketch=sketch).as_dict(),
    )
    st.session_state[slot] = ticket.id
    return ticket


def submit_alone(source: Source, settings: Settings, images: Sequence[Upload]) -> Ticket:
    """Request an inspection that uses the visitor's own clean images instead of a pack.

    The images are removed when the inspection has ended.

    Raises
    ------
    DataError : the files are not suitable images, or they have too many bytes.
    FullError : too many inspections are waiting.
    OSError : the images cannot be written.
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
            request_of(source, settings, None).with_(images=str(path.absolute())).as_dict(),
            attached=folder,
        )
    except BaseException:
        desk.detach(folder)
        raise
    st.session_state["ticket"] = ticket.id
    return ticket


def request_of(source: Source, settings: Settings, pack: Pack | None) -> InspectionRequest:
    """The request of the task "inspect".

    Each model has a cache of its own. A model that takes over its process cannot falsify the verdict of another model.
    """
    return look_of(source, settings, pack).with_(
        cache=str(_cache(source)), seconds=60.0 * st.session_state.get("minutes", MINUTES), case=True
    )


def look_of(source: Source, settings: Settings, pack: Pack | None) -> InspectionRequest:
    """The request of the task "look": that of "inspect" without its cache, time and case. The file is not read."""
    # If the model determines the pack, only the changes are sent. The other settings are the pack's own.
    asked = settings.as_dict() if pack else settings.differing(Settings())
    return InspectionRequest(
        model=str(source.path),
        companions=tuple(str(p) for p in source.companions),
        pack=_pack(pack) if pack else None,
        settings=asked,
        device="auto",
    )


def as_inspected(case: Case, source: Source) -> InspectionRequest:
    """A request about the model of a case, with the pack of the case and what it declares of the model."""
    settings = case.report.settings
    declared = ("normalisation", "channel_order", "output", "input_size", "variant")
    return InspectionRequest(
        model=str(source.path),
        companions=tuple(str(path) for path in source.companions),
        pack=str(case.report.pack["name"]),
        sketch=case.report.model.get("sketch"),
        settings={name: settings[name] for name in declared if name in settings},
    )


def _pack(pack: Pack) -> str:
    """The name of a bundled pack, or the folder of another pack."""
    return pack.name if pack.folder.parent == PACKS else str(pack.folder.absolute())


def _cache(source: Source) -> Path:
    """The folder of this model's own cache. The caches unused for longest are removed beyond the number and size."""
    root = home() / "cache"
    folder = root / source.digest
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.touch()
    others: list[tuple[float, int, Path]] = []
    for path in root.iterdir():
        # Another tab may remove the folder at the same time.
        with suppress(OSError):
            if path != folder:
                others.append((path.stat().st_mtime, sum(f.stat().st_size for f in path.iterdir()), path))
    held = 0
    for number, (_, size, old) in enumerate(sorted(others, reverse=True)):
        held += size
        if number >= MOST_CACHES or held > CACHE_BYTES:
            shutil.rmtree(old, ignore_errors=True)
    return folder
