"""Other settings for the same model, and the verdict that they gave beside the one before."""

from __future__ import annotations

import streamlit as st

from app import controls, state, words
from ti_core.errors import CaseError, PackError, SettingsError
from ti_core.results.case import Case
from ti_core.results.report import Report, percent
from ti_core.settings import Settings

BEFORE = "tuned.before"
"""Where a session keeps the id of the case whose settings were changed."""
SCORES = (
    "A stream's figure is its own statistic: the larger, the more suspicious. Figures of different streams cannot be"
    " compared; how many of the clean reference models reach one can."
)
"""What the figure beside a stream's name is."""


def show(case: Case, case_id: str, key: str) -> Settings | None:
    """The panel with all settings of a finished case. Returns them if another inspection is asked for."""
    if not case.finished or case.alone or not case.understood:
        return None
    own, prefix = Settings.parse(case.report.settings), f"{key}.tune"
    controls.keep(prefix)
    usual = _of_pack(case)
    others = 0 if usual is None else len(own.differing(usual))
    label = "Tune and inspect again"
    if others:
        label += f" :gray-badge[{words.article(others, 'setting')} of this verdict other than the pack's]"
    box = controls.unfolded(label, f"{prefix}.panel")
    if box is None:
        return None
    with box:
        if controls.key(prefix, "images") not in st.session_state:
            controls.fill(prefix, own)
        if usual is not None:
            _back(usual, others, prefix)
        controls.in_columns(prefix)
        try:
            chosen = controls.read(prefix)
        except SettingsError as error:
            st.warning(words.safe(words.for_the_page(str(error))), icon=":material/warning:")
            return None
        changed = chosen.differing(own)
        with st.container(horizontal=True, vertical_alignment="center"):
            pressed = st.button(
                "Inspect again",
                type="primary",
                icon=":material/refresh:",
                key=f"{prefix}.again",
                disabled=not changed,
            )
            st.caption(words.safe(_cost(case, chosen, bool(changed)), 600))
    if not pressed:
        return None
    st.session_state[BEFORE] = case_id
    return chosen


def _of_pack(case: Case) -> Settings | None:
    """The settings of the case's pack; None if that cannot be read."""
    try:
        return state.pack(case.report.pack["name"]).settings_with({})
    except PackError:
        return None


def _back(usual: Settings, others: int, prefix: str) -> None:
    """The way back to the pack's settings; ``others`` are not."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if not others:
            st.markdown(":gray-badge[This verdict was made with the pack's settings]")
        st.button("The pack's settings", key=f"{prefix}.usual", on_click=controls.fill, args=(prefix, usual))


def _cost(case: Case, chosen: Settings, changed: bool) -> str:
    """What another inspection takes."""
    if not changed:
        return "Change a setting to inspect the model again."
    took = sum(case.report.timings.values())
    try:
        more = state.desk().pace.reference_seconds(state.pack(case.report.pack["name"]), chosen)
    except PackError:
        more = 0.0
    told = f"This verdict took {words.seconds(took)}. What the change leaves as it is comes from the cache."
    return told + (f" The reference models are looked at again: about {words.seconds(more)}." if more else "")


def beside(case: Case, case_id: str) -> None:
    """The verdict before the last change of settings, beside this one, and what changed."""
    before = st.session_state.get(BEFORE)
    if not case.finished or before in (None, case_id):
        return
    try:
        old = state.case(before)
    except CaseError:
        return
    if old.report.model["sha256"] != case.report.model["sha256"]:
        return
    st.markdown("**Beside the verdict before**")
    st.table(
        [{"What": name, "Before": was, "Now": now} for name, was, now in changes(old.report, case.report)]
    )
    st.caption(SCORES)


def changes(old: Report, new: Report) -> list[tuple[str, str, str]]:
    """What differs between two verdicts on one model: the verdict, its settings, and what the streams found."""
    rows = [
        ("Verdict", old.verdict, new.verdict),
        ("Probability of a backdoor", percent(old.probability), percent(new.probability)),
    ]
    was, now = Settings.parse(old.settings), Settings.parse(new.settings)
    for name, value in now.differing(was).items():
        title = controls.title(name)
        rows.append(
            (title, controls.in_words(name, getattr(was, name))[1], controls.in_words(name, value)[1])
        )
    for name in dict.fromkeys((*old.streams, *new.streams)):
        told = [found(report, name) for report in (old, new)]
        if told[0] != told[1]:
            rows.append((f"Stream {name}".replace("Stream recovered_trigger", "Recovered trigger"), *told))
    gone, come = (set(a.reasons) - set(b.reasons) for a, b in ((old, new), (new, old)))
    rows.append(("Reasons that only one has", str(len(gone)), str(len(come))))
    return [(name, words.plain(a, 200), words.plain(b, 200)) for name, a, b in rows]


def found(report: Report, name: str) -> str:
    """A stream's figure and how many clean reference models reach it, or what the recovered trigger is."""
    stream = report.streams.get(name)
    if stream is None:
        return "none"
    if "score" not in stream:
        return f"{stream.get('kind')}, flips {stream.get('flip_share', 0):.0%}"
    share = stream.get("clean_share")
    reached = "" if share is None else f", reached by {share:.0%} of the clean models"
    return f"{stream['score']:.3g}{reached}"
