"""Histograms of the upper quantiles compared with the reference models. They redraw when a setting changes."""

from __future__ import annotations

import streamlit as st

from app import controls, state, words
from app.charts.histograms import histograms
from app.charts.verdict import CONFIG, kind_word
from app.markup import section_map
from ti_core.errors import PackError, SettingsError
from ti_core.rendering.comparison import Panel, panels, same_profile
from ti_core.results.case import Case
from ti_core.settings import Settings


def show(case: Case, case_id: str, key: str) -> Settings | None:
    """Draw the section. Returns the settings if the visitor asks for the verdict at other settings than the case's."""
    if "evidence/saliency/pooled" not in case.arrays:
        return None
    if not section_map.opened("Histograms of saliency"):
        return None
    st.caption(
        "How saliency is spread over its upper quantiles: this model's line beside the clean reference models. A line"
        " that leaves the band is out of the ordinary. Quantiles, bins and form redraw at once and run no model."
    )
    settings = _profile(case, key)
    if settings is None:
        return None
    kind, trojaned, pushes = _view(case, key)
    try:
        chosen = panels_of(case, case_id, settings, (kind,))
    except PackError as error:
        st.info(words.safe(words.for_the_page(str(error))), icon=":material/info:")
        return None
    asked = None
    if not same_profile(case, settings):
        asked = _other_settings(case, settings, key)
    for i, figure in enumerate(histograms(chosen, state.colours(), trojaned, pushes)):
        st.plotly_chart(
            figure,
            theme=None,
            config=CONFIG,
            key=f"{key}.histograms.{i}",
            alt="Histograms of saliency, this model beside the clean reference models; the table below has distances.",
        )
    if pushes and any(abs(p.pushes).max() > 0 for p in chosen):
        st.caption(
            "Under the axis: ▲ a bin that spoke for a backdoor, ▼ one that spoke against it, in saliency's own verdict."
        )
    distance_table(chosen)
    return asked


def _view(case: Case, key: str) -> tuple[str, bool, bool]:
    """Controls: the kind of probes, whether to show trojaned models, and whether to mark what moved the verdict."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="large"):
        kind = st.segmented_control(
            "Probes",
            case.kinds,
            default=case.kinds[0],
            format_func=lambda k: kind_word(k).capitalize(),
            required=True,
            key=f"{key}.kind",
            help="Which random triggers were on the probe images.",
        )
        trojaned = st.toggle(
            "Trojaned models", key=f"{key}.trojaned", help="Lay the trojaned reference models over."
        )
        pushes = st.toggle(
            "Mark what moved the verdict",
            value=True,
            key=f"{key}.pushes",
            help="Bins by their Shapley values.",
        )
    return kind, trojaned, pushes


def _other_settings(case: Case, settings: Settings, key: str) -> Settings | None:
    """Say that histograms and verdict have different settings. Returns the settings if their verdict is asked for."""
    with st.container(horizontal=True, vertical_alignment="center"):
        own = Settings.parse(case.report.settings)
        st.info(
            "These histograms are at other settings than the verdict above, which belongs to quantiles"
            f" {', '.join(f'{q:g}' for q in own.quantiles)}, {own.bins} bins,"
            f" {controls.CHOICES[own.histogram_form]}.",
            icon=":material/info:",
        )
        if case.finished and st.button("Get the verdict at these settings", key=f"{key}.again"):
            return settings
    return None


def _profile(case: Case, key: str) -> Settings | None:
    """The controls of the profile. Returns None while a choice is not valid."""
    own = Settings.parse(case.report.settings)
    prefix = f"{key}.profile"
    if f"{prefix}.quantiles" not in st.session_state:
        controls.fill(prefix, own)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        with st.container(width=380):
            controls.control(prefix, "quantiles")
        with st.container(width=200):
            controls.control(prefix, "bins")
        controls.control(prefix, "histogram_form")
    try:
        turned = controls.read(prefix)
        return own.with_(**turned.of_stage("profile"))
    except SettingsError as error:
        st.warning(words.safe(words.for_the_page(str(error))), icon=":material/warning:")
        return None


def panels_of(
    case: Case, case_id: str, settings: Settings, kinds: tuple[str, ...] | None = None
) -> list[Panel]:
    """The panels of a case, cached by its id and the settings of the profile.

    Parameters
    ----------
    kinds : groups of triggers; None for all.
    """
    return _panels(case_id, settings.digest("profile"), case.finished, kinds, case, settings)


@st.cache_resource(show_spinner=False, max_entries=32)
def _panels(
    case_id: str,
    profile: str,
    finished: bool,
    kinds: tuple[str, ...] | None,
    _case: Case,
    _settings: Settings,
) -> list[Panel]:
    return panels(_case, state.opened(state.pack(_case.report.pack["name"])), _settings, kinds)


def distance_table(chosen: list[Panel]) -> None:
    """Both distances of every histogram, each with its rank among the clean models."""
    rows = [
        {
            "Histogram": p.title[:1].upper() + p.title[1:],
            "Wasserstein, decades": f"{p.wasserstein.value:.3f}",
            "Clean models as far (W)": f"{p.wasserstein.clean_share:.0%}",
            "Kolmogorov-Smirnov": f"{p.kolmogorov_smirnov.value:.3f}",
            "Clean models as far (KS)": f"{p.kolmogorov_smirnov.clean_share:.0%}",
        }
        for p in chosen
    ]
    with st.expander("Distances from the clean reference models", expanded=True):
        st.dataframe(
            rows,
            hide_index=True,
            width="stretch",
            alt="Distances of each histogram from the clean reference models",
        )
        st.caption(
            "Distance from the mean histogram of the clean models; beside it the share of clean models that lie at"
            " least as far from the others. Few means that this model is out of the ordinary."
        )
