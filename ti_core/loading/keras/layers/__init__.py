"""The layers of Keras that are known."""

from ti_core.loading.keras.layers import (
    activations,
    convolutions,
    images,
    merging,
    normalisation,
    pools,
    shaping,
)
from ti_core.loading.keras.layers.registry import KINDS

__all__ = ["KINDS", "activations", "convolutions", "images", "merging", "normalisation", "pools", "shaping"]
