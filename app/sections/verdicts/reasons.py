"""The reasons of a verdict in order: for a backdoor, against one, and about the model and its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from app import words
from ti_core.results.case import Case
from ti_core.results.report import Report

FIRST = 3
"""Number of reasons of each group that are shown at once."""
TITLES = {
    "for": "For a backdoor",
    "against": "Against a backdoor",
    "neither": "About the model and this verdict",
}
CLASSES, TRIGGER, SALIENCY = "class-by-class", "recovered-trigger", "saliency"
"""Anchors of the sections with the figures."""


@dataclass(frozen=True)
class Reason:
    """A sentence of the report, and the anchor of the section with its figure, or ""."""

    sentence: str
    anchor: str = ""


def in_groups(report: Report) -> dict[str, list[Reason]]:
    """The report's reasons by group, the weightiest of each first. Each is in one group.

    The weight of a stream's reason is the share of clean models that go as far. What the model was compared with is
    said in other places of the page. A report of an earlier version does not say what its reasons speak for.
    """
    bearings = report.bearings or [{"speaks": "neither", "of": ""}] * len(report.reasons)
    found: dict[str, list[tuple[float, Reason]]] = {name: [] for name in TITLES}
    for sentence, bearing in zip(report.reasons, bearings, strict=True):
        of = bearing["of"]
        if of == "pack":
            continue
        reason = Reason(sentence, TRIGGER if of == "recovered_trigger" else CLASSES if of else "")
        found[bearing["speaks"]].append((_weight(report, bearing), reason))
    # The report's order decides between equals. It begins with what leads the verdict.
    return {
        name: [reason for _, reason in sorted(group, key=lambda pair: pair[0])]
        for name, group in found.items()
    }


def _weight(report: Report, bearing: Mapping[str, str]) -> float:
    """Place of a reason in its group, 0 to 1; the smallest comes first."""
    if bearing["of"] == "recovered_trigger":
        return 0.0
    share = report.streams.get(bearing["of"], {}).get("clean_share")
    if share is None:
        return 0.0
    return float(share if bearing["speaks"] == "for" else 1 - share)


def show(case: Case) -> None:
    """The groups, each with its first reasons; the others are folded away."""
    st.markdown("**Reasons**")
    drawn = {TRIGGER} if any(name.startswith("trigger/") for name in case.arrays) else set()
    drawn |= {CLASSES} if case.group("evidence") else set()
    for name, reasons in in_groups(case.report).items():
        if not reasons:
            continue
        st.markdown(f"*{TITLES[name]}*")
        st.markdown(_list(reasons[:FIRST], drawn))
        if len(reasons) > FIRST:
            with st.expander(words.article(len(reasons) - FIRST, "further reason")):
                st.markdown(_list(reasons[FIRST:], drawn))


def _list(reasons: Sequence[Reason], drawn: set[str]) -> str:
    return "\n".join(
        f"- {words.safe(words.for_the_page(one.sentence), 600)}"
        + (f" [figure](#{one.anchor})" if one.anchor in drawn else "")
        for one in reasons
    )
