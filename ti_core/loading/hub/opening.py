"""Opens a model folder as a :class:`~ti_core.reconstruction.model.Model`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ti_core.errors import ModelFileError
from ti_core.loading.facts import facts_of
from ti_core.loading.hub.configuration import class_names, settings_in, told
from ti_core.loading.hub.files import CONFIG, FOLDER, INDEX, PREPARATION, HubFiles
from ti_core.loading.hub.network import HubNetwork, build
from ti_core.loading.hub.preparation import preparation_of, timm_preparation
from ti_core.loading.match import converted_state, match
from ti_core.loading.pickles.torch_file import open_checkpoint
from ti_core.loading.refusals import REFUSED_FORMATS
from ti_core.loading.safetensors_file import read_header, read_tensors
from ti_core.loading.sniff import FileFormat, sniff
from ti_core.loading.state_dict import State, tensors_of
from ti_core.reconstruction.model import Model
from ti_core.system.strict_json import parse
from ti_core.text import few, shown

MOST_SIDE = 2_048
"""Maximum side of a network's images."""

UNPLACED = (
    "The folder's own scaling of images was not put in front of the network, whose layers it does not name; the scaling"
    " was found by trial."
)

Facts = tuple[int | None, tuple[int, int, int] | None]
"""Class count, and (C, H, W)."""


def open_hub(files: HubFiles, name: str, digest: str, architecture: str | None = None) -> Model:
    """Open the files of a model folder.

    A folder whose configuration names no model type of ``transformers`` is taken for one of another library: its
    weights must then fit a registered architecture.

    Parameters
    ----------
    name, digest : of the folder or the archive, for the report.
    architecture : registered name that the weights must fit.

    Raises
    ------
    ModelFileError, RefusedFileError : as :func:`ti_core.loading.load_model`.
    """
    files.check_size()
    config = settings_in(files.contents[CONFIG], CONFIG)
    prepared = (
        settings_in(files.contents[PREPARATION], PREPARATION) if PREPARATION in files.contents else None
    )
    names = class_names(config)
    state = tensors_in(files)
    remarks: tuple[str, ...] = ()
    if "model_type" in config and architecture is None:
        module, kind, remarks = build(config, _converted(state))
        channels = _channels(module)
        preparation = preparation_of(prepared, channels)
        variants: Mapping[str, Any] = {}
        facts: Facts = _tried(module, channels, preparation.side or _image_size(config))
    else:
        matched = match(state, architecture, {})
        module, kind, variants = matched.module, matched.architecture, matched.variants
        channels = _channels(module)
        preparation = (
            preparation_of(prepared, channels) if prepared is not None else timm_preparation(config, channels)
        )
        facts = facts_of(module)
        if preparation.side and facts[1] is not None and not facts[1][1]:
            facts = facts[0], (channels, preparation.side, preparation.side)
    classes, shape = facts
    check_names(names, classes)
    behind, declared = preparation.around(module)
    return Model(
        module=behind,
        file=name,
        sha256=digest,
        format=FOLDER,
        architecture=kind,
        parameters=sum(p.numel() for p in module.parameters()),
        classes=classes,
        input_shape=shape,
        variants={} if behind is not module else variants,
        declared=declared,
        remarks=(*files.choice.remarks(), preparation.remark(), *told(names), *remarks),
        class_names=names,
    )


def is_open(files: HubFiles) -> bool:
    """Whether only the tensors can tell what the folder's network is: its configuration names no model type."""
    files.check_size()
    return "model_type" not in settings_in(files.contents[CONFIG], CONFIG)


def told_beside(files: HubFiles) -> tuple[str | None, tuple[str, ...], tuple[str, ...]]:
    """What a folder says of a network that its tensors alone describe: its scaling's name, remarks, class names."""
    config = settings_in(files.contents[CONFIG], CONFIG)
    prepared = files.contents.get(PREPARATION)
    settings = None if prepared is None else settings_in(prepared, PREPARATION)
    preparation = timm_preparation(config, 3) if settings is None else preparation_of(settings, 3)
    names = class_names(config)
    said = preparation.remark() if preparation.mean is None or preparation.name else UNPLACED
    return preparation.name, (*files.choice.remarks(), said, *told(names)), names


