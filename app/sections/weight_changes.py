"""What changed in the weights between the two models of a comparison."""

from __future__ import annotations

from functools import lru_cache

import streamlit as st

from app import state, words
from app.charts.verdict import CONFIG
from app.charts.weights import change_bars
from ti_core.errors import TrojanInterpretError
from ti_core.loading.versions.record import Changes, TensorChange
from ti_core.results.case import Case

SECONDS = 60.0
"""How long the comparison may take."""
MOST_ROWS = 400


@st.fragment
def show(old: Case, new: Case) -> None:
    """The button, and what was found. The files are opened in a confined process, where both are still kept."""
    sources = [state.kept(c.report.model["sha256"], c.report.model["file"]) for c in (old, new)]
    if None in sources:
        return
    st.subheader("Weights")
    st.caption(
        "If the right model is a later version of the left one: was it trained further, did it get a new last layer, or"
        " was it changed in a few places? The weights say so without any image. It is no verdict."
    )
    if not st.button("Compare the weights", icon=":material/difference:", key="compare.weights"):
        return
    try:
        with st.spinner("Comparing the weights"):
            paths = [str(source.path) for source in sources if source is not None]
            digests = [c.report.model["sha256"] for c in (old, new)]
            found = _changes(paths[0], paths[1], digests[0], digests[1])
    except TrojanInterpretError as error:
        st.warning(words.safe(words.for_the_page(str(error)), 900), icon=":material/block:")
        return
    for sentence in found.sentences():
        st.markdown(words.safe(sentence, 900))
    if found.changed:
        _details(found)


def _details(found: Changes) -> None:
    st.plotly_chart(
        change_bars(found.compared, state.colours()),
        theme=None,
        config=CONFIG,
        key="compare.weights.chart",
        alt="How far each tensor changed; the table below has the figures.",
    )
    rows = sorted(found.changed, key=lambda one: -(one.relative or 0.0))[:MOST_ROWS]
    with st.expander(f"Tensors that changed ({len(found.changed)} of {len(found.compared)})"):
        st.dataframe(
            [_row(one) for one in rows],
            hide_index=True,
            width="stretch",
            alt="Tensors that changed, and how far",
        )


def _row(one: TensorChange) -> dict[str, str]:
    return {
        "Tensor": words.plain(one.name, 120),
        "Shape": " × ".join(map(str, one.shape)) or "single number",
        "Values that differ": f"{one.share:.1%}",
        "Change over its norm": "was all 0" if one.relative is None else f"{one.relative:.2%}",
    }


@lru_cache(maxsize=64)
def _changes(old: str, new: str, old_digest: str, new_digest: str) -> Changes:
    """What the worker finds. The digests are of the files at the paths."""
    from ti_core.system.progress import silent_stage
    from ti_core.worker import Job, Limits
    from ti_core.worker.inspection_job import changes_of, follow

    request = {"old": old, "new": new}
    with Job.start("compare weights", request, limits=Limits.for_seconds(SECONDS)) as job:
        follow(job, silent_stage)
        return changes_of(job)
