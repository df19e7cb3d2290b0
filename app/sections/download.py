"""Downloads: the report as a page or as JSON, and all figures."""

from __future__ import annotations

import re

import streamlit as st

from app.sections import histograms
from ti_core.errors import PackError
from ti_core.rendering.comparison import Panel
from ti_core.results.case import Case
from ti_core.settings import Settings


def show(case: Case, case_id: str, key: str) -> None:
    """The buttons, in a row."""
    name = stem(case)
    with st.container(horizontal=True, width="content"):
        st.download_button(
            "HTML report",
            lambda: page(case, case_id),
            f"{name}.html",
            "text/html",
            key=f"{key}.html",
            on_click="ignore",
            icon=":material/description:",
            help="One file that asks no other host for anything; it can be printed and signed.",
        )
        st.download_button(
            "JSON",
            lambda: case.report.as_json() + "\n",
            f"{name}.json",
            "application/json",
            key=f"{key}.json",
            on_click="ignore",
            icon=":material/data_object:",
        )
        st.download_button(
            "All figures",
            lambda: figures(case, case_id),
            f"{name}-figures.zip",
            "application/zip",
            key=f"{key}.zip",
            on_click="ignore",
            icon=":material/image:",
        )


def page(case: Case, case_id: str) -> str:
    """The report as one HTML page."""
    from ti_core.rendering.page import html_report

    return html_report(case, drawn(case, case_id))


def figures(case: Case, case_id: str) -> bytes:
    """All figures as a zip archive of PNG and SVG files."""
    from ti_core.rendering.figures import archive

    return archive(case, drawn(case, case_id))


def drawn(case: Case, case_id: str) -> list[Panel]:
    """The panels at the case's own settings. None if there was no pack, or the pack has changed since."""
    if case.alone:
        return []
    try:
        return histograms.panels_of(case, case_id, Settings.parse(case.report.settings))
    except PackError:
        return []


def stem(case: Case) -> str:
    """The first part of the names of downloaded files: safe characters of the model's name, and its digest."""
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", case.report.model["file"]).strip("-.")[:60] or "model"
    return f"{kept}-{case.report.model['sha256'][:8]}"
