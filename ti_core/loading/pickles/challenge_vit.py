"""What a pickled SimpleViT of the Trojan Detection Challenge tells beyond the shapes of its tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ti_core.architectures import Options
    from ti_core.loading.pickles.records import Record
from ti_core.loading.pickles.challenge import REARRANGE

_PATTERNS = (
    "b c (h p1) (w p2) -> b h w (p1 p2 c)",
    "b c (h p1) (w p2) -> b (h w) (p1 p2 c)",
)


def vit_options(record: Record, options: Options) -> dict[str, Any]:
    """The width of a head of a pickled SimpleViT, whose heads leave no trace in the shapes.

    Raises
    ------
    ValueError : its patches, heads or position embedding are not those of the architecture.
    """
    from ti_core.loading.pickles.records import Record

    def part(*names: str) -> Record:
        found: Any = record
        for name in names:
            found = found.children.get(name) if isinstance(found, Record) else None
        if not isinstance(found, Record):
            raise ValueError("a part is missing")
        return found

    attention = part("transformer", "layers", "0", "0")
    heads, scale = attention.state.get("heads"), attention.state.get("scale")
    if type(heads) is not int or not 0 < heads <= options["inner"] or options["inner"] % heads:
        raise ValueError("an impossible number of heads")
    dim_head = options["inner"] // heads
    if not isinstance(scale, float) or abs(scale - dim_head**-0.5) > 1e-9:
        raise ValueError("a scale that does not follow from the heads")
    cut = part("to_patch_embedding", "0")
    if cut.path == REARRANGE:
        sides = {"p1": options["patch"], "p2": options["patch"]}
        if cut.state.get("pattern") not in _PATTERNS or cut.state.get("axes_lengths") != sides:
            raise ValueError("patches cut in another way")
    _check_positions(record.state.get("pos_embedding"), options["dim"])
    return {"dim_head": dim_head}


def _check_positions(stored: Any, dim: int) -> None:
    """Later versions store the position embedding; it must be the one that the architecture computes."""
    if stored is None:
        return
    import torch

    from ti_core.architectures.simple_vit import sincos_2d

    side = round(stored.shape[0] ** 0.5)
    computed = sincos_2d(side, side, dim, torch.device("cpu"))
    if stored.shape != computed.shape or not torch.allclose(stored.float(), computed, atol=1e-4):
        raise ValueError("another position embedding")
