"""Zero padding joined to the convolution behind it, which can pad by itself.

Exporters write a ``Pad`` in front of a ``Conv`` where a layer pads one side more than the other, or where a network
has a layer of its own for that. With large images the padded copies and their gradients take time and memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import torch

from ti_core.loading.onnx.operators.shape import axes_or_all
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
    kept, gone = [], set()
    for draft in drafts:
        before = padding.get(draft.step.inputs[0]) if draft.step.operator.name == "Conv" else None
        rank = len(shapes[before.step.inputs[0]]) if before and before.step.inputs[0] in shapes else 0
        pads = _pads(draft, before, rank) if before and rank else None
        if before is not None and pads is not None:
            gone.add(before.step.outputs[0])
            inputs = (before.step.inputs[0], *draft.step.inputs[1:])
            attributes = {**draft.step.attributes, "pads": pads, "auto_pad": "NOTSET"}
            draft = replace(draft, step=replace(draft.step, inputs=inputs, attributes=attributes))
        kept.append(draft)
    return [draft for draft in kept if not gone.intersection(draft.step.outputs)]


def _pads(conv: Draft, pad: Draft, rank: int) -> list[int] | None:
    """The pads of the convolution with those before it; None where it cannot take them over."""
    own = conv.step.attributes
    if own.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or not all(pad.constant[1:]):
        return None
    given = pad.step.keywords() | dict(zip(PADS, pad.arguments[1:], strict=False))
    value = given.get("constant_value", given.get("value"))
    if given.get("mode", "constant") != "constant" or not (value is None or value == 0):
        return None
    dims = list(axes_or_all(given.get("axes"), rank))
    sides = []
    for ends in (given["pads"][: len(dims)], given["pads"][len(dims) :]):
        by_axis = dict(zip(dims, ends, strict=True))
        if by_axis.get(0, 0) or by_axis.get(1, 0):
            return None
        sides += [by_axis.get(axis, 0) for axis in range(2, rank)]
    there = own.get("pads") or [0] * len(sides)
    if own.get("auto_pad") == "VALID":
        there = [0] * len(sides)
    if min((*sides, *there)) < 0:
        return None
    return [a + b for a, b in zip(sides, there, strict=True)]
