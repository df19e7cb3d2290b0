"""The reasons of the verdict: Shapley values of the meta-models' features."""

from __future__ import annotations

import streamlit as st

from app import state
from app.charts.verdict import CONFIG, contribution_bars
from ti_core.rendering.comparison import contributions
from ti_core.results.case import Case

TITLES = {"joint": "The joint verdict", "saliency": "Saliency's own verdict"}


def show(case: Case, key: str) -> None:
    drawn = [
        (name, contributions(case, name, 10)) for name in ("joint", "saliency") if name in case.decisions
    ]
    drawn = [(name, pairs) for name, pairs in drawn if pairs]
    if not drawn:
        return
    st.subheader("Why")
    st.caption(
        "How far each figure moved the verdict (Shapley values, in log-odds): to the right for a backdoor, hatched to"
        " the left against one. The joint verdict goes by what all streams together find in the most suspicious class;"
        " what a single stream gives to it counts little beside that. Saliency's bins are marked under the histograms"
        " above."
    )
    for column, (name, pairs) in zip(st.columns(len(drawn), gap="large"), drawn, strict=True):
        with column:
            st.markdown(f"**{TITLES[name]}**")
            strongest = ", ".join(f"{n} {v:+.2f}" for n, v in pairs[:3])
            st.plotly_chart(
                contribution_bars(pairs, state.colours()),
                theme=None,
                config=CONFIG,
                key=f"{key}.why.{name}",
                alt=f"{TITLES[name]}: {strongest}",
            )
