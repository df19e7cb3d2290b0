"""What readers of a case are told and shown of its recovered trigger, whatever its kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ti_core.results.case import Array, Case

FORMS = {
    "patch": ("mask", "pattern"),
    "blend": ("mask", "pattern"),
    "warp": ("field",),
    "stripes": ("wave",),
}
"""By kind of trigger, the arrays that show it."""


@dataclass(frozen=True)
class ShownTrigger:
    """A recovered trigger for readers.

    Parameters
    ----------
    kind : as the report names it.
    sentence, covering : the trigger in words, and what covering places of stamped images does; empty if not known.
    flip_share, images : share of the unseen images that it moves, and their number; None if not recorded.
    source : name of the only class that it was made for; empty if it was for images of all classes.
    form : arrays that show the trigger itself, by their names in the case. Empty for a kind that is not known here.
    clean, stamped : images without and with it, ``k x C x H x W``.
    before, after : the classes that the model sees in them, ``k``.
    goals : the class that each of them should become, ``k``; -1 where that is not known.
    tables : without and with it, by true class and answer, the share of images, ``K x K`` each; None if not kept.
    assignment : of an all-to-all backdoor, the class that each class is led to; otherwise empty.
    """

    kind: str
    sentence: str
    covering: str
    flip_share: float | None
    images: int | None
    source: str
    form: Mapping[str, Array]
    clean: Array
    stamped: Array
    before: Array
    after: Array
    goals: Array
    tables: tuple[Array, Array] | None
    assignment: tuple[int, ...]

    @property
    def effect(self) -> str:
        """What the images without and with the trigger show, as a sentence."""
        whose = f" of class {self.source}" if self.source else ""
        into = "the class assigned to the one seen before" if self.assignment else "the target"
        reached = int(np.sum(self.after == self.goals))
        return (
            f"Clean images{whose}, and the same with the trigger: {reached} of these {len(self.clean)} become"
            f" {into}."
        )

    @property
    def form_says(self) -> str:
        """What the picture of the trigger itself shows, as a sentence."""
        if not self.form:
            return f"This version of the program has no picture of a trigger of the kind “{self.kind}”."
        return {
            "patch": "The recovered trigger; grey lets the image through.",
            "warp": "The warp: arrows, to scale, lead from where a pixel is taken to where it is put.",
            "stripes": "The recovered wave, at full contrast; mid grey changes nothing.",
        }.get(self.kind, "The recovered pattern.")


def shown_trigger(case: Case) -> ShownTrigger | None:
    """The recovered trigger of a case; None if it has none."""
    record: Mapping[str, Any] = case.report.streams.get("recovered_trigger", {})
    own = case.group("trigger")
    if "clean" not in own:
        return None
    names, covered = case.class_names, record.get("occlusion")
    source, images = record.get("source_class"), record.get("unseen_images")
    assignment = _assignment(case)
    tables = None
    if "table_before" in own and "table_after" in own:
        tables = own["table_before"], own["table_after"]
    if assignment:
        goals = np.array([assignment[int(k)] for k in own["before"]])
    else:
        target = -1 if case.report.target_class is None else case.report.target_class
        goals = np.full(len(own["before"]), target)
    share = record.get("flip_share")
    return ShownTrigger(
        kind=str(record.get("kind") or "unknown"),
        sentence=str(record.get("sentence", "")),
        covering=str(covered.get("sentence", "")) if isinstance(covered, dict) else "",
        flip_share=None if share is None else float(share),
        images=None if images is None else int(images),
        source=names[source] if isinstance(source, int) and source < len(names) else "",
        form=_form(str(record.get("kind")), own),
        clean=own["clean"],
        stamped=own["stamped"],
        before=own["before"],
        after=own["after"],
        goals=goals,
        tables=tables,
        assignment=assignment,
    )


def _form(kind: str, own: Mapping[str, Array]) -> dict[str, Array]:
    needed = FORMS.get(kind, ())
    return {name: own[name] for name in needed} if all(name in own for name in needed) else {}


def _assignment(case: Case) -> tuple[int, ...]:
    """The class that each class is led to; empty unless the report names one for every class."""
    pairs = (case.report.mapping or {}).get("assignment") or []
    led = {pair["source"]: pair["target"] for pair in pairs}
    count = len(case.class_names)
    if set(led) != set(range(count)) or not all(0 <= target < count for target in led.values()):
        return ()
    return tuple(led[k] for k in range(count))
