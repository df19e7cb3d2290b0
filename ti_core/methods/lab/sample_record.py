"""The record of a demonstration model: how it was trained, and the trigger of its backdoor."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from ti_core.errors import DataError
from ti_core.paper.triggers import KINDS, PatternKind, TriggerSpec

PATTERNS: tuple[PatternKind, ...] = get_args(PatternKind)


@dataclass(frozen=True)
class Demonstration:
    """The contents of a sample's record.

    Parameters
    ----------
    label : "clean", "blend" or "patch".
    trigger, target : the true trigger and the target class of a backdoored sample; None for a clean one.
    poisoning_rate, clean_accuracy, attack_success : shares from 0 to 1, recorded at training.
    """

    label: str
    trigger: TriggerSpec | None
    target: int | None
    poisoning_rate: float
    clean_accuracy: float
    attack_success: float | None


def read_demonstration(path: Path, image_shape: tuple[int, int, int], classes: int) -> Demonstration:
    """Read the record of a sample, and check it against the shape and classes of a pack's images.

    Raises
    ------
    DataError : the record is missing or damaged, or its trigger does not fit the images.
    """
    try:
        record = json.loads(path.read_bytes())
        trigger, target = record["trigger"], record["target"]
        found = Demonstration(
            label=str(record["label"]),
            trigger=None if trigger is None else trigger_of(trigger, image_shape),
            target=None if target is None else int(target),
            poisoning_rate=float(record["poisoning_rate"]),
            clean_accuracy=float(record["clean_accuracy"]),
            attack_success=None if record["attack_success"] is None else float(record["attack_success"]),
        )
    except OSError as error:
        raise DataError(f"The record {path.name} of the sample cannot be read; restore it.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path.name} is not the record of a sample: {error}.") from error
    if (found.trigger is None) != (found.target is None) or not 0 <= (found.target or 0) < classes:
        raise DataError(f"{path.name} names no target class of this pack for its trigger; restore it.")
    return found


def trigger_of(record: dict[str, Any], image_shape: tuple[int, int, int]) -> TriggerSpec:
    """The trigger that a record describes.

    Raises
    ------
    ValueError : its kind or pattern is unknown, or it lies outside images of this shape.
    TypeError : the record has other fields than a trigger.
    """
    spec = TriggerSpec(**record)
    _, height, width = image_shape
    if spec.kind not in KINDS or spec.pattern not in PATTERNS or not 0 < spec.alpha <= 1:
        raise ValueError(f"no trigger of kind {spec.kind!r} has the pattern {spec.pattern!r} at {spec.alpha}")
    inside = (
        0 <= spec.top < spec.top + spec.height <= height and 0 <= spec.left < spec.left + spec.width <= width
    )
    if spec.kind == "patch" and not inside:
        raise ValueError(f"its patch does not lie on images of {height} x {width} pixels")
    return spec
