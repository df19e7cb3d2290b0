"""Quantised networks, computed in float.

Whole numbers of 8 or 16 bits are held as floats that have these values. So the scores are those of the file but for
rounding, and gradients exist: they pass straight through a rounding and are 0 outside the range (the straight-through
estimator: Bengio et al., 2013, arXiv 1308.3432).
"""

from ti_core.loading.onnx.quantised import operators
from ti_core.loading.onnx.quantised.layers import expanded

__all__ = ["expanded", "operators"]
