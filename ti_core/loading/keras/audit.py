"""Code in a configuration. Keras can run it when it loads the file; here it is only named.

A ``Lambda`` layer holds Python bytecode (CVE-2024-3660). A configuration can also name a function of any module
(CVE-2025-1550), or one of Keras's own that downloads and unpacks files (CVE-2025-8747, CVE-2025-9906).
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.findings import Finding, Severity, worst
from ti_core.loading.pickles.allowed import runs_code
from ti_core.text import COMMAND, quoted, shown, this_file

_OWN = ("keras", "tf_keras", "keras_core", "keras_nlp", "keras_cv", "keras_hub", "tensorflow", "builtins")
"""Packages whose names are ordinary in a configuration."""
_FUNCTIONS = ("activations", "losses", "metrics", "initializers", "regularizers", "constraints", "ops")
"""Keras's modules with functions that a model may name."""
_MOST = 50


def _do() -> str:
    """What the owner of a model with code in it can do."""
    name = this_file()
    onnx = quoted(f"{PurePath(name).stem}.onnx")
    load = f"keras.models.load_model({quoted(name)}, safe_mode=False)"
    return (
        "Replace it by layers of Keras and save the model again. Or export it to ONNX, where it can be trusted to run:"
        f'\n{COMMAND}{load}.export({onnx}, format="onnx")'
    )


def findings_in(*configurations: Any) -> list[Finding]:
    """What in the configurations is code, or names it."""
    found: dict[str, Finding] = {}
    waiting: list[tuple[Any, str]] = [(value, "the model") for value in reversed(configurations)]
    while waiting and len(found) < _MOST:
        value, owner = waiting.pop()
        if isinstance(value, Mapping):
            owner = _named(value) or owner
            finding = _finding(value, owner)
            if finding is not None:
                found.setdefault(finding.sentence, finding)
            waiting += [(inner, owner) for inner in reversed(list(value.values()))]
        elif isinstance(value, list):
            waiting += [(inner, owner) for inner in reversed(value)]
    return list(found.values())


def check(*configurations: Any) -> None:
    """RefusedFileError, or ModelFileError, for the worst of the findings that keep the file from being opened."""
    finding = worst(findings_in(*configurations))
    if finding is not None and finding.severity.rank >= Severity.UNREADABLE.rank:
        refused = finding.severity.rank >= Severity.REFUSED.rank
        raise (RefusedFileError if refused else ModelFileError)(finding.sentence)


def _named(value: Mapping[str, Any]) -> str | None:
    """The layer that a group describes, in words."""
    inner = value.get("config")
    name = value.get("name") or (inner.get("name") if isinstance(inner, Mapping) else None)
    kind = value.get("class_name")
    if not isinstance(name, str) or not isinstance(kind, str):
        return None
    return f"the layer '{shown(name, 60)}' ({shown(kind, 60)})"


def _finding(value: Mapping[str, Any], owner: str) -> Finding | None:
    kind, module, inner = value.get("class_name"), value.get("module"), value.get("config")
    where = owner[0].upper() + owner[1:]
    if kind == "Lambda":
        return Finding(Severity.REFUSED, f"{where} holds Python code, which Keras runs. {_do()}")
    if kind == "__lambda__" or value.get("function_type") == "lambda":
        return Finding(Severity.REFUSED, f"{where} holds Python bytecode, which Keras runs. {_do()}")
    if not isinstance(module, str) or not isinstance(kind, str):
        return None
    name = inner if kind == "function" and isinstance(inner, str) else kind
    path = f"{module}.{name}"
    if module == "builtins":
        # Keras writes activations and losses as functions of "builtins" too; those are no names that Python has.
        return _runs(where, path) if hasattr(builtins, name) and runs_code(path) else None
    if module.partition(".")[0] not in _OWN:
        if runs_code(path):
            return _runs(where, path)
        return Finding(
            Severity.UNUSUAL,
            f"{where} names {shown(path)}, code of the author's own that the file does not hold.",
        )
    if kind == "function" and not set(module.split(".")) & set(_FUNCTIONS):
        return Finding(
            Severity.REFUSED, f"{where} names the function {shown(path)}, which no model needs. {_do()}"
        )
    return None


def _runs(where: str, path: str) -> Finding:
    return Finding(
        Severity.MALICIOUS,
        f"{where} names {shown(path)}, a known means of running code when a file is opened.",
    )
