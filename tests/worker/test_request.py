"""A request goes to the worker as plain data and comes back the same, or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ti_core.worker.request import InspectionRequest

WHOLE = InspectionRequest(
    model="/m.onnx",
    digest="5e1f",
    companions=("/m.onnx.data",),
    architecture="lenet5",
    sketch="flatten; linear 10",
    pack="mnist",
    images="/images",
    settings={"bins": 9, "quantiles": [0.5, 0.9]},
    device="cuda",
    threads=2,
    cache="/cache",
    case=True,
    isolation={"network": "None."},
)


def test_there_and_back_by_json() -> None:
    assert InspectionRequest.of(json.loads(json.dumps(WHOLE.as_dict()))) == WHOLE


def test_what_is_left_out_is_the_default() -> None:
    assert InspectionRequest.of({"model": "/m"}) == InspectionRequest(model="/m")


def test_settings_become_lists() -> None:
    assert InspectionRequest(settings={"streams": ("saliency",)}).as_dict()["settings"] == {
        "streams": ["saliency"]
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"modell": "/m"},
        {"model": 1},
        {"companions": "/m.onnx.data"},
        {"companions": [1]},
        {"companions": None},
        {"pack": ["mnist"]},
        {"settings": [1]},
        {"threads": "2"},
        {"threads": True},
        {"case": 1},
        {"isolation": None},
    ],
    ids=str,
)
def test_an_unknown_field_or_a_wrong_type_is_an_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a request"):
        InspectionRequest.of(wrong)
