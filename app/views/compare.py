"""The page Compare: two or more models under the same settings, on shared axes and one colour scale."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import address, controls, refusal, state, status, uploader, words
from app.ask import PREFIX, submit, wanted
from app.jobs.desk import FullError
from app.sections import comparison
from app.sections.settings_panel import notice
from app.store.sources import Source, samples
from app.store.uploads import let_go
from ti_core.errors import CaseError, ModelFileError, PackError, SettingsError
from ti_core.results.case import Case

SIDES = {
    "left": "Left",
    "right": "Right",
    "third": "Third",
    "fourth": "Fourth",
    "fifth": "Fifth",
    "sixth": "Sixth",
}
"""The places of a comparison, and what they are called. The first two are always there."""
UPLOAD = "upload"
MOST_CASES = 100
"""Latest cases on offer. One that the address names is on offer too."""
COUNT = "compare.count"
"""Where a session keeps the number of places."""


def page() -> None:
    st.title("Compare models")
    controls.keep(PREFIX, "pack", "minutes")
    _follow()
    sides = list(SIDES)[: st.session_state.setdefault(COUNT, 2)]
    for side in sides:
        _settle(side)
    notice()
    options = choices()
    with st.container(border=True):
        for column, side in zip(_columns(sides), sides, strict=True):
            with column:
                choose(side, options)
        _more(len(sides))
    waiting = _waiting(sides)
    found = [one for side in sides if (one := chosen_case(side)) is not None]
    address.show_compared([case_id for _, case_id in found])
    if len(found) < len(sides):
        if not waiting:
            st.info(
                "Choose a model on each side. Samples and handed-in models are inspected first; cases are only opened."
                if len(sides) == 2
                else "Choose a model in each place, or take the last place away."
            )
        return
    comparison.show([case for case, _ in found], [case_id for _, case_id in found], sides)


def _columns(sides: list[str]) -> list[DeltaGenerator]:
    """A column for each side, at most three in a row."""
    across = min(len(sides), comparison.ACROSS)
    return [column for _ in range(0, len(sides), across) for column in st.columns(across, gap="large")][
        : len(sides)
    ]


def _more(count: int) -> None:
    """The buttons for one place more and one less."""
    with st.container(horizontal=True):
        st.button(
            "Compare with one more",
            icon=":material/add:",
            key="compare.more",
            disabled=count == len(SIDES),
            on_click=_set_count,
            args=(count + 1,),
        )
        if count > 2:
            st.button(
                "Take the last away",
                icon=":material/remove:",
                key="compare.less",
                on_click=_set_count,
                args=(count - 1,),
            )


def _set_count(count: int) -> None:
    for side in list(SIDES)[count:]:
        _choose_now(side, "")
    st.session_state[COUNT] = count


def _choose_now(side: str, choice: str) -> None:
    """Set a place to a choice before its control is drawn."""
    st.session_state[f"compare.{side}"] = st.session_state[f"compare.{side}.kept"] = choice
    for rest in ("case", "asked"):
        st.session_state.pop(f"compare.{side}.{rest}", None)
    st.session_state.pop(f"compare.ticket.{side}", None)


def _follow() -> None:
    """Take over the cases that the address names, if it names others than the page showed."""
    named = address.compared()
    if named is None:
        return
    st.session_state[COUNT] = min(max(2, len(named)), len(SIDES))
    for i, side in enumerate(SIDES):
        _choose_now(side, f"case:{named[i]}" if i < len(named) else "")


def _waiting(sides: list[str]) -> bool:
    """Progress and refusals of the inspections that were asked for. Returns whether one is still at work."""
    waiting = False
    for column, side in zip(_columns(sides), sides, strict=True):
        ticket = status.current(f"compare.ticket.{side}")
        with column:
            if ticket is not None and ticket.active:
                waiting = True
                st.markdown(f"**{words.safe(ticket.title, 60)}**")
                status.follow(f"compare.ticket.{side}")
            elif ticket is not None and ticket.state == "failed":
                with st.container(border=True):
                    st.markdown(f":material/block: **{words.safe(ticket.title, 60)} was not inspected.**")
                    refusal.show(ticket.error, ticket.title, ticket.fault)
            elif ticket is not None and ticket.state == "cancelled":
                st.info("The inspection was stopped.", icon=":material/cancel:")
    return waiting


def choices() -> dict[str, str]:
    """The options by key: an upload, the samples and the cases."""
    options = {"": "Choose a model", UPLOAD: "Hand in a file"}
    for pack, kinds in samples().items():
        options |= {f"sample:{pack}:{kind}": f"Sample: {source.name}" for kind, source in kinds.items()}
    chosen = {str(st.session_state.get(f"compare.{side}", "")) for side in SIDES}
    for i, entry in enumerate(state.store().entries()):
        if not entry.problem and (i < MOST_CASES or f"case:{entry.id}" in chosen):
            options[f"case:{entry.id}"] = (
                f"Case: {words.plain(entry.file, 50)}, {entry.verdict}, {words.when(entry.created)}"
            )
    return options


def choose(side: str, options: dict[str, str]) -> None:
    """The choice of one side. A sample is inspected as soon as it is chosen."""
    key = f"compare.{side}"
    if st.session_state.get(key, "") not in options:
        st.session_state[key] = ""
    kept = st.session_state.get(f"{key}.kept", "")
    if key not in st.session_state and kept in options:
        st.session_state[key] = kept
    chosen = st.selectbox(SIDES[side], list(options), format_func=options.__getitem__, key=key)
    st.session_state[f"{key}.kept"] = chosen
    if chosen.startswith("case:"):
        st.session_state[f"{key}.case"] = chosen.removeprefix("case:")
        st.session_state.pop(f"compare.ticket.{side}", None)
    elif chosen.startswith("sample:"):
        _, pack, kind = chosen.split(":")
        if st.session_state.get(f"{key}.asked") != chosen:
            ask(side, chosen, samples()[pack][kind])
    elif chosen == UPLOAD:
        # An uploaded file is released once its inspection is requested. The next file gets an uploader of its own.
        turn = st.session_state.setdefault(f"{key}.turn", 0)
        uploads = uploader.files("Model file", key=f"{key}.upload.{turn}")
        if st.button("Inspect", key=f"{key}.go", disabled=not uploads):
            try:
                source = state.shelf().put(uploads)
            except ModelFileError as error:
                st.warning(words.safe(str(error)), icon=":material/block:")
            except OSError as error:
                uploader.not_kept(error)
            else:
                if ask(side, f"file:{source.digest}", source):
                    st.session_state[f"{key}.turn"] += 1
                    let_go(uploads)
                    st.rerun()
    else:
        st.session_state.pop(f"{key}.case", None)
    if not chosen.startswith("sample:"):
        st.session_state.pop(f"{key}.asked", None)


def ask(side: str, what: str, source: Source) -> bool:
    """Inspect one side's model under the settings of the page Inspect. Returns whether it is in the queue."""
    st.session_state[f"compare.{side}.asked"] = what
    st.session_state.pop(f"compare.{side}.case", None)
    try:
        pack = state.pack(source.pack) if source.pack else None
        submit(source, wanted(pack), pack, slot=f"compare.ticket.{side}")
    except (FullError, PackError, SettingsError) as error:
        st.warning(words.safe(words.for_the_page(str(error))), icon=":material/warning:")
    except OSError as error:
        st.warning(f"The inspection cannot be started: {words.reason(error)}", icon=":material/warning:")
    else:
        return True
    return False


def _settle(side: str) -> None:
    ticket = status.current(f"compare.ticket.{side}")
    if ticket is not None and ticket.state == "done":
        st.session_state[f"compare.{side}.case"] = ticket.case_id


def chosen_case(side: str) -> tuple[Case, str] | None:
    """The case of a side and its id, or None while there is none."""
    name = st.session_state.get(f"compare.{side}.case", "")
    if not name:
        return None
    try:
        return state.case(name), name
    except CaseError as error:
        st.warning(words.safe(str(error)), icon=":material/warning:")
        return None
