"""What has to hold of a case before anything in it is used: types, shapes, ranges, finite numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ti_core.errors import CaseError, SettingsError

if TYPE_CHECKING:
    from ti_core.results.case import Array, Case

MOST_TEXT, MOST_ITEMS, MOST_DEPTH = 4000, 50_000, 12
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,80}")
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+\d\d:\d\d|Z)?|")
DIGEST = re.compile(r"[0-9a-f]{64}")

REPORT_TYPES: dict[str, type | tuple[type, ...]] = {
    "schema_version": int,
    "verdict": str,
    "probability": (int, float),
    "trigger_kind": (str, type(None)),
    "target_class": (int, type(None)),
    "target_class_name": (str, type(None)),
    "reasons": list,
    "streams": dict,
    "model": dict,
    "pack": dict,
    "settings": dict,
    "timings": dict,
    "cache": dict,
    "versions": dict,
    "isolation": dict,
}

RECORD_TYPES: dict[str, type | tuple[type, ...]] = {
    "case_version": int,
    "created": str,
    "finished": bool,
    "report": dict,
    "class_names": list,
    "kinds": list,
    "maker": str,
    "witness": str,
    "decisions": dict,
    "attributions": list,
    "notes": list,
    "file": dict,
    "code": str,
    "arrays_sha256": str,
}

SHAPES: dict[str, str] = {
    "probes": "G 3 n C H W",
    "saliency/suspect": "G 3 n H W",
    "saliency/witness": "G 3 n H W",
    "attribution/suspect": "G 3 n H W",
    "attribution/witness": "G 3 n H W",
    "seen/suspect": "G 3 n",
    "seen/witness": "G 3 n",
    "actmax/maker/images": "2 P m C H W",
    "actmax/suspect/images": "2 P m C H W",
    "actmax/maker/scores": "2 T m",
    "actmax/suspect/scores": "2 T m",
    "actmax/maker/classes": "m",
    "actmax/suspect/classes": "m",
    "trigger/mask": "H W",
    "trigger/pattern": "C H W",
    "trigger/clean": "k C H W",
    "trigger/stamped": "k C H W",
    "trigger/before": "k",
    "trigger/after": "k",
    "occlusion/fall": "H W",
    "occlusion/turned": "H W",
    "why/saliency": "f",
    "why/joint": "j",
    "oof/saliency": "R",
    "oof/joint": "R",
    "evidence/saliency/pooled": "G L",
    "evidence/saliency/per_image": "G M l",
    "reference/saliency/pooled": "R G L",
    "reference/saliency/per_image": "R G M l",
}
"""Dimensions of every array: a letter stands for one size throughout the case.