def check_names(names: tuple[str, ...], classes: int | None) -> None:
    """ModelFileError if the folder names another number of classes than the network has."""
    if names and classes is not None and len(names) != classes:
        raise ModelFileError(
            f"The file {CONFIG} names {len(names)} classes, and the network tells {classes} apart."
        )


def tensors_in(files: HubFiles) -> State:
    """The tensors of all weight files.

    Raises
    ------
    ModelFileError : a file is damaged, a tensor stands in two of them, or they are not those that the index names.
    """
    state: State = {}
    for name in files.weight_files:
        found = _tensors(files.contents[name], name)
        if twice := state.keys() & found.keys():
            raise ModelFileError(f"Two weight files of the folder hold the tensor {few(sorted(twice), 1)}.")
        state |= found
    for name in files.choice.weights:
        if name.endswith(INDEX):
            _check_index(files.contents[name], name, files, state)
    return state


def _tensors(data: bytes, name: str) -> State:
    kind = sniff(data, name)
    if kind is FileFormat.SAFETENSORS:
        read_header(data)
        return tensors_of(read_tensors(data))
    if kind in REFUSED_FORMATS:
        raise REFUSED_FORMATS[kind].error(data)
    if kind in (FileFormat.TORCH, FileFormat.LEGACY_TORCH):
        return tensors_of(open_checkpoint(data).content)
    raise ModelFileError(f"The weight file {shown(name)} holds no weights: it is a {kind.value}.")


def _check_index(content: bytes, name: str, files: HubFiles, state: State) -> None:
    """Every tensor that the index names is there, and no file is missing."""
    try:
        index = parse(content)
        places = index["weight_map"]
        listed = {str(file) for file in places.values()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelFileError(f"The file {name} is damaged: it does not say where the weights are.") from error
    held = set(files.weight_files)
    if missing := sorted(listed - held):
        raise ModelFileError(f"The folder lacks the weight file {few(missing, 2)}, which {name} names.")
    if strange := sorted(held - listed):
        raise ModelFileError(
            f"The folder holds the weight file {few(strange, 2)}, which {name} does not name."
        )
    if set(places) != state.keys():
        apart = sorted(set(places) ^ state.keys())
        raise ModelFileError(f"The weight files and {name} disagree on the tensor {few(apart, 1)}.")


def _converted(state: State) -> State:
    """The tensors converted for computation. Those of ``state`` are released one by one, which takes less memory."""
    made: State = {}
    for key in list(state):
        tensor = state.pop(key)
        # Tables of positions hold whole numbers.
        made |= converted_state({key: tensor}, (key,) if tensor.dtype == torch.int64 else ())
    return made


def _channels(module: nn.Module) -> int:
    conv = next((m for m in module.modules() if isinstance(m, nn.Conv2d)), None)
    return conv.in_channels if conv is not None else 3


def _image_size(config: Mapping[str, Any]) -> int:
    """Side of the images in the configuration of a network or of its part for images; 0 if there is none."""
    for settings in (config, config.get("vision_config")):
        size = settings.get("image_size") if isinstance(settings, Mapping) else None
        if isinstance(size, list) and len(set(map(str, size))) == 1:
            size = size[0]
        if type(size) is int and size > 0:
            return size
    return 0


def _tried(module: HubNetwork | nn.Module, channels: int, side: int) -> Facts:
    """Class count and input shape, from one image of that side.

    Raises
    ------
    ModelFileError : the network gives no class scores for it.
    """
    size = side or 224
    if size > MOST_SIDE:
        raise ModelFileError(f"The folder wants images of {size:,} x {size:,}; the limit is {MOST_SIDE:,}.")
    try:
        with torch.no_grad():
            scores = module(torch.zeros(1, channels, size, size))
        if scores.ndim != 2:
            raise TypeError("the network gives no class scores")
        return int(scores.shape[1]), (channels, side, side)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelFileError(
            f"The network does not take images of {channels} x {size} x {size} ({shown(reason, 200)})."
        ) from error
