"""Zero padding joined to the convolution behind it, which can pad by itself.

Exporters write a ``Pad`` in front of a ``Conv`` where a layer pads one side more than the other, or where a network
has a layer of its own for that. With large images the padded copies and their gradients take time and memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import torch

from ti_core.loading.onnx.operators.padding import ends
from ti_core.loading.onnx.program import Draft

PADS = ("pads", "constant_value", "axes")
"""Arguments of ``Pad`` behind the first."""


def joined(
    drafts: Sequence[Draft], shapes: Mapping[int, torch.Size], outputs: Collection[int]
) -> list[Draft]:
    """The steps of a plan without those that pad for one convolution alone, by zeros.

    Parameters
    ----------
    shapes : of the values that depend on the inputs.
    outputs : values that are wanted as such.
    """
    users = Counter(number for draft in drafts for number in draft.step.inputs)
    padding = {
        draft.step.outputs[0]: draft
        for draft in drafts
        if draft.step.operator.name == "Pad"
        and users[draft.step.outputs[0]] == 1
        and draft.step.outputs[0] not in outputs
    }
    kept: list[Draft] = []
    gone: set[int] = set()
    for draft in drafts:
        before = padding.get(draft.step.inputs[0]) if draft.step.operator.name == "Conv" else None
        pads = None if before is None else _pads(draft, before, len(shapes[before.step.inputs[0]]))
        if before is None or pads is None:
            kept.append(draft)
            continue
        gone.add(before.step.outputs[0])
        inputs = (before.step.inputs[0], *draft.step.inputs[1:])
        attributes = {**draft.step.attributes, "pads": pads, "auto_pad": "NOTSET"}
        kept.append(replace(draft, step=replace(draft.step, inputs=inputs, attributes=attributes)))
    return [draft for draft in kept if draft.step.outputs[0] not in gone]


def _pads(conv: Draft, pad: Draft, rank: int) -> list[int] | None:
    """The pads of the convolution with those before it; None where it cannot take them over."""
    own = conv.step.attributes
    given = pad.step.keywords() | dict(zip(PADS, pad.arguments[1:], strict=False))
    value = given.get("constant_value", given.get("value"))
    if given.get("mode", "constant") != "constant" or not (value is None or value == 0):
        return None
    before, after = ends(given["pads"], given.get("axes"), rank)
    sides = [*before[2:], *after[2:]]
    there = [0] * len(sides)
    if (auto := own.get("auto_pad", "NOTSET")) == "NOTSET":
        there = own.get("pads") or there
    elif auto != "VALID":
        return None
    if any(before[:2] + after[:2]) or min((*sides, *there)) < 0:
        return None
    return [a + b for a, b in zip(sides, there, strict=True)]
