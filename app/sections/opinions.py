"""Second opinions: methods of other publications, asked about the model of a case. They take no part in the verdict."""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from app import state, words
from app.ask import as_inspected
from app.charts.opinions import beside_members
from app.charts.verdict import CONFIG
from app.jobs import opinions
from app.markup import section_map
from app.store.sources import Source
from ti_core.errors import CaseError, TrojanInterpretError
from ti_core.methods import METHODS, Method, method_class
from ti_core.methods.beside import beside
from ti_core.methods.learnt import root
from ti_core.methods.opinion import Opinion, Opinions
from ti_core.methods.registry import QUICK
from ti_core.rendering.opinions.page import opinions_page
from ti_core.results.case import Case

DECIDED = {True: ":material/warning: backdoored", False: ":material/check: clean", None: "no decision"}


def show(case: Case, case_id: str, key: str) -> None:
    """The section of a finished case. Methods can be asked while its model file is kept and it has a pack."""
    source = state.kept(case.report.model["sha256"], case.report.model["file"])
    able = not case.alone and case.understood and source is not None
    if not able and not case.report.opinions:
        return
    if not section_map.opened("Second opinions"):
        return
    st.caption(
        "Methods of other publications, each with its own statistic and its own decision. They take no part in the"
        " verdict above. The times are those of a small network on one core."
    )
    if source is not None and able:
        _asking(case, case_id, source, key)
    found: Opinions | None = state.store().opinions(case_id)
    if found is not None:
        answers(found, key)
        st.caption("The reports of this case hold these opinions, apart from the verdict.")
        _downloads(found, key)


def _asking(case: Case, case_id: str, source: Source, key: str) -> None:
    """The choice of methods, and the button that asks them."""
    names = st.multiselect(
        "Methods",
        list(METHODS),
        default=list(QUICK),
        format_func=_offered,
        key=f"{key}.opinions.methods",
        help="Methods “to be learnt first” work with some packs at once, and with others when python -m ti_core pack"
        " learn has learnt them there.",
    )
    if st.button("Ask them", icon=":material/groups:", key=f"{key}.opinions.ask", disabled=not names):
        _ask(case, case_id, source, names, key)


def _offered(name: str) -> str:
    entry = METHODS[name]
    learnt = ", to be learnt first" if entry.learnt else ""
    return f"{method_class(name).title} (about {words.seconds(max(entry.seconds, 1.0))}{learnt})"


def _ask(case: Case, case_id: str, source: Source, names: list[str], key: str) -> None:
    """Ask the methods, and keep what they say with the case. A bar and a button that cancels stand there meanwhile."""
    shown = st.empty()
    try:
        with shown.container():
            bar = st.progress(0.0, text=words.stage("opening"))
            # A press runs the page anew, which ends this run and with it the work.
            st.button("Cancel", key=f"{key}.opinions.cancel")
        found = opinions.asked(_request(case, source, names), lambda stage, share: _tell(bar, stage, share))
        if found.pack_sha256 != case.report.pack["sha256"]:
            raise CaseError("The reference pack has changed since this inspection; inspect the model again.")
        state.add_opinions(case_id, found)
    except TrojanInterpretError as error:
        st.warning(words.safe(words.for_the_page(str(error)), 900), icon=":material/block:")
    except OSError as error:
        st.warning(f"The opinions cannot be kept: {words.reason(error)}", icon=":material/block:")
    else:
        # The buttons above with the reports are drawn anew.
        st.rerun()
    shown.empty()


def _request(case: Case, source: Source, names: list[str]) -> dict[str, Any]:
    """The request for the worker, with what the case declares of the model."""
    try:
        learnt: str | None = str(root().absolute())
    except TrojanInterpretError:
        learnt = None
    return as_inspected(case, source).as_dict() | {"methods": names, "learnt": learnt}


def _tell(bar: Any, stage: str, share: float) -> None:
    text = words.stage(stage) if stage == "opening" else f"Asking: {words.safe(stage, 80)}"
    bar.progress(min(1.0, max(0.0, share)), text=text)


def answers(found: Opinions, key: str) -> None:
    """The opinions, two in a row, and the needs that are not met."""
    for i, one in enumerate(found.given):
        if i % 2 == 0:
            columns = st.columns(2, gap="large")
        with columns[i % 2]:
            _answer(one, method_class(one.method), found, key)
    for name, sentence in found.unmet.items():
        st.caption(f"**{words.safe(method_class(name).title)}** was not asked. {words.safe(sentence, 400)}")


def _downloads(found: Opinions, key: str) -> None:
    with st.container(horizontal=True):
        st.download_button(
            "Opinions (HTML)",
            opinions_page(found),
            file_name="opinions.html",
            mime="text/html",
            key=f"{key}.opinions.html",
        )
        st.download_button(
            "Opinions (JSON)",
            json.dumps(found.as_dict(), indent=2),
            file_name="opinions.json",
            mime="application/json",
            key=f"{key}.opinions.json",
        )


def _answer(one: Opinion, method: type[Method], found: Opinions, key: str) -> None:
    source = method.source
    limit = "" if one.threshold is None else f", backdoored above {one.threshold:.3g}"
    st.markdown(f"**{words.safe(method.title)}**: {DECIDED[one.suspicious]}")
    st.markdown(words.safe(one.sentence, 600))
    others = beside(one, found.pack, found.pack_sha256)
    if others is not None:
        st.plotly_chart(
            beside_members(one, others, method.measures, state.colours()),
            theme=None,
            config=CONFIG,
            key=f"{key}.opinions.{one.method}",
            alt=words.plain(f"{method.title}: {others.sentence(one.statistic)}", 300),
        )
        st.caption(words.safe(others.sentence(one.statistic), 300))
    measures = f"{method.measures[:1].upper()}{method.measures[1:]}"
    st.caption(
        f"{measures}: {one.statistic:.3g}{limit}. It took {words.seconds(max(one.seconds, 1.0))}."
        f" [{words.safe(source.venue)} {source.year}]({source.link})"
    )
