"""The verdict: a sentence, the gauge, kind and target class, the reasons, and the reliability of the pack."""

from __future__ import annotations

import numpy as np
import streamlit as st

from app import controls, state, words
from app.charts import verdict
from app.markup import page
from app.sections.verdicts import reasons
from app.sections.verdicts.bounds import close_to_a_bound
from ti_core.errors import PackError
from ti_core.reference.own_images import WEAKER
from ti_core.results.case import Case
from ti_core.results.cautions import cautions
from ti_core.results.coverage import lines_of, rows_of
from ti_core.results.report import percent
from ti_core.results.wording import leads_in_words


def show(case: Case, key: str) -> None:
    report = case.report
    caution(case)
    st.html(box(case))
    if not case.finished:
        st.caption(
            "So far from saliency alone. The deep streams are still at work; the joint verdict follows."
        )
    st.html(
        page.facts(
            [
                ("Probability of a backdoor", percent(report.probability)),
                ("Suspected trigger", report.trigger_kind or "none suspected"),
                leads(case),
                ("Compared with", ground(case)),
                ("Inspected", f"{words.when(case.created)} UTC"),
                ("Took", words.seconds(sum(report.timings.values()))),
            ]
        )
    )
    if case.alone:
        st.info(WEAKER, icon=":material/info:")
    if report.coverage:
        st.markdown("**What was looked for**")
        coverage(case)
    with st.container(key="verdict.beside"):
        left, right = st.columns([1, 1], gap="large")
    with left:
        gauge(case, key)
        capability(case)
    with right:
        reasons.show(case)


def box(case: Case) -> str:
    """The verdict's box: what the verdict is, what it is about, and what it says little or nothing of."""
    report, bounds = case.report, thresholds(case)
    near = close_to_a_bound(report.probability, *bounds) if bounds else ""
    lines = [report.odds(), *([near] if near else []), *report.limits()]
    return page.verdict(report.verdict, report.heading(), lines, state.colours(), final=case.finished)


def leads(case: Case) -> tuple[str, str]:
    """The suspected target class; or, where not all images are led to one, which classes are led where."""
    mapping, name = case.report.mapping, case.report.target_class_name
    if mapping is not None and mapping["kind"] != "all to one":
        return "It leads", leads_in_words(mapping)
    named = case.report.target_class is not None and name is not None
    return "Suspected target class", str(name) if named else "none"


def coverage(case: Case) -> None:
    """What was looked for, and how often this pack finds it."""
    lines = lines_of(rows_of(case.report.coverage))
    if not lines:
        st.caption(
            "An earlier version of the program wrote this report, which does not say what was looked for."
        )
        return
    st.html(page.covered(lines))
    st.caption(
        "Found by this pack, and false alarms: shares of the models held out from fitting, with 95% intervals."
    )


def caution(case: Case) -> None:
    """What must be known before the verdict is read."""
    said = cautions(case.report.pack, case.report.settings, controls.in_words)
    if said:
        st.warning("\n\n".join(words.safe(line, 1500) for line in said), icon=":material/warning:")


def ground(case: Case) -> str:
    """The reference models or images that the model was compared with."""
    if not case.alone:
        return f"reference pack {case.report.pack['name']}"
    images = case.report.pack["images"]
    labels = "" if images["labelled"] else ", without labels"
    return f"its own classes only, on {images['count']} images of yours ({images['file']}{labels})"


def gauge(case: Case, key: str) -> None:
    """The probability with the pack's thresholds and the probabilities of the reference models."""
    bounds = thresholds(case)
    if bounds is None:
        return
    p, (low, high) = case.report.probability, bounds
    alt = f"Probability of a backdoor {p:.0%}. Below {low:.0%} a model is called clean, from {high:.0%} on backdoored."
    st.plotly_chart(
        verdict.gauge(p, low, high, members(case), state.colours()),
        theme=None,
        config=verdict.CONFIG,
        key=f"{key}.gauge",
        alt=alt,
    )
    bands = f"Clean below {low:.1%}, backdoored from {high:.1%} on, inconclusive between."
    st.caption(
        f"{bands} Without reference models nothing is said with more than 95% either way."
        if case.alone
        else f"{bands} Each mark below the scale is a reference model, judged by a fit that it took no part in."
    )


def thresholds(case: Case) -> tuple[float, float] | None:
    """The two thresholds: clean below the first, backdoored from the second on. None without a decision."""
    decision = case.decisions.get(case.decided_by)
    if decision is not None:
        return decision.low, decision.high
    if not case.alone or not case.understood:
        return None
    from ti_core.detector.own_classes import BACKDOORED, CLEAN, FEWEST_CLASSES, probability_of

    if len(case.class_names) < FEWEST_CLASSES:
        return None
    return probability_of(CLEAN), probability_of(BACKDOORED)


def members(case: Case) -> dict[str, np.ndarray]:
    """Out-of-fold probabilities of the clean and the trojaned reference models. Empty if the pack has changed."""
    values = case.arrays.get(f"oof/{case.decided_by}")
    if values is None:
        return {}
    try:
        pack = state.pack(case.report.pack["name"])
    except PackError:
        return {}
    clean = np.array([not m.trojaned for m in pack.members if not m.held_out])
    if pack.sha256 != case.report.pack["sha256"] or len(clean) != len(values):
        return {}
    return {"clean": values[clean], "trojaned": values[~clean]}


def capability(case: Case) -> None:
    """How well this pack detects each kind of trigger."""
    rows = [
        {
            "Trigger": kind,
            "AUC": f"{f['auc']:.2f} ({f['low']:.2f} to {f['high']:.2f})",
            "Found": f"{f['found']:.0%}",
            "False alarms": f"{f['false_alarms']:.0%}",
            "Measured on": f"{f['trojaned']} trojaned, {f['clean']} clean",
        }
        for kind, f in case.report.pack["detects"].items()
        if {"auc", "low", "high", "found", "false_alarms", "trojaned", "clean"} <= set(f)
    ]
    if rows:
        st.markdown("**How well this pack detects each kind**")
        st.table(rows)
        st.caption(
            "On models held out from fitting; AUC with its 95% interval. Other kinds of trigger may pass."
        )
