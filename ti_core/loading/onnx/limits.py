"""How large a graph from an untrusted file may be."""

from __future__ import annotations

from ti_core.errors import RefusedFileError
from ti_core.loading.limits import LIMITS
from ti_core.text import masked

MAX_WEIGHT_BYTES = LIMITS.weight_bytes
"""All tensors that the file declares, together."""
MAX_NODES = 50_000
"""Nodes, after local functions are inlined; a ViT-L has about 3,000."""
MAX_DEPTH = 16
"""How deeply functions and branches may be nested."""
MAX_DATA_FILES = 1_000
MAX_RANK = 16
MAX_NUMBERS = 2**28
"""Numbers in all intermediate values of one image, and in all values folded at load (1 GiB of float32)."""
MAX_LIST = 4_096
"""Numbers in a tensor that is used as a list: a shape, axes, paddings."""
MAX_PIXELS = 2**24
"""Numbers in one image. 3 x 2,048 x 2,048 is allowed."""
MAX_BATCH = 1_024
"""Images in a batch that the graph fixes."""
MAX_TEXT = 200


def shown(text: str | bytes, length: int = MAX_TEXT) -> str:
    """Text from the file made safe for a message: shortened, and without characters that control a terminal.

    protobuf returns bytes for a damaged text field.
    """
    return masked(text, length)


class Budget:
    """Counts the numbers that a graph asks for and refuses those beyond the limit."""

    def __init__(self, images: int = 1) -> None:
        self.limit = MAX_NUMBERS * max(images, 1)
        self.left = self.limit

    def check(self, numbers: int, label: str) -> None:
        """Raise RefusedFileError if the node called `label` needs more numbers than are left."""
        if numbers > self.left:
            shown = f"{numbers:,}" if numbers < 10**18 else "more than 10^18"
            raise RefusedFileError(
                f"{label} asks for {shown} numbers, beyond the graph's limit of {self.limit:,} in all."
            )

    def take(self, numbers: int, label: str) -> None:
        """Count `numbers` as used."""
        self.check(numbers, label)
        self.left -= numbers
