"""The reasons of a verdict in order: for a backdoor, against one, and about the model and its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from app import words
from ti_core.detector.grounds import GROUND
from ti_core.inspection.reasons import detection_sentences
from ti_core.reference.own_images import WEAKER
from ti_core.results.case import Case
from ti_core.results.cautions import cautions
from ti_core.results.report import Report

FIRST = 3
"""Number of reasons of each group that are shown at once."""
TITLES = {
    "for": "For a backdoor",
    "against": "Against a backdoor",
    "about": "About the model and this verdict",
}
CLASSES, TRIGGER, SALIENCY = "class-by-class", "recovered-trigger", "saliency"
"""Anchors of the sections with the figures."""
NO_EVIDENCE = "alone is no evidence"
"""End of the sentence of a recovered trigger that many clean models give way to as well."""


@dataclass(frozen=True)
class Reason:
    """A sentence of the report, and the anchor of the section with its figure, or ""."""

    sentence: str
    anchor: str = ""


def in_groups(report: Report) -> dict[str, list[Reason]]:
    """The report's reasons by group, the weightiest of each first. Each is in one group.

    What a stream finds speaks for a backdoor if few clean models go as far, and else against one. The share of clean
    models that go as far is its weight.
    """
    told = {str(found.get("sentence")): found for found in report.streams.values()}
    trigger = report.streams.get("recovered_trigger") or {}
    pieces = {str(trigger.get("sentence")), str((trigger.get("occlusion") or {}).get("sentence"))}
    found: dict[str, list[tuple[float, Reason]]] = {name: [] for name in TITLES}
    for sentence in _shown(report):
        weight, group, anchor = 0.0, "about", ""
        if sentence.startswith("A recovered trigger") or sentence in pieces:
            group, anchor = ("against" if sentence.endswith(f"{NO_EVIDENCE}.") else "for"), TRIGGER
        elif sentence.startswith("The probability of a backdoor"):
            group = {"backdoored": "for", "clean": "against"}.get(report.verdict, "about")
        elif sentence in told:
            share = told[sentence].get("clean_share")
            anchor = CLASSES
            if share is not None:
                group = "for" if share <= GROUND else "against"
                weight = share if group == "for" else 1 - share
            elif report.verdict == "backdoored" and _same_class(told[sentence], report):
                group = "for"
        elif sentence.startswith("The model makes "):
            group = "against"
        found[group].append((weight, Reason(sentence, anchor)))
    # The report's order decides between equals. It begins with what leads the verdict.
    return {
        name: [reason for _, reason in sorted(group, key=lambda pair: pair[0])]
        for name, group in found.items()
    }


def _same_class(stream: dict[str, Any], report: Report) -> bool:
    return report.target_class is not None and stream.get("target_class") == report.target_class


def _shown(report: Report) -> list[str]:
    """The reasons without what the page shows in other places: what the pack detects, and how weak its basis is."""
    elsewhere = {WEAKER, *detection_sentences(report.pack.get("detects") or {})}
    elsewhere |= set(cautions(report.pack, report.settings))
    return [line for line in report.reasons if line not in elsewhere]


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
