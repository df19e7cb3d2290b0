"""The networks of a zoo: a record (JSON) and a weight file each. The folder may come from others."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ti_core.errors import SettingsError
from ti_core.system import strict_json
from ti_core.system.arrays import ArraysError, ArraysFile
from ti_core.system.plain_files import read_plain
from ti_core.text import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

LARGEST_RECORD = 16 << 20
LARGEST_WEIGHTS = 1 << 30
LARGEST_TRIGGER = 64 << 20
NUMBER = (int, float)
FIELDS: dict[str, type | tuple[type, ...]] = {
    "label": str,
    "family": str,
    "architecture": str,
    "options": dict,
    "group": str,
    "normalisation": str,
    "seed": int,
    "held_out": bool,
    "clean_accuracy": NUMBER,
}
FIELDS_OF_TROJANS: dict[str, type | tuple[type, ...]] = {
    "attack_success": NUMBER,
    "trigger": (dict, type(None)),
}


def read_record(path: Path) -> dict[str, Any]:
    """One record.

    Raises
    ------
    SettingsError : the file cannot be read, or is not the record of a network that is named after its file.
    """
    content = read_plain(path, LARGEST_RECORD, SettingsError)
    try:
        record = strict_json.parse(content)
    except ValueError as error:
        raise _no_record(path) from error
    if not isinstance(record, dict) or record.get("id") != path.stem:
        raise _no_record(path)
    fields = FIELDS if record.get("label") == "clean" else FIELDS | FIELDS_OF_TROJANS
    if not all(isinstance(record.get(name), kind) for name, kind in fields.items()):
        raise _no_record(path)
    return record


def _no_record(path: Path) -> SettingsError:
    return SettingsError(f"{shown(str(path))} is not the record of a trained network.")


def records_in(folder: Path) -> list[dict[str, Any]]:
    """All records in a folder, sorted by id.

    Raises
    ------
    SettingsError : as :func:`read_record`.
    """
    # From Python 3.13 on, searching a name with a null character is an error. No folder has such a name.
    return [read_record(path) for path in sorted(folder.glob("*.json"))] if folder.is_dir() else []


def read_weights(folder: Path, name: str) -> dict[str, Tensor]:
    """The weights of the network of that id.

    Raises
    ------
    SettingsError : the file cannot be read, or is no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    path = folder / f"{name}.safetensors"
    content = read_plain(path, LARGEST_WEIGHTS, SettingsError)
    try:
        return load(content)
    except SafetensorError as error:
        raise SettingsError(
            f"{shown(str(path))} holds no weights: it is damaged, or no safetensors file."
        ) from error


def read_trigger(folder: Path, name: str) -> dict[str, NDArray[Any]]:
    """Mask and pattern of the trigger of the network of that id.

    Raises
    ------
    SettingsError : the file cannot be read, or holds no such arrays.
    """
    path = folder / f"{name}.trigger.npz"
    try:
        file = ArraysFile(io.BytesIO(read_plain(path, LARGEST_TRIGGER, SettingsError)), LARGEST_TRIGGER)
        return {part: file[part] for part in ("mask", "pattern")}
    except ArraysError as error:
        raise SettingsError(f"{shown(str(path))} holds no trigger: {error}.") from error
