"""All figures of a case as files: pictures as PNG, charts as SVG. The report shows the same figures."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence

import numpy as np

from ti_core.rendering import drawings
from ti_core.rendering.class_marks import marked_classes
from ti_core.rendering.comparison import KIND_WORDS, Panel, contributions
from ti_core.rendering.histogram_drawing import histograms
from ti_core.rendering.opinions.drawing import opinion_figures
from ti_core.rendering.pictures import Figure, evenly, grid, heat, scale_for
from ti_core.rendering.trigger.figures import trigger_figures
from ti_core.rendering.trigger.matrix import pair_matrix
from ti_core.results.case import Case
from ti_core.streams import known_stream

SHOWN, STEPS = 8, 6
"""Probe images of each row, and steps of activation maximisation, that a figure shows."""
PAIRS_SAY = (
    "How far each pair of classes stands out: the deviations above clean models of a pattern that leads images of one"
    " class to one other. The frame marks the largest."
)


def verdict_figures(case: Case) -> list[Figure]:
    """The probability on its scale."""
    decision = case.decisions.get(case.decided_by)
    if decision is None:
        return []
    drawing = drawings.gauge(case.report.probability, decision.low, decision.high)
    return [
        Figure(
            "verdict",
            f"Probability of a backdoor {case.report.probability:.1%}; clean below {decision.low:.1%}, backdoored from"
            f" {decision.high:.1%} on.",
            drawing=drawing,
        )
    ]


def stream_figures(case: Case) -> list[Figure]:
    """The figures of each class, one chart a deep stream."""
    found = []
    for name, stream in case.report.streams.items():
        figures = stream.get("figures")
        if not isinstance(figures, dict):
            continue
        # Without reference models there is no band.
        keys = ("values",) if case.report.pack.get("images") else ("values", "low", "middle", "high")
        columns = [figures.get(k) for k in keys]
        if not all(_numbers(c, len(case.class_names)) for c in columns):
            continue
        known = known_stream(name)
        title = f"{known.heading}: {known.measures}" if known else name
        values, *band = (np.asarray(c, dtype=np.float64) for c in columns)
        drawing = drawings.class_bars(
            case.class_names, values, band, title, *marked_classes(case.report, stream)
        )
        found.append(Figure(f"classes-{name}", str(stream.get("sentence", title)), drawing=drawing))
        if table := pair_matrix(case, stream):
            found.append(Figure(f"pairs-{name}", PAIRS_SAY, drawing=table))
    return found


def saliency_figures(case: Case) -> list[Figure]:
    """Probes with the saliency of this model and of the clean reference model, for each group of triggers."""
    arrays = case.arrays
    if "probes" not in arrays:
        return []
    both = np.concatenate([arrays["saliency/suspect"].ravel(), arrays["saliency/witness"].ravel()])
    top = float(max(np.quantile(both, 0.995), 1e-12))
    found = []
    for g, kind in enumerate(case.kinds):
        count = min(SHOWN, arrays["probes"].shape[2])
        rows = []
        for r in range(3):
            images = arrays["probes"][g, r, :count]
            rows.append(np.repeat(images, 3, axis=1) if images.shape[1] == 1 else images[:, :3])
            rows += [heat(arrays[f"saliency/{who}"][g, r, :count], top) for who in ("suspect", "witness")]
        found.append(
            Figure(
                f"saliency-{kind}",
                f"Probes with {KIND_WORDS.get(kind, kind)}. Three rows each for the clean, the maximised and the"
                f" minimised images: the image, this model's saliency, a clean reference model's."
                f" Brightest: {top:.3g}.",
                grid(np.concatenate(rows), count, scale_for(arrays["probes"][g, 0, 0], 84)),
            )
        )
    return found


def actmax_figures(case: Case) -> list[Figure]:
    """The strips of activation maximisation."""
    found = []
    for who, words in (("maker", "the reference model that made the probes"), ("suspect", "this model")):
        images = case.arrays.get(f"actmax/{who}/images")
        if images is None:
            continue
        images = images[:, list(evenly(images.shape[1], STEPS))]
        # Directions x steps x images become one row of steps for each direction and image.
        rows = images.transpose(2, 0, 1, 3, 4, 5).reshape(-1, *images.shape[3:])
        found.append(
            Figure(
                f"actmax-{who}",
                f"Activation maximisation by {words}: from the start to the end, in pairs of rows maximised and"
                " minimised.",
                grid(rows, images.shape[1], scale_for(images[0, 0, 0], 84)),
            )
        )
    return found


def histogram_figures(case: Case, panels: Sequence[Panel]) -> list[Figure]:
    """The histograms of each group of triggers."""
    found = []
    for kind in case.kinds:
        own = [p for p in panels if p.kind == kind]
        if own:
            words = f"Saliency, {KIND_WORDS.get(kind, kind)}"
            found.append(Figure(f"histograms-{kind}", f"{words}.", drawing=histograms(own, words)))
    return found


def why_figures(case: Case) -> list[Figure]:
    """Shapley values of the meta-models."""
    titles = {"joint": "What moved the joint verdict", "saliency": "What moved saliency's own verdict"}
    found = []
    for name, title in titles.items():
        pairs = contributions(case, name)
        if pairs:
            found.append(
                Figure(
                    f"why-{name}",
                    f"{title}: Shapley values in log-odds.",
                    drawing=drawings.contribution_bars(pairs, title),
                )
            )
    return found


def all_figures(case: Case, panels: Sequence[Panel]) -> list[Figure]:
    """Every figure, in the order of the page."""
    return [
        *verdict_figures(case),
        *trigger_figures(case),
        *stream_figures(case),
        *saliency_figures(case),
        *actmax_figures(case),
        *histogram_figures(case, panels),
        *why_figures(case),
        *opinion_figures(case),
    ]


def archive(case: Case, panels: Sequence[Panel]) -> bytes:
    """All figures and their captions as one zip archive."""
    figures = all_figures(case, panels)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for figure in figures:
            file.writestr(figure.file, figure.data())
        file.writestr("captions.json", json.dumps({f.file: f.caption for f in figures}, indent=1))
    return buffer.getvalue()


def _numbers(values: object, count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    )
