"""The page Demonstration: one story in eight steps, large enough for a room, each step one key press."""

from __future__ import annotations

import streamlit as st

from app import lab, state, status, words
from app.ask import submit
from app.jobs.desk import FullError
from app.server.key_presses import BAR
from app.store.sources import Source
from app.story import second
from app.story.steps import STEPS
from app.story.told import Told
from ti_core.errors import CaseError, TrojanInterpretError
from ti_core.results.case import Case

SLOT = "story.ticket"
STEP = "story.step"
PACK, KIND = "mnist", "patch"
"""The pack and the kind of the sample that the story is told with, where they are bundled."""
STYLE = """<style>
.st-key-story h1 { font-size: 2.5rem; padding: .4rem 0; }
.st-key-story-says p { font-size: 1.45rem; line-height: 1.35; }
.st-key-story small, .st-key-story figcaption { font-size: 1rem !important; opacity: 1 !important; }
.st-key-story [data-testid="stCaptionContainer"] p { font-size: 1rem; }
.st-key-story [data-testid="stMetricValue"] { font-size: 4.5rem; }
</style>"""


def page() -> None:
    st.html(STYLE)
    offered = lab.offered()
    if not offered:
        st.info("The story is told with a clean sample and a backdoored one, and none are bundled here.")
        return
    pack = PACK if PACK in offered else next(iter(offered))
    kind = KIND if KIND in offered[pack] else next(k for k in offered[pack] if k != "clean")
    try:
        pair = lab.pair(pack, kind)
    except TrojanInterpretError as error:
        st.warning(words.safe(words.for_the_page(str(error)), 600), icon=":material/warning:")
        return
    source = offered[pack][kind]
    case_id, case = _case(source)
    if case is None:
        _begin(source, pack)
    told = Told(pair, case, case_id)
    number = min(max(0, int(st.session_state.get(STEP, 0))), len(STEPS) - 1)
    step = STEPS[number]
    if number:
        # Not with the first step, which is to be there at once.
        second.begin(pair)
    with st.container(key="story"):
        _turn(number)
        st.title(step.title)
        if step.needs_case and case is None:
            _not_yet()
            return
        try:
            with st.container(key="story-says"):
                st.markdown(words.safe(step.says(told), 900))
            step.show(told)
        except TrojanInterpretError as error:
            st.warning(words.safe(words.for_the_page(str(error)), 600), icon=":material/warning:")


def _turn(number: int) -> None:
    """The buttons for the step before and the next one. The arrow keys press them (:mod:`app.server.key_presses`)."""
    with st.container(key=BAR, horizontal=True, vertical_alignment="center"):
        st.button(
            "Back",
            key="story.back",
            icon=":material/arrow_back:",
            shortcut="Left",
            disabled=number == 0,
            on_click=_to,
            args=(number - 1,),
        )
        st.button(
            "Next",
            key="story.next",
            type="primary",
            icon=":material/arrow_forward:",
            shortcut="Right",
            disabled=number == len(STEPS) - 1,
            on_click=_to,
            args=(number + 1,),
        )
        st.markdown(f"{number + 1} of {len(STEPS)}")


def _to(number: int) -> None:
    st.session_state[STEP] = number


def _case(source: Source) -> tuple[str, Case | None]:
    """The latest finished case of the sample at the own settings of the pack as it is now, with its id."""
    digest, pack = source.digest, state.pack(source.pack)
    for entry in state.store().entries():
        if entry.sha256 == digest and not entry.problem and not entry.changed:
            try:
                case = state.case(entry.id)
            except CaseError:
                continue
            # The histograms of another pack could not be drawn.
            if case.report.pack["sha256"] == pack.sha256:
                return entry.id, case
    return "", None


def _not_yet() -> None:
    """Say how far the inspection of the sample is, or why there is none."""
    ticket = status.current(SLOT)
    if ticket is None or ticket.active:
        st.markdown("The inspection of the sample is not done yet.")
        status.follow(SLOT)
        return
    why = ticket.error or "It was stopped."
    st.warning(words.safe(words.for_the_page(why), 600), icon=":material/warning:")
    if st.button("Inspect the sample again", key="story.again"):
        del st.session_state[SLOT]
        st.rerun()


def _begin(source: Source, pack: str) -> None:
    """Ask for the inspection of the sample, unless it was asked for."""
    if status.current(SLOT) is not None:
        return
    try:
        chosen = state.pack(pack)
        submit(source, chosen.settings_with({}), chosen, SLOT)
    except (FullError, OSError, TrojanInterpretError) as error:
        st.warning(words.safe(words.for_the_page(str(error)), 600), icon=":material/warning:")
