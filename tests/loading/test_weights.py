"""Stored tensors become dense, finite float32 tensors of their own, or are refused by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ti_core.errors import ModelFileError
from ti_core.loading.weights import as_buffer, as_weight, frozen


class Own(torch.Tensor):
    """A subclass could override every operation."""


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (3.0, "is no tensor"),
        (torch.ones(2).as_subclass(Own), "is no tensor"),
        (torch.eye(2).to_sparse(), "not a dense one on the CPU"),
        (torch.ones(2, device="meta"), "not a dense one on the CPU"),
        (torch.ones(2, dtype=torch.int64), "stored as int64"),
        (torch.ones(2, dtype=torch.complex64), "stored as complex64"),
        (torch.tensor([1.0, torch.nan, 2.0]), "NaN or infinite"),
        (torch.tensor([1.0, -torch.inf]), "NaN or infinite"),
        (torch.tensor([1e300], dtype=torch.float64), "NaN or infinite"),
    ],
)
def test_what_is_no_weight_is_refused_by_name(value: Any, says: str) -> None:
    with pytest.raises(ModelFileError, match=f"layer.weight'? .*{says}|layer.weight'? {says}"):
        as_weight(value, "layer.weight")


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn])
def test_weights_are_copies_in_float32(kind: torch.dtype) -> None:
    stored = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).to(kind)
    weight = as_weight(stored.t(), "w")
    assert weight.dtype == torch.float32 and weight.is_contiguous()
    assert weight.tolist() == [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]
    same = torch.ones(3)
    as_weight(same, "w").zero_()
    assert same.sum() == 3 and as_weight(torch.empty(0, 4), "w").shape == (0, 4)


def test_counters_keep_their_type() -> None:
    counter = torch.tensor(2**40)
    assert as_buffer(counter, "n").item() == 2**40 and as_buffer(counter, "n") is not counter
    assert as_buffer(torch.ones(2).half(), "mean").dtype == torch.float32
    assert not frozen(torch.ones(2)).requires_grad
