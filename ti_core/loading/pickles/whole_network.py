"""Whole modules: the registered architecture supplies the forward pass, the file supplies the layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ti_core.architectures import ARCHITECTURES, Options
from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.match import settled
from ti_core.loading.pickles.challenge import REARRANGE
from ti_core.loading.pickles.layer_table import LAYERS, WRAPPERS
from ti_core.loading.pickles.layers import LayerBuilder
from ti_core.loading.pickles.networks import NETWORK_CLASSES, NETWORK_PARTS
from ti_core.loading.pickles.rebuild import check_attributes, fill
from ti_core.loading.pickles.records import Record
from ti_core.text import few, shown, ways_out

_CONTAINERS = {"torch.nn.modules.container.Sequential", "torch.nn.modules.container.ModuleList"}
_NO_EFFECT = ("dropout.", "linear.Identity")


def module_of(record: Record) -> tuple[str, nn.Module]:
    """The name and the network of a whole module, which is a known network or a layer of ``torch.nn``.

    Raises
    ------
    RefusedFileError : the module's class is unknown, or it carries something that could run.
    ModelFileError : the module's layers or weights do not fit together.
    """
    while record.path in WRAPPERS:
        check_attributes(record, nn.Identity(), "model")
        inner = record.children.get("module")
        if not isinstance(inner, Record):
            raise ModelFileError("The file holds a DataParallel wrapper with no network inside.")
        record = inner
    if record.path in NETWORK_CLASSES:
        return NETWORK_CLASSES[record.path], _network(record)
    if record.path not in LAYERS or record.path.endswith(".ModuleList"):
        raise RefusedFileError(
            f"The file holds only a part of a network, of the class {shown(record.path)}. {ways_out()}"
        )
    module = LayerBuilder().build(record)
    module.requires_grad_(False)
    return record.path.rpartition(".")[2], module.eval()


def _network(record: Record) -> nn.Module:
    name = NETWORK_CLASSES[record.path]
    cls = ARCHITECTURES[name]
    shapes = {key: tuple(tensor.shape) for key, tensor in _flat(record).items()}
    try:
        options = cls.infer(shapes)
        if options is None:
            raise ValueError
        options = {**options, **options_of(name, record, options)}
        with torch.device("meta"):
            net = cls(**options)
    except Exception as error:
        raise RefusedFileError(
            f"The file's module calls itself {shown(record.path)}, but does not have the layers of that "
            f"network. {ways_out()}"
        ) from error
    _transplant(net, record, LayerBuilder(), "model")
    return settled(net, lambda: cls(**options))


def _flat(record: Record) -> dict[str, torch.Tensor]:
    """Every tensor below ``record`` by its dotted name, as ``state_dict`` would name it."""
    found: dict[str, torch.Tensor] = {}
    stack = [("", record)]
    while stack:
        prefix, node = stack.pop()
        for name, value in (*node.parameters.items(), *node.buffers.items()):
            if isinstance(value, torch.Tensor):
                found[prefix + name] = value
        stack += [
            (f"{prefix}{name}.", child) for name, child in node.children.items() if isinstance(child, Record)
        ]
    return found


def _transplant(own: nn.Module, record: Record, builder: LayerBuilder, where: str) -> None:
    """Put the layers below ``record`` into ``own``, whose layers have the same names."""
    # torchvision keeps the class of its norm layers in an attribute. Nothing calls it afterwards.
    check_attributes(record, own, where, allowed={"_norm_layer"})
    fill(own, record, where)
    children = {name: child for name, child in record.children.items() if child is not None}
    present = {name: child for name, child in own._modules.items() if child is not None}
    extra = [name for name in children if name not in present and not _no_effect(children[name])]
    missing = [name for name in present if name not in children and list(present[name].parameters())]
    if extra or missing:
        raise RefusedFileError(
            f"The file's part {shown(where)} does not have the layers of its class ({few(extra or missing)})."
        )
    for name, child in children.items():
        if name in present:
            place = f"{where}.{name}"
            own._modules[name] = _part(present[name], child, builder, place)


def _part(own: nn.Module, child: Any, builder: LayerBuilder, where: str) -> nn.Module:
    if not isinstance(child, Record):
        raise RefusedFileError(f"The file's part {shown(where)} is no layer.")
    if child.path == REARRANGE and type(own).__name__ == "Patches":
        return own
    if _is_empty(child) and (
        isinstance(own, nn.Identity) or (_is_container(own) and not len(list(own.children())))
    ):
        return own
    if child.path in LAYERS and child.path not in _CONTAINERS:
        layer = builder.build(child, where)
        if type(layer) is not type(own) and (list(layer.parameters()) or list(own.parameters())):
            raise RefusedFileError(
                f"The file's layer {shown(where)} is a {type(layer).__name__} where its class has a "
                f"{type(own).__name__}."
            )
        return layer
    name = child.path.rpartition(".")[2] if child.path in _CONTAINERS else NETWORK_PARTS.get(child.path)
    if name != type(own).__name__:
        raise RefusedFileError(
            f"The file's part {shown(where)} is a {shown(child.path)}, which is not allowed there."
        )
    _transplant(own, child, builder, where)
    return own


def _no_effect(child: Any) -> bool:
    return isinstance(child, Record) and (any(mark in child.path for mark in _NO_EFFECT) or _is_empty(child))


def _is_container(own: nn.Module) -> bool:
    return isinstance(own, (nn.Sequential, nn.ModuleList))


def _is_empty(child: Record) -> bool:
    return child.path in _CONTAINERS and not child.children


def options_of(architecture: str, record: Record, options: Options) -> dict[str, Any]:
    """The options that a whole module stores and that the shapes of its tensors do not show.

    Raises
    ------
    ValueError : the architecture cannot have these options.
    """
    return vit_options(record, options) if architecture == "simple_vit" else {}


_PATTERNS = (
    "b c (h p1) (w p2) -> b h w (p1 p2 c)",
    "b c (h p1) (w p2) -> b (h w) (p1 p2 c)",
)


def vit_options(record: Record, options: Options) -> dict[str, Any]:
    """The width of one head of a pickled SimpleViT, which the shapes do not show.

    Raises
    ------
    ValueError : the network's patches, heads or position embedding are not those of the architecture.
    """

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
    from ti_core.architectures.simple_vit import sincos_2d

    side = round(stored.shape[0] ** 0.5)
    computed = sincos_2d(side, side, dim, torch.device("cpu"))
    if stored.shape != computed.shape or not torch.allclose(stored.float(), computed, atol=1e-4):
        raise ValueError("another position embedding")
