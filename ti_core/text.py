"""Words for messages: untrusted text made fit to be shown, and the ways out of a refusal."""

from __future__ import annotations

from collections.abc import Iterable


def shown(text: str, limit: int = 100) -> str:
    """``text`` from a file on one line: unprintable characters escaped, the rest cut off at ``limit``."""
    kept = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: limit + 1])
    return kept if len(text) <= limit else kept[:limit] + "..."


def few(names: Iterable[str], limit: int = 3) -> str:
    """The first few names, and how many more there are."""
    listed = list(names)
    text = ", ".join(shown(name, 60) for name in listed[:limit])
    return text if len(listed) <= limit else f"{text} and {len(listed) - limit} more"


EXPORT_TO_ONNX = (
    'torch.onnx.export(model.eval(), torch.rand(1, C, H, W), "model.onnx", dynamo=True, external_data=False)'
)
SAVE_STATE_DICT = 'torch.save(model.state_dict(), "model.pt")'


def ways_out() -> str:
    """What the owner of a model can do instead, as lines to copy."""
    return (
        f"Where the model can be trusted to run, export it to ONNX: {EXPORT_TO_ONNX}\n"
        f"or, for a network of a registered architecture, save its state dict: {SAVE_STATE_DICT}"
    )
