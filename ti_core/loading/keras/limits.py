"""How large a Keras model from an untrusted file may be."""

from __future__ import annotations

CONFIG_BYTES = 32 << 20
"""Bytes of the configuration. That of a network with 1,000 layers has about one MiB."""
LAYERS = 10_000
"""Layers of the file, those of nested models included."""
CALLS = 20_000
"""Calls of layers, where each call of a nested model counts all of its calls."""
DEPTH = 16
"""How deeply models are nested in one another."""
OBJECTS = 60_000
"""Groups and arrays in an HDF5 file."""
GROUP_DEPTH = 64
"""How deeply groups are nested in one another."""
NAME = 1_000
"""Bytes of the name of a group or an array."""
ATTRIBUTE_ITEMS = 50_000
"""Texts in one attribute of an HDF5 file."""
RANK = 8
"""Axes of an array."""
OPTION = 2**24
"""The largest whole number that an option of a layer may be."""
LIST = 4_096
"""Numbers in one option of a layer."""
