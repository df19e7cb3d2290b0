"""Writing and reading the two files of a case. Neither is a pickle.

``case.json`` holds the report and every other text or single number. ``case.safetensors`` holds the arrays that the
pictures and charts are drawn from. A hostile model file may have taken over the process that wrote a case. So reading a
case checks every type, shape and number: :mod:`ti_core.results.case_record`, :mod:`ti_core.results.checks`. Its texts
stay untrusted and are escaped where they are shown.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ti_core.errors import CaseError
from ti_core.results.case import Array, Case, Decision
from ti_core.results.report import Report
from ti_core.system.strict_json import parse

MOST_JSON_BYTES = 4 << 20
MOST_ARRAY_BYTES = 256 << 20


def save_case(case: Case, folder: Path, stem: str = "case") -> None:
    """Write a case.

    The record is written last and holds the digest of the arrays. So a half-written case is noticed.
    """
    from safetensors.numpy import save

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    blob = save({k: np.ascontiguousarray(v) for k, v in case.arrays.items()} or {"none": np.zeros(0, "f4")})
    digest = hashlib.sha256(blob).hexdigest()
    (folder / f"{stem}.safetensors").write_bytes(blob)
    text = json.dumps(case.as_dict() | {"arrays_sha256": digest}, indent=1, allow_nan=False)
    (folder / f"{stem}.json").write_bytes(text.encode())


def load_case(folder: Path, stem: str = "case", alone: bool = False) -> Case:
    """Read and check a case.

    Parameters
    ----------
    alone : whether a case of an inspection without a reference pack is allowed, too.

    Raises
    ------
    CaseError : there is no case, or something in it is not as :func:`save_case` writes it.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    from ti_core.results.checks import check_arrays

    values = read_case_json(folder, stem, alone)
    blob = _read(folder / f"{stem}.safetensors", MOST_ARRAY_BYTES)
    if hashlib.sha256(blob).hexdigest() != values.get("arrays_sha256"):
        raise CaseError("The case's arrays are not those its record names; inspect the model again.")
    try:
        arrays = {k: np.asarray(v) for k, v in load(blob).items() if k != "none"}
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise CaseError("The case's arrays cannot be read; inspect the model again.") from error
    case = case_from(values)
    check_arrays(case, arrays)
    return _with(case, {k: v.astype(np.float32) for k, v in arrays.items()})


def read_case_json(folder: Path, stem: str = "case", alone: bool = False) -> dict[str, Any]:
    """The checked content of the record, without the arrays. A list of cases needs no more."""
    from ti_core.results.case_record import check_record

    text = _read(folder / f"{stem}.json", MOST_JSON_BYTES)
    try:
        values = parse(text)
    except ValueError as error:
        raise CaseError("The case's record cannot be read; inspect the model again.") from error
    check_record(values, alone)
    record: dict[str, Any] = values
    return record


def case_from(values: Mapping[str, Any]) -> Case:
    """The case, without its arrays, that a checked record describes."""
    return Case(
        report=Report.of(values["report"]),
        finished=values["finished"],
        class_names=tuple(values["class_names"]),
        kinds=tuple(values["kinds"]),
        maker=values["maker"],
        witness=values["witness"],
        decisions={
            k: Decision(tuple(d["names"]), float(d["low"]), float(d["high"]))
            for k, d in values["decisions"].items()
        },
        attributions=tuple(values["attributions"]),
        unfit=values.get("unfit", {}),
        notes=tuple(values["notes"]),
        file=values["file"],
        code=values["code"],
        created=values["created"],
    )


def _with(case: Case, arrays: dict[str, Array]) -> Case:
    from dataclasses import replace

    return replace(case, arrays=arrays)


def _read(path: Path, most: int) -> bytes:
    """The content of a plain file of the case. Links are not followed, and ``most`` bytes are the limit."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise CaseError(
            "There is no such case, or its files cannot be read; inspect the model again."
        ) from error
    if len(data) > most:
        raise CaseError(f"The case's {path.name} is larger than {most >> 20} MiB; it is not read.")
    return data
