"""Objects that all sessions share, and the state of one session."""

from __future__ import annotations

from functools import lru_cache

import streamlit as st
from streamlit.runtime import Runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from app.charts.theme import Palette, palette
from app.jobs.desk import Desk, launch_worker
from app.jobs.looks import Looks
from app.jobs.packs import Packs
from app.store.builds import Builds
from app.store.cases import CaseStore, OpenCases, home
from app.store.served import served
from app.store.sources import ModelShelf, Source
from ti_core.errors import PackError
from ti_core.methods.opinion import Opinions
from ti_core.reference.known import added_packs
from ti_core.reference.pack import Pack, load_pack, pack_folder, pack_names
from ti_core.results.case import Case
from ti_core.text import shown
from ti_core.worker.pack_jobs import open_apart


@st.cache_resource(show_spinner=False)
def store() -> CaseStore:
    return CaseStore(home())


@st.cache_resource(show_spinner=False)
def shelf() -> ModelShelf:
    """The uploaded models."""
    return ModelShelf(home() / "models")


def kept(sha256: str, file: str) -> Source | None:
    """The model of a case, if its file is still on this machine."""
    folder = served()
    found = shelf().find(sha256, file)
    return found if found is not None or folder is None else folder.find(sha256, file)


@st.cache_resource(show_spinner=False)
def desk() -> Desk:
    """The desk that all sessions share."""
    return Desk(store(), home() / "work", launch_worker, alive)


def alive(session: str) -> bool:
    """Whether the tab of a session is connected. Without a server, as in tests, every session is."""
    return Runtime.instance().is_active_session(session) if Runtime.exists() else True


def session_id() -> str:
    context = get_script_run_ctx()
    return context.session_id if context else ""


@st.cache_resource(show_spinner=False)
def looks() -> Looks:
    """The first looks at files that wait, of all sessions."""
    return Looks()


@st.cache_resource(show_spinner=False)
def own_packs() -> Packs:
    """The packs that are being built."""
    return Packs(Builds(home() / "builds"))


@st.cache_resource(show_spinner=False)
def open_cases() -> OpenCases:
    return OpenCases(store())


def case(name: str) -> Case:
    """A kept case.

    Raises
    ------
    CaseError : there is no such case, or it is damaged.
    """
    return open_cases().get(name)


def add_opinions(name: str, found: Opinions) -> None:
    """Keep second opinions with a case, so that its report holds them.

    Raises
    ------
    CaseError : there is no such case.
    OSError : they cannot be written.
    """
    store().add_opinions(name, found)
    open_cases().forget(name)


@lru_cache(maxsize=16)
def _pack(name: str, stamp: int) -> Pack:
    return load_pack(name)


def pack(name: str) -> Pack:
    """A bundled pack, or one that was added. It is read again when its record on the disk changes.

    Raises
    ------
    PackError : there is no pack of that name.
    """
    if name not in packs():
        # The name is no path: it is one of the folders that packs are kept in.
        raise PackError(f"There is no reference pack {shown(name)!r}; there are: {', '.join(packs())}.")
    try:
        stamp = (pack_folder(name) / "pack.json").stat().st_mtime_ns
    except OSError as error:
        raise PackError(
            f"The record of the pack {shown(name)!r} cannot be read ({error.strerror})."
        ) from error
    return _pack(name, stamp)


@st.cache_resource(show_spinner="Opening the pack in a confined process", max_entries=16)
def _opened(sha256: str, _pack: Pack) -> bool:
    open_apart(_pack)
    return True


def opened(pack: Pack) -> Pack:
    """A pack whose images, triggers and weights this process may read: one that the confined process could open.

    Raises
    ------
    PackError : something in it cannot be used.
    """
    _opened(pack.sha256, pack)
    return pack


def packs() -> list[str]:
    """Names of the packs that come with the program, then of those that were added."""
    bundled = pack_names()
    return [*bundled, *(name for name in added_packs() if name not in bundled)]


def dark() -> bool:
    """Whether the visitor uses the dark theme."""
    return st.context.theme.type == "dark"


def colours() -> Palette:
    return palette(dark())
