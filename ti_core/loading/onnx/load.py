"""Opens a file as a :class:`~ti_core.reconstruction.model.Model`, and finds its input and its class scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import prod
from pathlib import Path

import torch
from onnx import ModelProto, TensorProto

from ti_core.errors import ModelBehaviourError, ModelFileError, RefusedFileError
from ti_core.loading.model_file import ModelFile
from ti_core.loading.onnx import limits
from ti_core.loading.onnx.batches.trial import batch_sizes, settle, trial_size
from ti_core.loading.onnx.container import Container
from ti_core.loading.onnx.graph import build
from ti_core.loading.onnx.network import Layout, OnnxNetwork
from ti_core.loading.onnx.program import Program, Value
from ti_core.loading.onnx.types import type_name
from ti_core.reconstruction.model import Model

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
SIZES = (32, 28, 64, 224)
"""Sides of images to try if the graph does not fix them."""
CHANNELS = (1, 3)
MOST_OUTPUTS = 8
"""How many outputs are kept as possible class scores. Some graphs also return features or auxiliary heads."""
QUANTISED = (
    "The file holds a quantised network. It was computed in float: weights and values are the same whole numbers as in "
    "the file, and gradients pass straight through their rounding."
)


@dataclass(frozen=True)
class _Input:
    """The images as the graph declares them. None stands for a size that the graph does not fix."""

    batch: int | None
    channels: int | None
    height: int | None
    width: int | None
    layout: Layout


def open_model(file: ModelFile, companions: Sequence[Path] = ()) -> Model:
    """See :func:`ti_core.loading.onnx.load_onnx`."""
    path = file.path
    container = Container(path, companions)
    proto = container.read(file.content)
    # The parsed graph holds the weights a second time, and the network will be a third.
    file.release()
    try:
        program = build(proto, container)
        declared = _input(program)
        found, images = _candidates(program, declared)
        network, batching = _settled(found[0], declared, images)
    except RecursionError as error:
        raise ModelFileError(f"'{path.name}' is nested too deeply.") from error
    except ModelBehaviourError as error:
        raise ModelFileError(str(error)) from error
    counts = {candidate.classes for candidate in found}
    several = _outputs_note(len(program.outputs), [candidate.name for candidate in found])
    return Model(
        module=network,
        file=path.name,
        sha256=container.sha256(),
        format="onnx",
        architecture="onnx graph",
        parameters=sum(p.numel() for p in network.parameters()),
        # If several outputs could be the scores, labelled images later show which one is.
        classes=counts.pop() if len(counts) == 1 else None,
        input_shape=(images.shape[1], declared.height or 0, declared.width or 0),
        metadata={**_said(proto), **several, **batching, **_input_notes(declared), **_file_notes(container)},
        variants={
            f"output {candidate.name}": partial(_variant, candidate, declared, images)
            for candidate in found[1:]
        },
        remarks=(QUANTISED,) if program.quantised else (),
    )


@dataclass(frozen=True)
class _Candidate:
    """An output that has the form of class scores."""

    name: str
    network: OnnxNetwork
    classes: int


def _input(program: Program) -> _Input:
    """Read the declared input, which must be one batch of images with the channels first or last."""
    if len(program.inputs) != 1:
        names = ", ".join(f"'{limits.shown(v.name, 40)}'" for v in program.declared_inputs[:5])
        raise ModelFileError(
            f"An image classifier has one input, but the graph has {len(program.inputs)}: {names or 'none'}."
        )
    value = program.declared_inputs[0]
    scale = 1.0
    if value.kind == TensorProto.UINT8:
        _only_cast(program, value)
        scale = 255.0
    elif value.kind not in FLOATS:
        raise ModelFileError(
            f"The input '{limits.shown(value.name, 40)}' holds {type_name(value.kind)}, not pixels."
        )
    shape = value.shape if value.shape is not None else (None,) * 4
    if len(shape) != 4:
        shown = " x ".join("?" if n is None else str(n) for n in shape)
        raise ModelFileError(
            f"The input '{limits.shown(value.name, 40)}' has the shape {shown}, not images N x C x H x W."
        )
    if prod(n or 1 for n in shape[1:]) > limits.MAX_PIXELS or (shape[0] or 1) > limits.MAX_BATCH:
        raise RefusedFileError(
            f"The input '{limits.shown(value.name, 40)}' declares images or batches beyond the limits."
        )
    batch, first, second, third = shape
    if first not in (1, 3) and third in (1, 3):
        return _Input(batch, third, first, second, Layout(channels_last=True, scale=scale))
    return _Input(batch, first, second, third, Layout(scale=scale))


def _only_cast(program: Program, value: Value) -> None:
    """Refuse whole-number images unless the graph first casts them to float, so that gradients exist."""
    users = [s for s in program.steps if program.inputs[0] in s.inputs]
    if not all(
        step.operator.of_shapes
        or step.operator.name == "DequantizeLinear"
        or step.attributes.get("to") == TensorProto.FLOAT
        for step in users
    ):
        raise ModelFileError(
            f"The input '{limits.shown(value.name, 40)}' takes whole numbers and computes with them; "
            "export the network for float32 images."
        )


def _candidates(program: Program, declared: _Input) -> tuple[list[_Candidate], torch.Tensor]:
    """Every output that may hold the class scores, in the graph's order, and images that fit the input."""
    first: ModelFileError | None = None
    for exported, size in product(batch_sizes(program, declared.batch), _sizes(declared)):
        images = torch.rand((trial_size(exported), *size), generator=torch.Generator().manual_seed(0))
        found: list[_Candidate] = []
        shown: list[str] = []
        for number, value in zip(program.outputs, program.declared_outputs, strict=True):
            if number in program.constants or value.kind not in FLOATS or len(found) >= MOST_OUTPUTS:
                continue
            network = OnnxNetwork(program.only([number]), declared.layout, exported)
            try:
                shape = network.shape_of_scores(images)
            except RefusedFileError:
                raise
            except (ModelFileError, ModelBehaviourError) as error:
                first = first or ModelFileError(str(error))
                continue
            name = limits.shown(value.name, 40)
            if shape is not None and _are_scores(shape, exported):
                found.append(_Candidate(name, network, shape[1]))
            form = "constant" if shape is None else " x ".join(map(str, shape))
            shown.append(f"'{name}' {form}")
        if found:
            return found, images
        if shown and first is None:
            first = ModelFileError(
                f"No output of the graph is one row of class scores per image: {', '.join(shown[:5])}."
            )
    raise first or ModelFileError("No output of the graph depends on the pixels.")


