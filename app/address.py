"""The address of the page Inspect. It names the inspection that runs, or the case that is shown, and never both.

With a case it also names the sections that are open (:mod:`app.markup.section_map`).

After a reload the address is all that is left of a session, and the browser's Back and Forward change it. So the page
first follows its address (:func:`follow`), and then writes what it shows (:func:`show`). The page Compare does the same
with the cases that it compares (:func:`compared`, :func:`show_compared`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

import streamlit as st

from app import state, status
from app.markup import section_map
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
_COMPARED, _CASES = "address.compared", "cases"
"""Where a session keeps the cases that the address of a comparison named last, and their name in the address."""
_WRITTEN = "address.written"
"""Where a session keeps the cases in the address before its last change, and when it was changed."""
LATE = 3.0
"""Seconds after a change of the address within which a request with the address before is one that was under way."""
MOST_COMPARED = 6
"""Maximum number of cases that the address of a comparison names."""
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
    section_map.follow(same=named == st.session_state.get(_NAMED))
    st.session_state[_CASE] = named
    return ""


def case_id() -> str:
    """The case that this session shows; empty where there is none."""
    return str(st.session_state.get(_CASE, ""))


def forget() -> None:
    """Show no case, and name none in the address."""
    st.session_state.pop(_CASE, None)
    st.query_params.pop("case", None)
    st.query_params.pop(section_map.PARAMETER, None)


def show(ticket: str = "", case: str = "") -> None:
    """Write an address that names this inspection or this case, or nothing."""
    st.session_state[_NAMED] = case
    sections = section_map.named() if case else ""
    pairs = (("ticket", ticket), ("case", case), (section_map.PARAMETER, sections))
    wanted = {name: value for name, value in pairs if value}
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)


def compared() -> list[str] | None:
    """The cases that the address of a comparison names, if they are others than the page showed; else None."""
    asked = st.query_params.get(_CASES, "")
    if asked == st.session_state.get(_COMPARED, "") or _is_late(asked):
        return None
    return [name for name in asked.split(",")[:MOST_COMPARED] if ID.fullmatch(name)]


def show_compared(cases: Sequence[str]) -> None:
    """Write an address that names these cases, so that the comparison can be reloaded, kept and shared."""
    asked, before = ",".join(cases), st.query_params.get(_CASES, "")
    if asked == st.session_state.get(_COMPARED, "") and _is_late(before):
        # A request from before the last change of the address. The browser has the new one by now.
        return
    st.session_state[_COMPARED] = asked
    if asked != before:
        st.session_state[_WRITTEN] = (before, time.monotonic())
        st.query_params.from_dict({_CASES: asked} if asked else {})


def _is_late(asked: str) -> bool:
    """Whether a request was sent before the browser learnt of the last change of the address."""
    before, at = st.session_state.get(_WRITTEN, ("", 0.0))
    return asked == before and time.monotonic() - at < LATE


def leave_comparison() -> None:
    """Another page is shown: the comparison is still there when the visitor returns."""
    st.session_state[_COMPARED] = ""
    st.session_state.pop(_WRITTEN, None)


def leave() -> None:
    """Another page is shown: its address names nothing, so that the case is still there when the visitor returns."""
    st.session_state[_NAMED] = ""