G groups of triggers, n probe images shown of each row, P images on the way, T = iterations + 1, R fitted reference
models. Beside these there are further ``evidence/<stream>/<array>`` and ``reference/<stream>/<array>``.
"""

WITHIN_ONE = ("probes", "actmax/maker/images", "actmax/suspect/images", "trigger/", "occlusion/turned")
"""Images, masks and patterns: in [0, 1]."""
CLASSES = ("seen/", "actmax/maker/classes", "actmax/suspect/classes", "trigger/before", "trigger/after")
"""Indices of classes."""


def check_record(values: Any, alone: bool = False) -> None:
    """Raise :class:`CaseError` unless ``values`` is the record of a case; ``alone``: of one without a pack, too."""
    from ti_core.results.case import CASE_VERSION

    _plain(values, 0)
    _types(values, RECORD_TYPES, "record")
    if values["case_version"] != CASE_VERSION:
        raise CaseError(
            f"The case has version {values['case_version']}, this program reads {CASE_VERSION}; inspect the model"
            " again."
        )
    _must(ISO.fullmatch(values["created"]) is not None, "its time")
    _must(values["code"] == "" or DIGEST.fullmatch(values["code"]) is not None, "its code's digest")
    for key in ("class_names", "kinds", "attributions", "notes"):
        _must(all(isinstance(v, str) for v in values[key]), key)
    _must(1 <= len(values["class_names"]) <= 10_000, "class_names")
    # They become names of files.
    _must(all(map(NAME.fullmatch, values["kinds"])), "kinds")
    for decision in values["decisions"].values():
        _types(decision, {"names": list, "low": (int, float), "high": (int, float)}, "decision")
        _must(all(isinstance(name, str) for name in decision["names"]), "feature names")
        _must(0 <= decision["low"] <= decision["high"] <= 1, "thresholds")
    _must(set(values["decisions"]) <= {"saliency", "joint"}, "decisions")
    check_report(values["report"], len(values["class_names"]), alone)


def check_report(report: dict[str, Any], classes: int, alone: bool) -> None:
    """Raise :class:`CaseError` unless ``report`` is a report; ``alone``: of an inspection without a pack, too."""
    from ti_core.results.report import SCHEMA_VERSION
    from ti_core.settings import Settings

    _plain(report, 1)
    _types(report, REPORT_TYPES, "report")
    _must(report["schema_version"] == SCHEMA_VERSION, "the report's version")
    _must(report["verdict"] in ("clean", "backdoored", "inconclusive"), "the verdict")
    _must(0 <= report["probability"] <= 1, "the probability")
    _must(report["trigger_kind"] in ("blend", "patch", None), "the kind of trigger")
    target = report["target_class"]
    _must(target is None or 0 <= target < classes, "the target class")
    _must(all(isinstance(r, str) for r in report["reasons"]), "the reasons")
    _must(all(isinstance(s, dict) for s in report["streams"].values()), "the streams")
    _must(all(map(NAME.fullmatch, report["streams"])), "the streams' names")
    _must(all(isinstance(s.get("sentence", ""), str) for s in report["streams"].values()), "the streams")
    _must(all(_number(v) and v >= 0 for v in report["timings"].values()), "the timings")
    for key in ("cache", "versions", "isolation"):
        _must(all(isinstance(v, str) for v in report[key].values()), key)
    model, pack = report["model"], report["pack"]
    for key in ("file", "sha256", "format", "architecture"):
        _must(isinstance(model.get(key), str), f"the model's {key}")
    _must(DIGEST.fullmatch(model["sha256"]) is not None, "the model's digest")
    alone = alone and pack.get("name") is None
    for key in ("parameters", "classes", "clean_accuracy"):
        unlabelled = alone and key == "clean_accuracy" and model.get(key) is None
        _must(unlabelled or _number(model.get(key)), f"the model's {key}")
    _must(isinstance(model.get("preprocessing"), dict), "the model's preprocessing")
    if alone:
        images = pack.get("images")
        _types(images, {"file": str, "sha256": str, "count": int, "labelled": bool}, "the images")
        _must(DIGEST.fullmatch(images["sha256"]) is not None, "the images' digest")
        _must(pack.get("sha256") is None and pack.get("detects") == {}, "the pack")
    else:
        _check_pack(pack)
    try:
        Settings.parse({k: tuple(v) if isinstance(v, list) else v for k, v in report["settings"].items()})
    except (SettingsError, TypeError) as error:
        raise CaseError(f"The case's settings are not valid: {error}") from error


def _check_pack(pack: dict[str, Any]) -> None:
    _must("images" not in pack, "the pack")
    _must(isinstance(pack.get("name"), str) and NAME.fullmatch(pack["name"]) is not None, "the pack's name")
    _must(isinstance(pack.get("sha256"), str) and DIGEST.fullmatch(pack["sha256"]) is not None, "its digest")
    _must(isinstance(pack.get("detects"), dict), "the pack's performance")
    for figures in pack["detects"].values():
        _must(isinstance(figures, dict) and all(_flat(v) for v in figures.values()), "its performance")


def check_arrays(case: Case, arrays: Mapping[str, Array]) -> None:
    """Raise :class:`CaseError` unless every array is known, of its shape, finite and in its range."""
    _must(len(arrays) <= 80, "the number of arrays")
    sizes: dict[str, int] = {"G": len(case.kinds)} if case.kinds else {}
    for detector, letter in (("saliency", "f"), ("joint", "j")):
        if detector in case.decisions:
            sizes[letter] = len(case.decisions[detector].names)
    for name, array in sorted(arrays.items()):
        _must(array.dtype in (np.float16, np.float32), f"the type of {name!r}")
        if name in SHAPES:
            _match(name, SHAPES[name].split(), array.shape, sizes)
        else:
            parts = name.split("/")
            known = len(parts) == 3 and parts[0] in ("evidence", "reference")
            _must(known and all(map(NAME.fullmatch, parts)) and array.ndim <= 4, f"the array {name!r}")
        _must(bool(np.isfinite(array).all()), f"{name!r}: it is not finite")
        if name.startswith(WITHIN_ONE) and not name.startswith(CLASSES) and array.size:
            _must(array.min() >= -1e-3 and array.max() <= 1.001, f"the range of {name!r}")
        if name.startswith(CLASSES) and array.size:
            _must(array.min() >= 0 and array.max() < len(case.class_names), f"the classes of {name!r}")


def _match(name: str, pattern: list[str], shape: tuple[int, ...], sizes: dict[str, int]) -> None:
    _must(len(pattern) == len(shape), f"the shape of {name!r}")
    for letter, size in zip(pattern, shape, strict=True):
        expected = int(letter) if letter.isdigit() else sizes.setdefault(letter, size)
        _must(size == expected, f"the shape of {name!r}")


def _plain(value: Any, depth: int) -> None:
    """Only JSON's own types, no text or list beyond the limits, no deep nesting."""
    _must(depth <= MOST_DEPTH, "its nesting")
    if isinstance(value, dict):
        _must(len(value) <= MOST_ITEMS and all(len(k) <= 300 for k in value), "its keys")
        for item in value.values():
            _plain(item, depth + 1)
    elif isinstance(value, list):
        _must(len(value) <= MOST_ITEMS, "the length of a list")
        for item in value:
            _plain(item, depth + 1)
    elif isinstance(value, str):
        _must(len(value) <= MOST_TEXT, "the length of a text")
    elif isinstance(value, int) and not isinstance(value, bool):
        _must(abs(value) < 2**63, "a number")
    elif isinstance(value, float):
        _must(bool(np.isfinite(value)), "a number")


def _types(values: Any, types: Mapping[str, Any], what: str) -> None:
    _must(isinstance(values, dict), what)
    for key, kind in types.items():
        value = values.get(key, ...)
        fits = isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool)
        _must(fits, f"{what}: {key}")


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise CaseError(f"The case is not valid ({what}); inspect the model again.")


def _flat(value: Any) -> bool:
    return value is None or isinstance(value, str) or _number(value)
