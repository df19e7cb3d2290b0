"""The progress of a ticket, its place in the queue, and the button that cancels it."""

from __future__ import annotations

import streamlit as st

from app import state, words
from app.jobs.tickets import Ticket

EVERY = 0.4
"""Seconds between two updates of a ticket's progress."""


def current(slot: str = "ticket") -> Ticket | None:
    """The ticket of this session, or None if it has none or the desk no longer knows it."""
    name = st.session_state.get(slot)
    return state.desk().ticket(name) if name else None


def line(ticket: Ticket) -> str:
    """The progress of a ticket in one line."""
    if ticket.state == "waiting":
        place = state.desk().place(ticket)
        if place == 0:
            return "Next in the queue."
        return f"Waiting: {words.article(place, 'inspection')} before this one."
    if ticket.left is None:
        return words.stage(ticket.stage)
    left = f", about {words.seconds(ticket.left)} left" if ticket.left >= 1.5 else ", nearly done"
    return f"{words.stage(ticket.stage)}{left}"


@st.fragment(run_every=EVERY)
def follow(slot: str = "ticket") -> None:
    """Progress bar, Cancel button and verdict so far. The whole page runs again when there is a new result to show."""
    ticket = current(slot)
    if ticket is None:
        return
    seen = st.session_state.get(f"{slot}.seen")
    stamp = (ticket.id, ticket.state if not ticket.active else "", ticket.partial is not None)
    if seen != stamp:
        st.session_state[f"{slot}.seen"] = stamp
        if not ticket.active or ticket.partial is not None:
            st.rerun(scope="app")
    if not ticket.active:
        return
    _bar(ticket, slot)
    if ticket.so_far is not None:
        st.caption(words.so_far(ticket.so_far))


def _bar(ticket: Ticket, slot: str) -> None:
    """The progress bar and the button that cancels."""
    left, right = st.columns([6, 1], vertical_alignment="bottom")
    with left:
        st.progress(min(1.0, ticket.fraction), text=line(ticket))
    with right:
        if st.button("Cancel", key=f"{slot}.cancel", width="stretch"):
            state.desk().cancel(ticket)
            st.rerun(scope="app")


@st.fragment(run_every=1.0)
def elsewhere(page: st.Page) -> None:
    """For the other pages: a line about the running inspection, with a link to it."""
    ticket = current()
    if ticket is None or not ticket.active:
        return
    with st.container(horizontal=True, vertical_alignment="center", border=True):
        st.markdown(f"Inspecting {words.safe(ticket.title, 60)}: {words.safe(line(ticket))}")
        st.page_link(page, label="Show")
