"""The configuration of a model folder: JSON of a stranger, checked and bounded before anything is built from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.system.strict_json import parse
from ti_core.text import COMMAND, export_to_onnx, few, shown

LARGEST_NUMBER = 1_000_000
"""Maximum whole number in a configuration: an image's side, a width, a number of layers or of words."""
MOST_VALUES = 200_000
DEEPEST = 8
MOST_NAMES = 200
"""Maximum number of letters of a class name that are kept."""
MOST_CLASSES = 100_000

_CODE = ("auto_map", "custom_pipelines", "custom_code", "trust_remote_code")
"""Settings with which a folder asks for Python code of its own to be run."""


def settings_in(content: bytes, name: str) -> dict[str, Any]:
    """The settings of a file of JSON.

    Raises
    ------
    RefusedFileError : it asks for code to be run, or its values are beyond the limits.
    ModelFileError : it is damaged.
    """
    try:
        settings = parse(content)
    except ValueError as error:
        raise ModelFileError(
            f"The file {name} is damaged: it is no valid JSON ({_clause(error)})."
        ) from error
    if not isinstance(settings, dict):
        raise ModelFileError(f"The file {name} is damaged: it is not a group of settings.")
    for count, (depth, key, value) in enumerate(_walk(settings)):
        if depth > DEEPEST or count >= MOST_VALUES:
            raise RefusedFileError(
                f"The file {name} is nested more than {DEEPEST} deep, or has more than {MOST_VALUES:,} values."
            )
        if key in _CODE and value not in (None, False, {}, []):
            raise RefusedFileError(
                f"The file {name} has the setting {shown(key)}: the model needs Python code of its own, which is never"
                " run here. Where it can be trusted to run, export the model to ONNX, with the channels C, the height H"
                f" and the width W of its images:\n{COMMAND}{export_to_onnx()}"
            )
        if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
            raise RefusedFileError(
                f"The file {name} has {shown(str(value), 30)} for {shown(key)}; the limit is {LARGEST_NUMBER:,}."
            )
    return settings


def _walk(settings: Mapping[str, Any]) -> Iterator[tuple[int, str, Any]]:
    """Depth, name and value of every setting, those in groups and lists included."""
    waiting: list[tuple[int, str, Any]] = [(1, str(k), v) for k, v in settings.items()]
    while waiting:
        depth, key, value = waiting.pop()
        yield depth, key, value
        if isinstance(value, dict):
            waiting += [(depth + 1, str(k), v) for k, v in value.items()]
        elif isinstance(value, list):
            waiting += [(depth + 1, key, v) for v in value]


def _clause(error: ValueError) -> str:
    return shown(str(error).split(":")[0].strip().lower(), 120)


def class_names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the classes in their order, or none if the configuration gives no names of its own.

    Raises
    ------
    ModelFileError : ``id2label`` does not name the classes 0, 1, 2 ... once each.
    """
    # Folders of timm name them in a list.
    named = config.get("id2label", config.get("label_names"))
    if named is None:
        return ()
    if isinstance(named, list):
        named = {str(number): name for number, name in enumerate(named)}
    if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
        raise ModelFileError("The file config.json is damaged: id2label does not name the classes.")
    wanted = [str(number) for number in range(len(named))]
    if len(named) > MOST_CLASSES or sorted(named) != sorted(wanted):
        raise ModelFileError(
            "The file config.json is damaged: id2label does not name each of the classes 0, 1, 2 ... once."
        )
    names = tuple(shown(named[number], MOST_NAMES) for number in wanted)
    made_up = all(name == f"LABEL_{number}" for number, name in enumerate(names))
    return () if made_up else names


def told(names: tuple[str, ...]) -> tuple[str, ...]:
    """A sentence on the class names, if there are any."""
    return (f"The folder names its {len(names)} classes: {few(names, 5)}.",) if names else ()
