from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from ti_core.errors import DataError
from ti_core.results.files.attributions import WHO, Attributions
from ti_core.settings import ATTRIBUTIONS


def left() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What an honest job leaves: every method but CAM, which neither network allows."""
    unfit = [{"method": "cam", "who": who, "reason": "There is no average."} for who in WHO]
    maps = {
        f"{method}/{who}": np.full((3, 4), i + 1, dtype=np.float32)
        for method in ATTRIBUTIONS
        if method != "cam"
        for i, who in enumerate(WHO)
    }
    return {"seen": [1, 2], "unfit": unfit}, maps


def test_maps_reasons_and_classes_are_read_and_each_method_has_one_scale_for_both_networks() -> None:
    record, maps = left()
    maps["lime/witness"][0, 0] = 50.0
    found = Attributions.of(record, save(maps), (3, 4), 3)
    assert found.seen == (1, 2) and found.unfit["cam", "suspect"] == "There is no average."
    assert ("cam", "suspect") not in found.maps and found.maps["lime", "suspect"][0, 0] == 1.0
    both = np.concatenate([maps["lime/suspect"].ravel(), maps["lime/witness"].ravel()])
    assert found.top("lime") == pytest.approx(np.quantile(both, 0.995))
    assert found.top("occlusion") == pytest.approx(2.0)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda record, maps: record.update(seen=[0, 3]),
        lambda record, maps: record.update(seen=[0, -1]),
        lambda record, maps: record.update(seen=[0]),
        lambda record, maps: record.update(more=1),
        lambda record, maps: record["unfit"].pop(),
        lambda record, maps: record["unfit"].append(
            {"method": "lime", "who": "suspect", "reason": "It has a map."}
        ),
        lambda record, maps: record["unfit"].append({"method": "tea", "who": "suspect", "reason": "."}),
        lambda record, maps: maps.pop("lime/suspect"),
        lambda record, maps: maps.update({"tea": np.zeros((3, 4), np.float32)}),
        lambda record, maps: maps.update({"lime/suspect": np.zeros((4, 3), np.float32)}),
        lambda record, maps: maps.update({"lime/suspect": np.zeros((3, 4), np.float64)}),
        lambda record, maps: maps.update({"lime/suspect": np.full((3, 4), -1, np.float32)}),
        lambda record, maps: maps.update({"lime/suspect": np.full((3, 4), np.nan, np.float32)}),
    ],
)
def test_what_a_job_that_was_taken_over_could_leave_is_refused(break_it: Any) -> None:
    record, maps = left()
    break_it(record, maps)
    with pytest.raises(DataError, match="left no valid maps"):
        Attributions.of(record, save(maps), (3, 4), 3)


def test_bytes_that_are_no_arrays_are_refused() -> None:
    with pytest.raises(DataError, match="left no valid maps"):
        Attributions.of(left()[0], b"\x80\x04pickle", (3, 4), 3)
