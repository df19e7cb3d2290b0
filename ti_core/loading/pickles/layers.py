"""Builds layers of ``torch.nn`` from records, with the layers' own constructors.

Only the constructor's arguments and the numbers of a record enter a layer. Hooks and attributes that hide
methods could not get into it; they are refused all the same, with their name.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from torch import nn

from ti_core.errors import RefusedFileError
from ti_core.loading.limits import LIMITS
from ti_core.loading.pickles.layer_table import LAYERS, WRAPPERS
from ti_core.loading.pickles.rebuild import (
    argument,
    arguments,
    check_attributes,
    class_of,
    construct,
    fill,
    kind_of,
)
from ti_core.loading.pickles.records import Record
from ti_core.text import shown


class LayerBuilder:
    """Builds the layers of one file. A layer that occurs twice in the file is built once and shared."""

    def __init__(self) -> None:
        self._built: dict[int, tuple[nn.Module, int]] = {}
        self._paths = 0
        self._special: dict[str, Callable[[Record, str], nn.Module]] = {
            "Sequential": self._sequential,
            "ModuleList": self._module_list,
            "MultiheadAttention": self._attention,
            "TransformerEncoderLayer": self._encoder_layer,
            "TransformerEncoder": self._encoder,
            "SyncBatchNorm": self._batch_norm,
        }

    def build(self, record: Any, where: str = "model") -> nn.Module:
        """The layer that ``record`` describes; ``where`` names it in messages.

        Raises
        ------
        RefusedFileError : ``record`` is no known layer, or carries hooks or attributes that hide methods.
        ModelFileError : the arguments or weights of ``record`` do not fit together.
        """
        if not isinstance(record, Record) or (record.path not in LAYERS and record.path not in WRAPPERS):
            name = record.path if isinstance(record, Record) else type(record).__name__
            raise RefusedFileError(
                f"The file's part {shown(where)} is a {shown(name)}, which is not allowed there."
            )
        if id(record) in self._built:
            layer, paths = self._built[id(record)]
            self._count(paths)
            return layer
        before = self._paths
        if record.path in WRAPPERS:
            layer = self.build(record.children.get("module"), where)
        else:
            name = record.path.rpartition(".")[2]
            self._count(1)
            layer = self._special.get(name, self._plain)(record, where)
        self._built[id(record)] = (layer, self._paths - before)
        return layer

    def _count(self, paths: int) -> None:
        # If each layer holds the next one twice, the forward pass doubles in length with every layer.
        self._paths += paths
        if self._paths > LIMITS.modules:
            raise RefusedFileError(f"The file's module runs through more than {LIMITS.modules} layers.")

    def _plain(self, record: Record, where: str) -> nn.Module:
        layer: nn.Module = construct(class_of(record.path), arguments(record, where), where)
        check_attributes(record, layer, where)
        if record.children:
            raise RefusedFileError(
                f"The file's layer {shown(where)} holds other layers, as no {kind_of(record)} does."
            )
        fill(layer, record, where)
        return layer

    def _batch_norm(self, record: Record, where: str) -> nn.Module:
        # SyncBatchNorm runs on GPUs only. In evaluation mode BatchNorm2d computes the same.
        layer: nn.Module = construct(nn.BatchNorm2d, arguments(record, where), where)
        check_attributes(record, layer, where)
        fill(layer, record, where)
        return layer

    def _sequential(self, record: Record, where: str) -> nn.Module:
        parts = self._parts(record, where)
        check_attributes(record, nn.Sequential(), where)
        try:
            return nn.Sequential(parts)
        except (KeyError, TypeError) as error:
            raise RefusedFileError(
                f"The file's part {shown(where)} gives its layers names that hide methods."
            ) from error

    def _module_list(self, record: Record, where: str) -> nn.Module:
        check_attributes(record, nn.ModuleList(), where)
        return nn.ModuleList(self._parts(record, where).values())

    def _parts(self, record: Record, where: str) -> OrderedDict[str, nn.Module]:
        present = ((name, part) for name, part in record.children.items() if part is not None)
        return OrderedDict((name, self.build(part, f"{where}.{name}")) for name, part in present)

    def _attention(self, record: Record, where: str) -> nn.Module:
        take = {
            k: argument(record.state.get(k), k, where) for k in ("embed_dim", "num_heads", "kdim", "vdim")
        }
        layer: nn.MultiheadAttention = construct(
            nn.MultiheadAttention,
            {
                **take,
                "bias": record.parameters.get("in_proj_bias") is not None,
                "add_bias_kv": record.parameters.get("bias_k") is not None,
                "add_zero_attn": record.state.get("add_zero_attn") is True,
                "batch_first": record.state.get("batch_first") is True,
            },
            where,
        )
        check_attributes(record, layer, where)
        fill(layer, record, where)
        out = record.children.get("out_proj")
        if not isinstance(out, Record) or set(record.children) != {"out_proj"}:
            raise RefusedFileError(
                f"The file's layer {shown(where)} is not a valid attention layer of torch."
            )
        check_attributes(out, layer.out_proj, where)
        fill(layer.out_proj, out, f"{where}.out_proj")
        return layer

    def _encoder_layer(self, record: Record, where: str) -> nn.Module:
        parts = self._parts(record, where)
        kinds = {name: type(part) for name, part in parts.items()}
        attention, linear = parts.get("self_attn"), parts.get("linear1")
        if not isinstance(attention, nn.MultiheadAttention) or not isinstance(linear, nn.Linear):
            raise RefusedFileError(
                f"The file's layer {shown(where)} is not a valid transformer layer of torch."
            )
        function = record.state.get("activation")
        name = (
            function.path.rpartition(".")[2]
            if isinstance(function, type) and issubclass(function, Record)
            else None
        )
        layer: nn.Module = construct(
            nn.TransformerEncoderLayer,
            {
                "d_model": attention.embed_dim,
                "nhead": attention.num_heads,
                "dim_feedforward": linear.out_features,
                "activation": name if name in ("relu", "gelu") else "relu",
                "batch_first": attention.batch_first,
                "norm_first": record.state.get("norm_first") is True,
                "bias": linear.bias is not None,
            },
            where,
        )
        own = {n: type(part) for n, part in layer.named_children()}
        if name is None or {n: k for n, k in kinds.items() if n != "activation"} != own:
            raise RefusedFileError(
                f"The file's layer {shown(where)} is not a valid transformer layer of torch."
            )
        check_attributes(record, layer, where, allowed={"activation"})
        layer._modules.update(parts)
        return layer

    def _encoder(self, record: Record, where: str) -> nn.Module:
        parts = self._parts(record, where)
        layers = parts.get("layers")
        if not isinstance(layers, nn.ModuleList) or not layers or set(parts) - {"layers", "norm"}:
            raise RefusedFileError(f"The file's layer {shown(where)} is not a valid transformer of torch.")
        first = layers[0]
        if not isinstance(first, nn.TransformerEncoderLayer):
            raise RefusedFileError(f"The file's layer {shown(where)} is not a valid transformer of torch.")
        encoder = nn.TransformerEncoder(first, 1, norm=parts.get("norm"), enable_nested_tensor=False)
        check_attributes(record, encoder, where)
        encoder.layers, encoder.num_layers = layers, len(layers)
        return encoder
