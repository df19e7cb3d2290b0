"""How the verdict came about: the steps of the joint meta-model, and the bins of saliency's own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from app import state, words
from app.charts.verdict import CONFIG, contribution_bars
from app.charts.waterfall import waterfall_chart
from app.markup import section_map
from ti_core.rendering.comparison import contributions
from ti_core.rendering.waterfall import START, Step, probability_at, waterfall
from ti_core.results.case import Case

TITLES = {"joint": "The joint verdict", "saliency": "Saliency's own verdict"}
TOLD = 0.05
"""Log-odds from which on a step is told in words."""


def show(case: Case, key: str) -> None:
    drawn = [
        (name, contributions(case, name, 10)) for name in ("joint", "saliency") if name in case.decisions
    ]
    drawn = [(name, pairs) for name, pairs in drawn if pairs]
    if not drawn:
        return
    if not section_map.opened("Why"):
        return
    st.caption(
        "How far each figure moved the verdict, in log-odds: to the right for a backdoor, hatched to the left against"
        " one. The joint verdict goes by what all streams together find in the most suspicious class; what a single"
        " stream gives to it counts little beside that. Saliency's bins are marked under the histograms above."
    )
    with st.container(key="why.beside"):
        columns = st.columns(len(drawn), gap="large")
    for column, (name, pairs) in zip(columns, drawn, strict=True):
        with column:
            st.markdown(f"**{TITLES[name]}**")
            steps = waterfall(case, name) if name == case.decided_by else []
            if steps:
                _steps(case, name, steps, key)
                continue
            strongest = ", ".join(f"{n} {v:+.2f}" for n, v in pairs[:3])
            st.plotly_chart(
                contribution_bars(pairs, state.colours()),
                theme=None,
                config=CONFIG,
                key=f"{key}.why.{name}",
                alt=f"{TITLES[name]}: {strongest}",
            )


def _steps(case: Case, name: str, steps: Sequence[Step], key: str) -> None:
    """The sum in words and as a waterfall."""
    said = in_words(steps, case.report.probability)
    st.markdown(words.safe(said, 900))
    decision = case.decisions[name]
    bounds = tuple(
        float(np.log(p) - np.log1p(-p)) for p in np.clip((decision.low, decision.high), 1e-9, 1 - 1e-9)
    )
    st.plotly_chart(
        waterfall_chart(steps, (bounds[0], bounds[1]), state.colours()),
        theme=None,
        config=CONFIG,
        key=f"{key}.why.{name}",
        alt=f"{TITLES[name]}: {said}",
    )


def in_words(steps: Sequence[Step], probability: float) -> str:
    """Where the sum begins, what moved it most, and where it ends."""
    moved = sorted((s for s in steps if s.name != START), key=lambda s: -abs(s.by))
    told = [f"{s.name} {s.by:+.1f}" for s in moved[:3] if abs(s.by) >= TOLD]
    begin = (
        f"The mean of all reference models, clean and backdoored, stands at {steps[0].total:+.1f} log-odds"
        f" ({probability_at(steps[0].total):.1%})."
    )
    return (
        f"{begin} This model was moved by {', '.join(told) or 'next to nothing'}."
        f" Together that makes {steps[-1].total:+.1f}, a probability of {probability:.1%}."
        " The dotted lines are the bounds of clean and backdoored."
    )
