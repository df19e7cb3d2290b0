"""The address of the page Inspect. It names the inspection that runs, or the case that is shown, and never both.

After a reload the address is all that is left of a session, and the browser's Back and Forward change it. So the page
first follows its address (:func:`follow`), and then writes what it shows (:func:`show`).
"""

from __future__ import annotations

import re

import streamlit as st

from app import state, status
from app.store.cases import ID

TICKET_ID = re.compile(r"[0-9a-f]{32}")
NO_TICKET = "The address names no inspection. Finished inspections are on the page Cases."
UNKNOWN_TICKET = (
    "This server does not know the inspection that the address names. The server may have been started anew since then,"
    " or the address may be wrong. Ask for the inspection again. Finished inspections are on the page Cases."
)
NO_CASE = "The address names no case. Finished inspections are on the page Cases."

_CASE = "case"
"""Where a session keeps the case that it shows; also its name in the address."""
_NAMED = "address.case"
"""The case that the address named when the page was last drawn."""
_SETTLED = "address.settled"
"""The inspections of this session whose case was shown."""


def follow() -> str:
    """Take over what the address names. Returns a sentence if that is nothing that this server knows."""
    problem = _follow_ticket(st.query_params.get("ticket", "")) or _follow_case(
        st.query_params.get("case", "")
    )
    ticket, settled = status.current(), st.session_state.setdefault(_SETTLED, set())
    if ticket is not None and ticket.state == "done" and ticket.id not in settled:
        settled.add(ticket.id)
        st.session_state[_CASE] = ticket.case_id
    return problem


def _follow_ticket(named: str) -> str:
    known = {st.session_state.get("ticket"), *st.session_state.get(_SETTLED, set())}
    if not named or named in known:
        return ""
    if not TICKET_ID.fullmatch(named):
        return NO_TICKET
    # A page that was reloaded is another session.
    if state.desk().hand_over(named, state.session_id()) is None:
        return UNKNOWN_TICKET
    st.session_state["ticket"] = named
    return ""


def _follow_case(named: str) -> str:
    if not named:
        before = st.session_state.get(_NAMED)
        if before and before == st.session_state.get(_CASE):
            # The visitor went back to the address before the case.
            forget()
        return ""
    if not ID.fullmatch(named):
        forget()
        return NO_CASE
    st.session_state[_CASE] = named
    return ""


def case_id() -> str:
    """The case that this session shows; empty where there is none."""
    return str(st.session_state.get(_CASE, ""))


def forget() -> None:
    """Show no case, and name none in the address."""
    st.session_state.pop(_CASE, None)
    st.query_params.pop("case", None)


def show(ticket: str = "", case: str = "") -> None:
    """Write an address that names this inspection or this case, or nothing."""
    st.session_state[_NAMED] = case
    wanted = {name: value for name, value in (("ticket", ticket), ("case", case)) if value}
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)


def leave() -> None:
    """Another page is shown: its address names nothing, so that the case is still there when the visitor returns."""
    st.session_state[_NAMED] = ""
