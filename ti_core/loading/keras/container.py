"""A Keras file taken apart: its configuration, its arrays, and what it says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.keras import limits
from ti_core.loading.keras.config import Entry, damaged, entry
from ti_core.loading.keras.hdf5 import Hdf5
from ti_core.loading.pickles.files.archive import check_layout, content_of, open_zip, read_member
from ti_core.loading.pickles.files.container import Member
from ti_core.system.strict_json import parse
from ti_core.text import few, shown

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"


@dataclass(frozen=True)
class Saved:
    """A whole model as a file holds it.

    Parameters
    ----------
    model : the model, from the configuration.
    configurations : everything in the file that is JSON: the model's, and how it was trained.
    arrays : the file's arrays.
    root : the group below which ``.h5`` lists the arrays of each layer; None for ``.keras``, which numbers them.
    version : 2 or 3, the Keras that wrote it.
    notes : what the file says about itself.
    members : the files in an archive.
    """

    model: Entry
    configurations: tuple[Any, ...]
    arrays: Hdf5
    root: str | None
    version: int
    notes: Mapping[str, str]
    members: tuple[Member, ...] = ()

    @property
    def turned(self) -> bool:
        """Whether kernels are stored turned round: Theano's convolutions are such."""
        return self.notes.get("backend") == "theano"


def from_archive(data: bytes) -> Saved:
    """A ``.keras`` file.

    Raises
    ------
    ModelFileError : it is damaged, or holds no model.
    RefusedFileError : it exceeds the limits, or holds something that Keras never writes.
    """
    archive, members = open_zip(data)
    check_layout(data, archive)
    sizes = {member.name: member.size for member in members}
    _check_members(sizes)
    texts = {name: read_member(archive, name) for name in (CONFIG, METADATA) if name in sizes}
    config = _json(texts[CONFIG], "configuration")
    about = _json(texts[METADATA], "metadata") if METADATA in texts else {}
    version = about.get("keras_version") if isinstance(about, Mapping) else None
    notes = {"keras_version": version} if isinstance(version, str) else {}
    # Keras does not compress the member, so that its bytes are those of the file.
    arrays = Hdf5(content_of(data, archive, WEIGHTS))
    return Saved(entry(config), (config,), arrays, None, _version(version, 3), _notes(notes), members)


def _check_members(sizes: Mapping[str, int]) -> None:
    missing = [name for name in (CONFIG, WEIGHTS) if name not in sizes]
    if WEIGHTS in missing and any(name.endswith(".weights.json") for name in sizes):
        raise ModelFileError(
            "The Keras archive keeps its weights in several files, which is not supported. Load it with Keras and"
            ' save it as one: model.save("model.keras").'
        )
    if missing:
        raise ModelFileError(f"The Keras archive lacks {' and '.join(missing)}.")
    others = [n for n in sizes if n not in (CONFIG, METADATA, WEIGHTS) and not n.startswith("assets")]
    if others:
        raise RefusedFileError(
            f"The Keras archive holds {few(others)}, which Keras never writes into one. Save the model again with"
            " model.save."
        )
    if max(sizes[CONFIG], sizes.get(METADATA, 0)) > limits.CONFIG_BYTES:
        raise RefusedFileError(
            f"The Keras archive's configuration declares more than {limits.CONFIG_BYTES:,} bytes, the limit."
        )


def from_hdf5(data: bytes) -> Saved:
    """An ``.h5`` file.

    Raises
    ------
    ModelFileError : it is damaged, or holds no model of Keras.
    RefusedFileError : it exceeds the limits, or holds something that Keras never writes.
    """
    arrays = Hdf5(data)
    text = arrays.text("", "model_config")
    if text is None:
        raise _without_configuration(arrays)
    root = "model_weights" if "model_weights" in arrays.groups else ""
    names = ("keras_version", "backend")
    said = {name: arrays.text("", name) or arrays.text(root, name) for name in names}
    config = _json(text, "configuration")
    training = arrays.text("", "training_config")
    others = [_json(training, "training configuration")] if training else []
    notes = _notes({name: value for name, value in said.items() if value})
    return Saved(entry(config), (config, *others), arrays, root, _version(said["keras_version"], 2), notes)


def _without_configuration(arrays: Hdf5) -> ModelFileError:
    weights = arrays.texts("", "layer_names") is not None or "layers" in arrays.groups
    if not weights:
        return ModelFileError(
            "The HDF5 file holds no model of Keras: the attribute model_config is missing. Save the model with "
            'model.save("model.keras").'
        )
    return ModelFileError(
        "The HDF5 file holds weights of Keras without the model's configuration (as model.save_weights writes"
        " them), so that nothing says what to compute. Load them into the model and save it whole:"
        ' model.save("model.keras").'
    )


def _json(text: str | bytes, what: str) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise ModelFileError(f"The file's {what} is damaged or no JSON.") from error


def _version(text: Any, default: int) -> int:
    if not isinstance(text, str):
        return default
    first = text.partition(".")[0]
    if first in ("0", "1"):
        raise ModelFileError(
            f"The file was written by Keras {shown(text, 20)}, whose layers had other options. Load it with Keras"
            " 2.2, which converts it, and save it again."
        )
    if first not in ("2", "3"):
        raise damaged(f"it was written by Keras {shown(text, 20)}")
    return int(first)


def _notes(found: Mapping[str, str]) -> dict[str, str]:
    return {key: shown(value, 40) for key, value in found.items()}
