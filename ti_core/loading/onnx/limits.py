"""How large a graph from an untrusted file may be, and the guard that holds it to that before memory is taken."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ti_core.errors import RefusedFileError

MAX_GRAPH_BYTES = 2 * 1024**3
"""Size of the ``.onnx`` file; protobuf itself cannot hold more."""
MAX_WEIGHT_BYTES = 4 * 1024**3
"""All tensors that the file declares, together."""
MAX_NODES = 50_000
"""Nodes, after local functions are inlined; a ViT-L has about 3,000."""
MAX_DEPTH = 16
"""Functions that call functions."""
MAX_DATA_FILES = 1_000
MAX_RANK = 16
MAX_NUMBERS = 2**28
"""Numbers in all intermediate values of one image, and in all values folded at load (1 GiB of float32)."""
MAX_LIST = 4_096
"""Numbers in a tensor that is used as a list: a shape, axes, paddings."""
MAX_TEXT = 200


class Budget:
    """Counts the numbers that a graph asks for and refuses those beyond the limit."""

    def __init__(self, numbers: int = MAX_NUMBERS) -> None:
        self.limit = numbers
        self.left = numbers

    def take(self, numbers: int, label: str) -> None:
        """Count `numbers` more for the node described by `label`; RefusedFileError when they are too many."""
        if numbers > self.left:
            raise RefusedFileError(
                f"The graph asks for {numbers:,} numbers at {label}, beyond the limit of {self.limit:,} in all."
            )
        self.left -= numbers


class SizeGuard(TorchDispatchMode):
    """Looks at every tensor made inside one operator, also those that it never returns.

    Operators are tried on the meta device first, where tensors have shapes and no memory; under this guard a
    size beyond the limits is refused there, before the real computation takes the memory.
    """

    def __init__(self, budget: Budget, label: str) -> None:
        super().__init__()
        self.budget = budget
        self.label = label

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Iterable[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor) and leaf.numel() > self.budget.left:
                self.budget.take(leaf.numel(), self.label)
        return result
