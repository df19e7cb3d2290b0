"""What was recovered once comes back from the cache as it was, and only for the same question."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ti_core.inspection.trigger_cache import Found, kept_trigger
from ti_core.inspection.trigger_occlusion import Occlusion
from ti_core.inspection.trigger_recovery import RecoveredTrigger
from ti_core.system.cache import Cache

rng = np.random.default_rng(0)
PATCH = RecoveredTrigger(
    kind="patch",
    target=2,
    mask=rng.random((6, 5), dtype=np.float32),
    pattern=rng.random((3, 6, 5), dtype=np.float32),
    alpha=1.0,
    flip_share=59 / 60,
    images_used=np.array([4, 7, 9]),
)
BLEND = replace(PATCH, kind="blend", alpha=0.15)
MAP = Occlusion(
    fall=rng.random((6, 5), dtype=np.float32),
    turned=rng.random((6, 5), dtype=np.float32),
    height=2,
    width=3,
    images=11,
    top=3,
    left=1,
    most_turned=1 / 3,
)


def same(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a is b
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in fields(a)]
    return all(np.array_equal(x, y) and type(x) is type(y) for x, y in pairs)


@pytest.mark.parametrize("found", [(PATCH, MAP), (BLEND, None), (None, None)])
def test_what_was_found_comes_back_bit_for_bit(found: Found, tmp_path: Path) -> None:
    searches = []

    def search() -> Found:
        searches.append(1)
        return found

    cache = Cache(tmp_path)
    for _ in range(2):
        kept = kept_trigger(cache, "model", "images", 2, 1, search)
        assert same(kept[0], found[0]) and same(kept[1], found[1])
    assert len(searches) == 1


def test_another_model_class_or_search_is_another_question(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    asked = [("m", "i", 2, 1), ("n", "i", 2, 1), ("m", "j", 2, 1), ("m", "i", 3, 1), ("m", "i", 2, None)]
    for question in asked:
        kept_trigger(cache, *question, lambda: (PATCH, MAP))
    assert len(cache.misses) == len(asked) and not cache.hits


def test_without_a_cache_it_is_made_each_time() -> None:
    assert same(kept_trigger(Cache(None), "m", "i", 2, None, lambda: (BLEND, MAP))[0], BLEND)
