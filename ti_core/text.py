"""Text for messages: untrusted text made safe to show, and what the owner of a refused model can do.

Three functions make untrusted text safe to show. They differ in what they put for a character that is unsafe:

- :func:`shown` escapes, so that a reader sees which characters a name in a file contains.
- :func:`plain` replaces control characters with spaces, for whole messages on a terminal or a page.
- :func:`masked` replaces unprintable characters with question marks, for texts of a graph, which may be bytes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


def shown(text: str, limit: int = 100) -> str:
    """Escape unprintable characters. Text beyond ``limit`` characters is cut and marked with three dots."""
    kept = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: limit + 1])
    return kept if len(text) <= limit else kept[:limit] + "..."


def plain(text: str, most: int, lines: bool = False) -> str:
    """Text without control characters (:func:`without_controls`), cut for a terminal.

    Parameters
    ----------
    most : maximum number of characters of the result. A longer text is cut and ends with "…".
    lines : keep line breaks, for messages that have something to copy on a line of its own.
    """
    kept = without_controls(text[: most + 1], lines)
    return kept if len(kept) <= most else kept[: most - 1] + "…"


def without_controls(text: str, lines: bool = False) -> str:
    """Replace control characters, direction characters and surrogates with spaces; ``lines`` keeps line breaks."""
    return "".join(c if unicodedata.category(c)[0] != "C" or (lines and c == "\n") else " " for c in text)


def masked(text: str | bytes, limit: int) -> str:
    """Cut at ``limit`` characters and replace unprintable characters with "?". Bytes are read as UTF-8."""
    if isinstance(text, bytes):
        text = text[:limit].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "?" for c in text[:limit])


def few(names: Iterable[str], limit: int = 3) -> str:
    """List the first ``limit`` names, and say how many more there are."""
    listed = list(names)
    text = ", ".join(shown(name, 60) for name in listed[:limit])
    return text if len(listed) <= limit else f"{text} and {len(listed) - limit} more"


EXPORT_TO_ONNX = (
    'torch.onnx.export(model.eval(), torch.rand(1, C, H, W), "model.onnx", dynamo=True, external_data=False)'
)
SAVE_STATE_DICT = 'torch.save(model.state_dict(), "model.pt")'
COMMAND = "    "
"""Beginning of a line of a message that holds a command to copy, and no prose."""


def ways_out() -> str:
    """What the owner of a refused model can do instead, with commands to copy on lines of their own."""
    return (
        "Where the model can be trusted to run, export it to ONNX, with the channels C, the height H and the width W of"
        f" its images:\n{COMMAND}{EXPORT_TO_ONNX}\n"
        f"Or, for a network of a registered architecture, save its state dict:\n{COMMAND}{SAVE_STATE_DICT}"
    )
