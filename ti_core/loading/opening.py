"""Opens a file as a :class:`Model`. This is the one place that knows every format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from ti_core.errors import SketchError, UnknownArchitectureError
from ti_core.loading.facts import facts_of
from ti_core.loading.hub.files import FOLDER, HubFiles, read_archive
from ti_core.loading.hub.opening import check_names, is_open, open_hub, tensors_in, told_beside
from ti_core.loading.match import converted_state, match
from ti_core.loading.model_file import ModelFile
from ti_core.loading.pickles.own.layers import agreeing, described, unknown_class
from ti_core.loading.pickles.records import Record
from ti_core.loading.pickles.tensors import precision_remarks
from ti_core.loading.pickles.torch_file import open_checkpoint
from ti_core.loading.pickles.whole_network import module_of
from ti_core.loading.refusals import REFUSED_FORMATS
from ti_core.loading.safetensors_file import hint_of, read_header, read_tensors
from ti_core.loading.sniff import FileFormat, sniff
from ti_core.loading.state_dict import tensors_of
from ti_core.reconstruction.candidates import candidates, partial, shortest
from ti_core.reconstruction.chain import BrokenError
from ti_core.reconstruction.grammar import parse_sketch
from ti_core.reconstruction.layers.file_layers import FileLayer, file_layers
from ti_core.reconstruction.model import Model, Proposal
from ti_core.reconstruction.network import network_of
from ti_core.reconstruction.whole.facts import NOTHING, Stated
from ti_core.text import COMMAND, about_file, few, shown, sketch_command, ways_out


def open_model(
    file: ModelFile,
    architecture: str | None = None,
    companions: Sequence[Path] = (),
    sketch: str | None = None,
) -> Model:
    """Open a file that has already been read. Otherwise the same as :func:`ti_core.loading.load_model`."""
    with about_file(file.path.name):
        model = _opened(file, architecture, companions, sketch)
    if sketch is not None and not model.sketch:
        raise SketchError(
            f"A sketch is for a state dict, whose layers it names; this file is of the kind {model.format} and says"
            " itself what its network is."
        )
    return model


def layers_in(file: ModelFile) -> tuple[FileLayer, ...]:
    """The layers of a state dict, or of a whole module of an unknown class, whatever network it is of.

    Raises
    ------
    SketchError : the file is neither.
    ModelFileError : as :func:`open_model`.
    """
    kind = sniff(file.content, file.path.name)
    content: Any = None
    folder = file.folder if kind is not FileFormat.HUB else read_archive(file.content)
    if folder is not None and is_open(folder):
        content = tensors_in(folder)
    elif file.folder is None and kind is FileFormat.SAFETENSORS:
        content = read_tensors(file.content)
    elif file.folder is None and kind in (FileFormat.TORCH, FileFormat.LEGACY_TORCH):
        content = open_checkpoint(file.content).content
    if isinstance(content, Record) and unknown_class(content):
        return described(content).layers
    if kind is FileFormat.HDF5:
        from ti_core.loading.keras.weights_only import weights_only

        if (found := weights_only(file.content)) is not None:
            return found
    if content is None or isinstance(content, Record):
        raise SketchError("A sketch is for a state dict, whose layers it names; this file is none.")
    return file_layers(converted_state(tensors_of(content)))


def _opened(
    file: ModelFile, architecture: str | None, companions: Sequence[Path], sketch: str | None
) -> Model:
    name = file.path.name
    if file.folder is not None:
        return _from_folder(file.folder, file, architecture, sketch)
    kind = sniff(file.content, name)
    if kind is FileFormat.HUB:
        folder = read_archive(file.content)
        # The members are copies.
        file.release()
        return _from_folder(folder, file, architecture, sketch)
    if kind is FileFormat.ONNX:
        from ti_core.loading.onnx import open_onnx

        return open_onnx(file, companions)
    if kind in (FileFormat.HDF5, FileFormat.KERAS):
        from ti_core.loading.keras import open_keras
        from ti_core.loading.keras.weights_only import weights_only

        layers = weights_only(file.content)
        return open_keras(file) if layers is None else _from_keras(layers, file, sketch)
    if kind in REFUSED_FORMATS:
        raise REFUSED_FORMATS[kind].error(file.content)
    if kind is FileFormat.SAFETENSORS:
        header = read_header(file.content)
        remarks = precision_remarks(tensor.dtype for tensor in header.tensors)
        source = _Source(file, "safetensors", header.metadata, tuple(remarks))
        return _from_state(read_tensors(file.content), source, hint_of(header.metadata), architecture, sketch)
    found = open_checkpoint(file.content)
    if isinstance(found.content, Record):
        source = _Source(file, "torch module", found.notes, found.remarks)
        if unknown_class(found.content):
            return _from_module(found.content, source, architecture, sketch)
        kept, module = module_of(found.content)
        return _model(module, kept, source)
    source = _Source(file, "torch state dict", found.notes, found.remarks)
    return _from_state(found.content, source, {}, architecture, sketch)


def _from_folder(folder: HubFiles, file: ModelFile, architecture: str | None, sketch: str | None) -> Model:
    """A model folder; where only its tensors tell what its network is, they are taken as a state dict."""
    unknown: UnknownArchitectureError | None = None
    if sketch is None or not is_open(folder):
        try:
            return open_hub(folder, file.path.name, file.sha256, architecture)
        except UnknownArchitectureError as error:
            if architecture is not None:
                raise
            unknown = error
    declared, remarks, names = told_beside(folder)
    source = _Source(file, FOLDER, {}, remarks)
    state = tensors_in(folder)
    if unknown is not None:
        model = _proposed(file_layers(converted_state(state)), source, str(unknown))
    else:
        model = _from_state(state, source, {}, None, sketch)
    check_names(names, model.classes)
    return replace(model, declared=declared, class_names=names)


@dataclass(frozen=True)
class _Source:
    """The file, and what is known of it beside its weights; the fields are those of :class:`Model`."""

    file: ModelFile
    format: str
    metadata: Mapping[str, str]
    remarks: tuple[str, ...]


def _from_state(
    content: Any, source: _Source, hint: Mapping[str, Any], architecture: str | None, sketch: str | None
) -> Model:
    if sketch is not None:
        drawn = parse_sketch(sketch)
        module = network_of(drawn, file_layers(converted_state(tensors_of(content))))
        return replace(_model(module, "sketch", source), sketch=str(drawn))
    try:
        matched = match(tensors_of(content), architecture, hint)
    except UnknownArchitectureError as unknown:
        if architecture is not None:
            raise
        return _proposed(file_layers(converted_state(tensors_of(content))), source, str(unknown))
    return replace(_model(matched.module, matched.architecture, source), variants=matched.variants)


def _from_module(record: Record, source: _Source, architecture: str | None, sketch: str | None) -> Model:
    """The network of a whole module of an unknown class: a registered one, or the likeliest that its layers allow."""
    found = described(record)
    if sketch is not None:
        drawn = parse_sketch(sketch)
        return replace(_model(network_of(drawn, found.layers), "sketch", source), sketch=str(drawn))
    name = shown(unknown_class(record))
    try:
        matched = match(found.state, architecture)
        networks = (make() for make in (lambda: matched.module, *matched.variants.values()))
        agrees = architecture is not None or agreeing(networks, found)
    except UnknownArchitectureError:
        if architecture is not None:
            raise
        agrees = False
    if agrees:
        return replace(_model(matched.module, matched.architecture, source), variants=matched.variants)
    return _proposed(
        found.layers, source, f"{MODULE.format(name=name)} {ways_out()}", found.stated, found.strange
    )


def _from_keras(layers: tuple[FileLayer, ...], file: ModelFile, sketch: str | None) -> Model:
    """The network of a file of Keras that holds weights alone."""
    source = _Source(file, "keras h5", {}, ())
    if sketch is not None:
        drawn = parse_sketch(sketch)
        return replace(_model(network_of(drawn, layers), "sketch", source), sketch=str(drawn))
    return _proposed(layers, source, KERAS_WEIGHTS)


NO_CHAIN = "No network was reconstructed from names and shapes: {reason}."
BY_HAND = (
    "If you cannot run the author's code, write the layers into a sketch, as docs/how-to-open-my-model.md, section on"
    " sketches, says:"
)
KERAS_WEIGHTS = (
    "The HDF5 file holds weights of Keras without the model's configuration. Load them into the model and save it"
    ' whole: model.save("model.keras").'
)
MODULE = "The file holds a whole module with the class {name}, whose code is not in the file."


def _proposed(
    layers: tuple[FileLayer, ...],
    source: _Source,
    unknown: str,
    stated: Stated = NOTHING,
    strange: tuple[str, ...] = (),
) -> Model:
    """The likeliest network of a file that fits no registered architecture.

    Parameters
    ----------
    unknown : why the file alone does not say its network, for the refusal.
    strange : layers that no sketch can name, in words.
    """
    try:
        if strange:
            raise BrokenError(f"no sketch has a layer such as {few(strange)}")
        likeliest = candidates(layers, stated=stated)[0]
    except BrokenError as error:
        why = NO_CHAIN.format(reason=shown(str(error), 200))
        line = f"{COMMAND}{sketch_command()}"
        by_hand = "" if line in unknown else f"\n{BY_HAND}\n{line}"
        raise UnknownArchitectureError(f"{unknown}\n{why}{by_hand}{_beginning(layers)}") from error
    sketch = shortest(likeliest.sketch(), layers)
    model = _model(network_of(sketch, layers), "reconstructed", source)
    return replace(model, sketch=str(sketch), proposal=Proposal(layers, stated))


def _beginning(layers: tuple[FileLayer, ...]) -> str:
    """The layers that follow from one another, as a sketch to go on from, and those that are left over."""
    found = partial(layers)
    if found is None or not found.left:
        return ""
    begins = f"The first {len(found.sketch.items)} layers follow from one another, as in this beginning of a sketch:"
    left = few(layer.says() for layer in found.left)
    return f"\n{begins}\n{COMMAND}{found.text()}\nLeft over are {left}."


def _model(module: nn.Module, architecture: str, source: _Source) -> Model:
    classes, input_shape = facts_of(module)
    return Model(
        module=module,
        file=source.file.path.name,
        sha256=source.file.sha256,
        format=source.format,
        architecture=architecture,
        parameters=sum(p.numel() for p in module.parameters()),
        classes=classes,
        input_shape=input_shape,
        metadata=source.metadata,
        declared=source.metadata.get("normalisation"),
        remarks=source.remarks,
    )
