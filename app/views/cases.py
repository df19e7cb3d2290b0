"""Every finished inspection: search, open without computing, compare, delete, export."""

from __future__ import annotations

import streamlit as st

from app import address, state, words
from app.charts.theme import SYMBOLS, WORDS
from app.store.cases import Entry, kept_home
from ti_core.results.report import percent

MOST_SHOWN = 200


def page() -> None:
    st.title("Cases")
    store = state.store()
    entries = store.entries()
    if kept_home() is None:
        st.warning(
            "This server has no folder to keep cases in: they are gone when it stops. Set TROJANINTERPRET_HOME to a"
            " folder that it may write to."
        )
    if not entries:
        st.info("No case yet. Every finished inspection is kept here; start one on the page Inspect.")
        return
    st.caption(
        "Every finished inspection, kept on this machine in a folder that only you can enter. Select one to open it,"
        " two to six to compare them."
    )
    search = st.text_input(
        "Search",
        key="cases.search",
        placeholder="file, digest, verdict, pack, setting",
        help="All words must occur.",
    )
    found = [e for e in entries if e.matches(search)]
    if not found:
        st.info("No case matches; try fewer words.")
        return
    if len(found) > MOST_SHOWN:
        st.caption(f"The latest {MOST_SHOWN} of {len(found)} are shown; search to narrow them down.")
    shown = found[:MOST_SHOWN]
    event = st.dataframe(
        [_row(e) for e in shown],
        hide_index=True,
        width="stretch",
        on_select="rerun",
        selection_mode="multi-row",
        key=f"cases.table.{st.session_state.get('cases.round', 0)}",
        alt="Finished inspections with verdict, time, digest and settings",
    )
    chosen = [shown[i] for i in event["selection"]["rows"] if i < len(shown)]
    actions(chosen)


def _row(entry: Entry) -> dict[str, str]:
    if entry.problem:
        return {
            "Verdict": "cannot be opened",
            "Model": words.plain(entry.problem, 120),
            "Time (UTC)": "",
            "SHA-256": "",
        }
    return {
        "Verdict": f"{SYMBOLS[entry.verdict]} {WORDS[entry.verdict]}, {percent(entry.probability)}",
        "Model": words.plain(entry.file, 80),
        "Suspected": words.plain(", ".join(w for w in (entry.trigger_kind, entry.target) if w), 80),
        "Time (UTC)": words.when(entry.created),
        "Took": words.seconds(entry.seconds),
        "Pack": entry.pack,
        "SHA-256": entry.sha256[:16],
        "Settings changed": words.plain(entry.changed, 120) or "none",
    }


def actions(chosen: list[Entry]) -> None:
    """The actions for the selected cases."""
    good = [e for e in chosen if not e.problem]
    with st.container(horizontal=True):
        if st.button(
            "Open",
            icon=":material/open_in_new:",
            type="primary",
            disabled=len(good) != 1 or len(chosen) != 1,
            key="cases.open",
        ):
            st.session_state["case"] = good[0].id
            st.switch_page(st.session_state["pages"]["inspect"], query_params={"case": good[0].id})
        fit = 2 <= len(good) <= address.MOST_COMPARED and len(good) == len(chosen)
        if st.button("Compare", icon=":material/compare:", disabled=not fit, key="cases.compare"):
            st.switch_page(
                st.session_state["pages"]["compare"], query_params={"cases": ",".join(e.id for e in good)}
            )
        st.download_button(
            "Export",
            lambda: state.store().export([e.id for e in chosen]),
            "cases.zip",
            "application/zip",
            icon=":material/download:",
            disabled=not chosen,
            key="cases.export",
            on_click="ignore",
        )
        if st.button("Delete", icon=":material/delete:", disabled=not chosen, key="cases.delete"):
            confirm(chosen)


@st.dialog("Delete cases")
def confirm(chosen: list[Entry]) -> None:
    """Asks for confirmation, because deleting cannot be undone."""
    st.markdown(
        f"{words.article(len(chosen), 'case')} will be deleted from this machine, with the model files that no other"
        " case is of. This cannot be undone."
    )
    with st.container(horizontal=True):
        if st.button("Delete", type="primary", key="cases.delete.yes"):
            for entry in chosen:
                remove(entry)
            st.session_state["cases.round"] = st.session_state.get("cases.round", 0) + 1
            st.rerun()
        if st.button("Keep", key="cases.delete.no"):
            st.rerun()


def remove(entry: Entry) -> None:
    """Delete a case, and its uploaded model if no other case uses the model."""
    store = state.store()
    store.delete(entry.id)
    state.open_cases().forget(entry.id)
    if st.session_state.get("case") == entry.id:
        st.session_state.pop("case")
    if entry.sha256 and not store.uses(entry.sha256):
        state.shelf().drop(entry.sha256)
