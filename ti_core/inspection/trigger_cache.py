"""The recovered trigger and its occlusion map, kept in the cache between inspections."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ti_core.inspection.trigger_occlusion import Occlusion
from ti_core.inspection.trigger_recovery import RecoveredTrigger
from ti_core.system.cache import Cache

VERSION = 3
"""Part of the cache key. Raise it when the search for the trigger or its occlusion changes."""

Found = tuple[RecoveredTrigger | None, Occlusion | None]
Arrays = Mapping[str, NDArray[Any]]


def kept_trigger(
    cache: Cache,
    model: str,
    images: str,
    target: int,
    windowed: int | None,
    search: Callable[[], Found],
    source: int | None = None,
) -> Found:
    """The result of ``search``, or the kept one for the same model, images and class.

    Parameters
    ----------
    model : a name unique to these weights and this preprocessing.
    images : digest of the images that the trigger is sought on.
    target : the class that the trigger leads to.
    windowed : version of the windowed stream whose evidence guides the search; None if it took no part.
    source : the only class that the trigger is for, if there is one.
    """
    parts = ["trigger", VERSION, model, images, target, windowed]
    if source is not None:
        parts.append(source)
    key = "trigger/" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return _found(cache.arrays(key, lambda: _arrays(*search())), target, source)


def _arrays(trigger: RecoveredTrigger | None, occlusion: Occlusion | None) -> dict[str, NDArray[Any]]:
    # The cache keeps no empty set of arrays, so the target is always there.
    arrays: dict[str, NDArray[Any]] = {"target": np.array([-1 if trigger is None else trigger.target])}
    if trigger is not None:
        arrays |= {"mask": trigger.mask, "pattern": trigger.pattern, "images": trigger.images_used}
        arrays["numbers"] = np.array([trigger.kind == "blend", trigger.alpha, trigger.flip_share])
    if occlusion is not None:
        o = occlusion
        arrays |= {"fall": o.fall, "turned": o.turned, "most_turned": np.array([o.most_turned])}
        arrays["rectangle"] = np.array([o.height, o.width, o.images, o.top, o.left])
    return arrays


def _found(arrays: Arrays, target: int, source: int | None) -> Found:
    if "mask" not in arrays:
        return None, None
    blend, alpha, flip_share = (float(x) for x in arrays["numbers"])
    trigger = RecoveredTrigger(
        kind="blend" if blend else "patch",
        target=target,
        mask=arrays["mask"],
        pattern=arrays["pattern"],
        alpha=alpha,
        flip_share=flip_share,
        images_used=arrays["images"],
        source=source,
    )
    if "fall" not in arrays:
        return trigger, None
    height, width, images, top, left = (int(x) for x in arrays["rectangle"])
    most = float(arrays["most_turned"][0])
    return trigger, Occlusion(arrays["fall"], arrays["turned"], height, width, images, top, left, most)
