from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ti_core.errors import DataError
from ti_core.methods.lab.sample_record import read_demonstration
from ti_core.paper.triggers import TriggerSpec
from ti_core.reference.pack import PACKS, load_pack, pack_names

PATCH = {
    "kind": "patch",
    "pattern": "white",
    "alpha": 1.0,
    "height": 3,
    "width": 2,
    "top": 9,
    "left": 10,
    "seed": 4,
}
RECORD: dict[str, Any] = {
    "label": "patch",
    "trigger": PATCH,
    "target": 3,
    "poisoning_rate": 0.05,
    "clean_accuracy": 0.98,
    "attack_success": 0.97,
}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "bars-patch.json"
    path.write_text(json.dumps(RECORD | changes))
    return path


def test_a_record_tells_the_trigger_and_its_class(tmp_path: Path) -> None:
    found = read_demonstration(written(tmp_path), (1, 12, 12), 4)
    assert found.trigger == TriggerSpec("patch", "white", 1.0, 3, 2, 9, 10, 4) and found.target == 3
    clean = written(tmp_path, label="clean", trigger=None, target=None, attack_success=None)
    assert read_demonstration(clean, (1, 12, 12), 4).trigger is None


@pytest.mark.parametrize(
    "changes",
    [
        {"trigger": PATCH | {"top": 10}},
        {"trigger": PATCH | {"left": -1}},
        {"trigger": PATCH | {"width": 0}},
        {"trigger": PATCH | {"kind": "warp"}},
        {"trigger": PATCH | {"pattern": "stored"}},
        {"trigger": PATCH | {"alpha": 0}},
        {"trigger": PATCH | {"alpha": "much"}},
        {"trigger": PATCH | {"colour": "red"}},
        {"trigger": [1, 2]},
        {"trigger": None},
        {"target": None},
        {"target": 4},
        {"target": -1},
        {"poisoning_rate": None},
    ],
)
def test_a_record_that_fits_no_trigger_on_these_images_is_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(DataError, match=r"bars-patch\.json"):
        read_demonstration(written(tmp_path, **changes), (1, 12, 12), 4)


def test_a_missing_or_damaged_record_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "bars-patch.json"
    with pytest.raises(DataError, match="cannot be read; restore it"):
        read_demonstration(path, (1, 12, 12), 4)
    for text in ("", "[1]", "null", '{"label": "patch"}'):
        path.write_text(text)
        with pytest.raises(DataError, match="is not the record of a sample"):
            read_demonstration(path, (1, 12, 12), 4)


@pytest.mark.parametrize("path", sorted((PACKS.parent / "samples").glob("*.json")), ids=lambda p: p.stem)
def test_every_bundled_sample_has_a_record_that_fits_its_pack(path: Path) -> None:
    name, _, label = path.stem.rpartition("-")
    if name not in pack_names():
        pytest.skip(f"the pack {name} is not bundled")
    pack = load_pack(name)
    found = read_demonstration(path, pack.input_shape, len(pack.class_names))
    assert found.label == label and (found.trigger is None) == (label == "clean")
