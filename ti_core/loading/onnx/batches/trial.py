"""Finds by trial the number of images that a graph takes at once, and how other numbers of them go through."""

from __future__ import annotations

import torch

from ti_core.errors import ModelBehaviourError, ModelFileError
from ti_core.loading.onnx import limits
from ti_core.loading.onnx.network import Batching, OnnxNetwork
from ti_core.loading.onnx.program import Program
from ti_core.loading.onnx.quantised.operators import QUANTISES

SIZES = (1, 2)
"""Batch sizes to try first if the graph does not fix one."""
MOST_SIZES = 8
"""How many batch sizes are tried."""
TOLERANCE = 1e-4
"""How much the scores of an image may differ between batch sizes, relative to the largest score."""
QUANTISED_TOLERANCE = 0.05
"""The same, where values are rounded to whole numbers: the last digit of a sum decides which of two a value becomes."""
REPEATING = frozenset({"Reshape", "Expand", "Tile", "ConstantOfShape"})
"""Operators whose constant shapes may hold the number of images."""


def batch_sizes(program: Program, declared: int | None) -> list[int]:
    """The numbers of images at once to try: the declared one, or the usual ones and those in the graph's shapes.

    Some exporters declare any number of images and write that of the export into the graph.
    """
    if declared:
        return [declared]
    named = {value.shape[0] for value in program.declared_outputs if value.shape}
    for step in program.steps:
        shape = program.constants.get(step.inputs[-1]) if step.operator.name in REPEATING else None
        if shape is not None and shape.ndim == 1 and shape.numel() and not shape.is_floating_point():
            named.add(int(shape[0]))
    hidden = sorted(n for n in named if n is not None and max(SIZES) < n <= limits.MAX_BATCH)
    return [*SIZES, *hidden][:MOST_SIZES]


def trial_size(exported: int) -> int:
    """How many images a trial takes: few, but another number than that of the export."""
    return 3 if exported <= 2 else 2


def settle(network: OnnxNetwork, declared: int | None, images: torch.Tensor) -> dict[str, str]:
    """Choose the fastest way to process batches that gives the same scores as the exported batch size.

    Parameters
    ----------
    declared : the number of images that the graph declares, or None for any.
    images : :func:`trial_size` of them.

    Returns
    -------
    A note on the way, empty if there is nothing to say.
    """
    rounds = any(step.operator.name in QUANTISES for step in network.program.steps)
    joins = any(step.operator.joins for step in network.program.steps)
    tolerance = QUANTISED_TOLERANCE if rounds else TOLERANCE
    network.batching = Batching.CHUNKS
    with torch.no_grad():
        wanted = network(images)
        if not bool(wanted.isfinite().all()):
            raise ModelFileError("The graph's scores are not finite numbers.")
        # Alone, the first image goes through with copies of itself in the place of the others.
        if network.exported > 1 and not _same(network(images[:1]), wanted[:1], tolerance):
            raise ModelFileError(
                f"The graph takes {network.exported} images at once, and its answer to one depends on the others, "
                "so that no image has an answer of its own. Export the network after calling eval(), for one image."
            )
        ways = [] if joins else [Batching.WHOLE, Batching.REWRITTEN]
        ways += [Batching.MAPPED] if network.exported == 1 else []
        agreeing = (w for w in ways if _agrees(network, w, images, wanted, tolerance))
        network.batching = next(agreeing, Batching.CHUNKS)
    if declared is None and network.batching is Batching.WHOLE:
        return {}
    return {"batch": network.batching.value.format(n=network.exported)}


def _agrees(
    network: OnnxNetwork, way: Batching, images: torch.Tensor, wanted: torch.Tensor, tolerance: float
) -> bool:
    network.batching = way
    try:
        scores = network(images)
    except (ModelFileError, ModelBehaviourError, RuntimeError):
        return False
    return _same(scores, wanted, tolerance)


def _same(scores: torch.Tensor, wanted: torch.Tensor, tolerance: float) -> bool:
    if scores.shape != wanted.shape:
        return False
    return bool((scores - wanted).abs().max() <= tolerance * max(float(wanted.abs().max()), 1.0))
