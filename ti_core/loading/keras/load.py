"""Opens a Keras file as a :class:`~ti_core.reconstruction.model.Model`, and finds its input and its class scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from ti_core.errors import ModelBehaviourError, ModelFileError, RefusedFileError
from ti_core.loading.keras import audit
from ti_core.loading.keras.build import Weigh, build, check_layers
from ti_core.loading.keras.container import Saved, from_archive, from_hdf5
from ti_core.loading.keras.graph import Graph, Layer, graph_of
from ti_core.loading.keras.hdf5 import MAGIC
from ti_core.loading.keras.layers.activations import Sigmoid, Softmax
from ti_core.loading.keras.network import KerasNetwork, Layout
from ti_core.loading.keras.weights import Place, listed, numbered, weights_of
from ti_core.loading.model_file import ModelFile
from ti_core.loading.onnx.limits import MAX_PIXELS
from ti_core.reconstruction.model import Model

SIZES = (32, 28, 64, 224)
"""Sides of images to try if the model does not fix them."""
TOLERANCE = 1e-4
"""How much the scores of an image may differ between batches, relative to the largest score."""
MOST_OUTPUTS = 8
SOFTMAX = "The softmax at the end of the Keras model is left out: the scores are its logits."
SIGMOID = (
    "The Keras model ends in one sigmoid. It is left out, and its score stands for the second of two classes, beside 0"
    " for the first."
)
Shape = tuple[int, int, int]


def open_model(file: ModelFile) -> Model:
    """See :func:`ti_core.loading.keras.open_keras`."""
    saved = saved_in(file.content)
    graph = checked(saved)
    images = _images_of(graph)
    network = KerasNetwork(build(graph, _weigher(saved, graph), saved.version), images.layout).eval()
    classes, shape, ending = _settled(network, images)
    return Model(
        module=network,
        file=file.path.name,
        sha256=file.sha256,
        format="keras archive" if saved.root is None else "keras h5",
        architecture=f"keras {graph.kind.lower()}",
        parameters=sum(p.numel() for p in network.parameters()),
        classes=classes,
        input_shape=shape if images.declared else (shape[0], 0, 0),
        metadata=saved.notes,
        remarks=(images.layout.value, *ending),
    )


def saved_in(data: bytes) -> Saved:
    """The model in the bytes of a ``.keras`` or ``.h5`` file."""
    return from_hdf5(data) if data.startswith(MAGIC) else from_archive(data)


def checked(saved: Saved) -> Graph:
    """The graph of a file, which holds no code and only layers that are known.

    Raises
    ------
    ModelFileError, RefusedFileError : it does not.
    """
    audit.check(*saved.configurations)
    try:
        graph = graph_of(saved.model)
    except RecursionError as error:
        raise ModelFileError("The file's configuration is nested too deeply.") from error
    check_layers(graph, saved.version)
    return graph


def _weigher(saved: Saved, graph: Graph) -> Weigh:
    """Reads the weights of each layer when it is built."""
    version = saved.version
    if saved.root is None:
        places = numbered(saved.arrays, graph, version)
    else:
        places = listed(saved.arrays, saved.root, graph, version)

    def weigh(layer: Layer, place: Place) -> Mapping[str, torch.Tensor]:
        return weights_of(layer, places.get(place, ()), saved.arrays, version, saved.turned)

    return weigh


@dataclass(frozen=True)
class _Images:
    """The images that a model may take: how they become its input, shapes to try, and whether one is declared."""

    layout: Layout
    shapes: tuple[Shape, ...]
    declared: bool


def _images_of(graph: Graph) -> _Images:
    """Read the declared input, which must be one batch of images."""
    if len(graph.shapes) != 1:
        raise ModelFileError(f"An image classifier has one input, but the model has {len(graph.shapes)}.")
    shape = graph.shapes[0]
    if shape is None:
        return _Images(Layout.LAST, tuple(_sizes(None, None, None)), False)
    if math.prod(n or 1 for n in shape) > MAX_PIXELS:
        raise RefusedFileError("The model's input declares images beyond the limits.")
    if len(shape) == 3:
        first = _channels_first(graph)
        high, wide, channels = (shape[1], shape[2], shape[0]) if first else shape
        layout = Layout.FIRST if first else Layout.LAST
        return _Images(layout, tuple(_sizes(channels, high, wide)), bool(high and wide))
    if len(shape) == 2:
        return _Images(Layout.GREY, tuple(_sizes(1, *shape)), bool(shape[0] and shape[1]))
    if len(shape) == 1 and shape[0]:
        for channels in (1, 3):
            side = math.isqrt(shape[0] // channels)
            if channels * side * side == shape[0]:
                return _Images(Layout.ROW, ((channels, side, side),), True)
    shown = " x ".join("?" if n is None else str(n) for n in shape)
    raise ModelFileError(f"The model takes values of the shape {shown or 'of a single number'}, not images.")


def _channels_first(graph: Graph) -> bool:
    """Whether the first layer that says so takes images with the channels first."""
    for layer in graph.layers:
        if layer.nested is not None:
            return _channels_first(layer.nested)
        form = layer.entry.values.get("data_format")
        if isinstance(form, str) and layer.entry.class_name != "Flatten":
            return form == "channels_first"
    return False


def _sizes(channels: int | None, high: int | None, wide: int | None) -> list[Shape]:
    several = [channels] if channels else [3, 1]
    if high and wide:
        return [(c, high, wide) for c in several]
    return [(c, high or n, wide or n) for n in SIZES for c in several]


def _settled(network: KerasNetwork, images: _Images) -> tuple[int | None, Shape, tuple[str, ...]]:
    """Class count, the shape of images that the network takes, and a remark on what was left out at its end."""
    left = [network.graph.without(_is_softmax, place) for place in range(len(network.graph.outputs))]
    remarks = (SOFTMAX,) if any(left) else ()
    first: ModelBehaviourError | None = None
    for shape in images.shapes:
        batch = torch.rand((2, *shape), generator=torch.Generator().manual_seed(0))
        try:
            found = _scores(network, batch)
            if found[0].shape[1:] == (1,) and network.graph.without(_is_sigmoid):
                network.pair = True
                found = _scores(network, batch)
                remarks = (SIGMOID,)
            return _classes(found, _scores(network, batch[:1])), shape, remarks
        except ModelBehaviourError as error:
            first = first or error
    raise ModelFileError(str(first)) from first


def _is_softmax(part: nn.Module) -> bool:
    return isinstance(part, Softmax) and part.axis == (-1,)


def _is_sigmoid(part: nn.Module) -> bool:
    return isinstance(part, Sigmoid)


def _scores(network: KerasNetwork, batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        found = network(batch)
    return found if isinstance(found, tuple) else (found,)


def _classes(found: tuple[torch.Tensor, ...], alone: tuple[torch.Tensor, ...]) -> int | None:
    """The number of classes, or None if several outputs of different lengths could hold the scores.

    Parameters
    ----------
    found, alone : the outputs for two images, and for the first of them by itself.

    Raises
    ------
    ModelFileError : no output is one row of finite class scores an image, or an answer depends on other images.
    """
    counts = {
        scores.shape[1] for scores in found if scores.ndim == 2 and len(scores) == 2 and scores.shape[1] > 1
    }
    if not counts:
        shapes = ", ".join(
            " x ".join(map(str, scores.shape[1:])) or "one number" for scores in found[:MOST_OUTPUTS]
        )
        raise ModelFileError(
            f"The model gives {shapes} for an image, not one score for each of several classes."
        )
    for several, one in zip(found, alone, strict=True):
        if not bool(several.isfinite().all()):
            raise ModelFileError("The model's scores are not finite numbers.")
        if one.shape[1:] != several.shape[1:] or not _same(one, several[:1]):
            raise ModelFileError("The model's answer to an image depends on the other images of its batch.")
    return counts.pop() if len(counts) == 1 else None


def _same(scores: torch.Tensor, wanted: torch.Tensor) -> bool:
    return bool((scores - wanted).abs().max() <= TOLERANCE * max(float(wanted.abs().max()), 1.0))
