"""The functions of the operators. Importing this package fills the table in :mod:`..registry`."""

from ti_core.loading.onnx.operators import (
    activation,
    attention,
    comparison,
    convolution,
    elementwise,
    indexing,
    linear,
    microsoft,
    normalisation,
    padding,
    pooling,
    reduction,
    resize,
    sampling,
    shape,
)

__all__ = [
    "activation",
    "attention",
    "comparison",
    "convolution",
    "elementwise",
    "indexing",
    "linear",
    "microsoft",
    "normalisation",
    "padding",
    "pooling",
    "reduction",
    "resize",
    "sampling",
    "shape",
]
