"""The recovered trigger as figures: the trigger itself, what it does to each class, and images without and with it."""

from __future__ import annotations

import numpy as np

from ti_core.rendering.pictures import Figure, grid, heat, scale_for
from ti_core.rendering.trigger.field import field_drawing
from ti_core.rendering.trigger.inks import PAPER, Inks
from ti_core.rendering.trigger.matrix import share_matrix
from ti_core.rendering.trigger.shown import ShownTrigger, shown_trigger
from ti_core.results.case import Array, Case


def trigger_figures(case: Case) -> list[Figure]:
    """All figures of the recovered trigger; none if there is none."""
    found = shown_trigger(case)
    if found is None:
        return []
    figures = [*form_figures(found), *table_figures(found, case.class_names)]
    if len(found.clean):
        both = np.concatenate([found.clean, found.stamped])
        pixels = grid(both, len(found.clean), scale_for(found.clean[0], 90))
        seen = (", ".join(case.class_names[int(k)] for k in row) for row in (found.before, found.after))
        answers = " The model sees {}; with the trigger {}.".format(*seen)
        figures.append(Figure("stamped", found.effect + answers, pixels))
    return figures + occlusion_figures(case, found)


def form_figures(found: ShownTrigger, inks: Inks = PAPER) -> list[Figure]:
    """The trigger itself; none of a kind that this version does not know."""
    if "field" in found.form:
        return [Figure("trigger", found.form_says, drawing=field_drawing(found.form["field"], inks))]
    if not found.form:
        return []
    picture = (
        found.form["wave"] if "wave" in found.form else _stamp(found.form["mask"], found.form["pattern"])
    )
    return [Figure("trigger", found.form_says, grid(picture[None], 1, scale_for(picture, 224)))]


def _stamp(mask: Array, pattern: Array) -> Array:
    """The pattern where the mask is 1, and mid grey where it is 0, ``C x H x W``."""
    weight = np.clip(mask, 0, 1)[None]
    return np.asarray(weight * pattern + (1 - weight) * 0.5)


def table_figures(found: ShownTrigger, names: tuple[str, ...], inks: Inks = PAPER) -> list[Figure]:
    """What becomes of each class's images, without and with the trigger of an all-to-all backdoor."""
    if found.tables is None:
        return []
    frames = " Frames mark the class that each class is led to." if found.assignment else ""
    return [
        Figure(
            f"table-{name}",
            f"Per cent of each class's unseen images by the class that the model sees, {words} the trigger.{frames}",
            drawing=share_matrix(table, names, found.assignment, f"Answers {words} the trigger, in %", inks),
        )
        for name, words, table in zip(("before", "after"), ("without", "with"), found.tables, strict=True)
    ]


def occlusion_figures(case: Case, found: ShownTrigger) -> list[Figure]:
    """The parts of the image that the decision for the target class depends on."""
    fall, turned = (case.arrays.get(f"occlusion/{name}") for name in ("fall", "turned"))
    if fall is None or turned is None:
        return []
    most = max(float(fall.max()), 1e-12)
    pictures = np.concatenate([heat(turned[None], 1.0), heat(fall[None], most)])
    return [
        Figure(
            "occlusion",
            "Where stamped images are covered, place by place. Left, the share of them that are no longer answered"
            " with the target (brightest: all); right, how much of the target's margin is lost (brightest:"
            f" {most:.0%}). {found.covering}".strip(),
            grid(pictures, 2, scale_for(turned, 224)),
        )
    ]
