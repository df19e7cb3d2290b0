from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ti_core.reference.float16 import EXPONENT, packed, unpacked

FLOATS = st.floats(-(2.0**60), 2.0**60, width=32, allow_subnormal=False)


@given(arrays(np.float32, st.integers(0, 40), elements=FLOATS))
def test_what_comes_back_is_off_by_half_a_unit_of_eleven_bits(values: np.ndarray) -> None:
    back = unpacked(packed({"a": values}))["a"]
    assert back.dtype == np.float32 and back.shape == values.shape
    largest = float(np.abs(values).max(initial=0))
    allowed = np.maximum(np.abs(values.astype(np.float64)) * 2.0**-11, largest * 2.0**-39)
    assert (np.abs(back.astype(np.float64) - values) <= allowed).all()


def test_half_the_bytes_and_the_range_of_float32() -> None:
    saliency = np.geomspace(1e-7, 20, 1000, dtype=np.float32)
    stored = packed({"s/x": saliency})
    assert stored["s/x"].dtype == np.float16 and stored["s/x"].nbytes * 2 == saliency.nbytes
    back = unpacked(stored)["s/x"]
    np.testing.assert_allclose(back, saliency, rtol=2**-11)
    assert np.abs(saliency.astype(np.float16) / saliency - 1).max() > 0.05, "plain float16 would not do"


def test_zeros_and_what_is_not_finite_are_kept() -> None:
    stored = packed({"zeros": np.zeros((2, 3), np.float32), "odd": np.array([1, np.inf], np.float32)})
    assert not [k for k in stored if k.endswith(EXPONENT)]
    back = unpacked(stored)
    assert not back["zeros"].any() and back["odd"].tolist() == [1, float("inf")]


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16])
def test_arrays_that_were_never_packed_are_read_as_well(kind: type) -> None:
    """Packs of an earlier make hold plain float32."""
    np.testing.assert_array_equal(unpacked({"a": np.array([1.5, -2], kind)})["a"], [1.5, -2])