def _settled(
    candidate: _Candidate, declared: _Input, images: torch.Tensor
) -> tuple[OnnxNetwork, dict[str, str]]:
    """The network, ready for batches of any size, and a note on how it processes them."""
    network = candidate.network.eval()
    return network, settle(network, declared.batch, images)


def _variant(candidate: _Candidate, declared: _Input, images: torch.Tensor) -> OnnxNetwork:
    return _settled(candidate, declared, images)[0]


def _sizes(declared: _Input) -> list[tuple[int, int, int]]:
    channels = [declared.channels] if declared.channels else list(CHANNELS)
    if declared.height and declared.width:
        return [(c, declared.height, declared.width) for c in channels]
    return [(c, declared.height or n, declared.width or n) for n in SIZES for c in channels]


def _are_scores(shape: torch.Size, images: int) -> bool:
    """Whether there is one row of at least two scores per image, or a map of scores of 1 x 1 pixel."""
    flat = len(shape) == 2 or (len(shape) == 4 and shape[2:] == (1, 1))
    return flat and shape[0] == images and shape[1] >= 2


def _said(proto: ModelProto) -> dict[str, str]:
    """What the file says about itself. It is untrusted text, so it is shortened."""
    opset = max((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), default=0)
    said = {"opset": str(opset)}
    if proto.producer_name:
        said["producer"] = limits.shown(f"{proto.producer_name} {proto.producer_version}".strip())
    for entry in proto.metadata_props[:20]:
        said[f"file: {limits.shown(entry.key, 40)}"] = limits.shown(entry.value)
    return said


def _outputs_note(outputs: int, names: list[str]) -> dict[str, str]:
    if outputs < 2:
        return {}
    listed = " or ".join(f"'{name}'" for name in names)
    return {
        "outputs": f"of {outputs} outputs, {listed} {'holds' if len(names) == 1 else 'may hold'} the scores"
    }


def _input_notes(declared: _Input) -> dict[str, str]:
    notes = []
    if declared.layout.channels_last:
        notes.append("the graph takes N x H x W x C; the channels of images are moved last")
    if declared.layout.scale != 1:
        notes.append(
            f"the graph takes whole numbers from 0 to 255; pixels are multiplied by {declared.layout.scale:g}"
        )
    return {"input": "; ".join(notes)} if notes else {}


def _file_notes(container: Container) -> dict[str, str]:
    if not container.data_files or container.path is None:
        return {}
    names = ", ".join(f"'{limits.shown(name, 40)}'" for name in container.data_files[:5])
    return {
        "weights": f"beside the graph in {names}; the digest is of '{container.path.name}' followed by them"
    }
