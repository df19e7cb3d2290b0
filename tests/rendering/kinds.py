"""Cases whose recovered trigger is of another kind than a patch or a blend."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ti_core.results.case import Case

ROTATED = [1, 2, 3, 0]


def with_trigger(
    case: Case, record: dict[str, Any], mapping: dict[str, Any] | None = None, **arrays: Any
) -> Case:
    """The case with another recovered trigger and without the arrays of its own."""
    kept = {k: v for k, v in case.arrays.items() if not k.startswith(("trigger/", "occlusion/"))}
    images = np.full((3, 1, 12, 12), 0.5, dtype=np.float32)
    shown = {"clean": images, "stamped": images, "before": np.array([0, 1, 2]), "after": np.array([1, 2, 2])}
    kept |= {f"trigger/{k}": np.asarray(v, dtype=np.float32) for k, v in (shown | arrays).items()}
    whole = {"target_class": 2, "flip_share": 0.9, "unseen_images": 48, "sentence": "A sentence.", **record}
    streams = case.report.streams | {"recovered_trigger": whole}
    report = replace(case.report, streams=streams)
    if mapping is not None:
        report = replace(report, mapping=mapping, target_class=None, target_class_name=None)
    return replace(case, report=report, arrays=kept)


def all_to_all(count: int) -> dict[str, Any]:
    pairs = [
        {"source": k, "source_name": str(k), "target": t, "target_name": str(t), "moved": 0.9}
        for k, t in enumerate(ROTATED[:count])
    ]
    return {
        "kind": "all to all",
        **dict.fromkeys(("source", "source_name", "target", "target_name")),
        "assignment": pairs,
    }


def assigned(case: Case) -> Case:
    count = len(case.class_names)
    mask = np.zeros((12, 12))
    return with_trigger(
        case,
        {"kind": "patch", "target_class": None, "blend_ratio": 1.0, "share_of_image": 0.1},
        all_to_all(count),
        mask=mask,
        pattern=mask[None],
        table_before=np.eye(count),
        table_after=np.eye(count)[ROTATED[:count]],
    )


def warped(case: Case) -> Case:
    field = np.zeros((12, 12, 2))
    field[..., 0] = 1.5
    return with_trigger(case, {"kind": "warp", "largest_displacement": 1.5}, field=field)


def striped(case: Case) -> Case:
    return with_trigger(
        case, {"kind": "stripes", "amplitude": 0.2, "period": 4.0}, wave=np.full((1, 12, 12), 0.5)
    )


MAKERS = {"warp": warped, "stripes": striped, "all to all": assigned}
