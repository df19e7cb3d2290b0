"""The folder of a zoo may come from others: a record or weight file that is none is a sentence."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ti_core.errors import SettingsError
from ti_core.zoo.training.records import read_record, read_trigger, read_weights, records_in

SOUND: dict[str, Any] = {
    "id": "blend-001",
    "label": "blend",
    "family": "standard",
    "group": "g",
    "architecture": "mlp",
    "options": {},
    "normalisation": "none",
    "seed": 1,
    "held_out": False,
    "clean_accuracy": 0.9,
    "attack_success": 1.0,
    "trigger": {"pattern": "noise"},
}


def test_records_are_read_in_order(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.json").write_text(json.dumps(SOUND | {"id": name}))
    assert [r["id"] for r in records_in(tmp_path)] == ["a", "b"]
    assert read_record(tmp_path / "a.json") == SOUND | {"id": "a"}


@pytest.mark.parametrize(
    "change",
    [
        *({name: None} for name in SOUND if name != "trigger"),
        {"id": "../blend-001"},
        {"label": 1},
        {"clean_accuracy": "high"},
        {"held_out": 0},
        {"trigger": []},
    ],
    ids=str,
)
def test_a_record_has_all_that_a_pack_needs(tmp_path: Path, change: dict[str, Any]) -> None:
    """Above all an id that is its file's name, since other files are read and written by it."""
    (tmp_path / "blend-001.json").write_text(json.dumps(SOUND | change))
    with pytest.raises(SettingsError, match=r"blend-001.json is not the record of a trained network"):
        read_record(tmp_path / "blend-001.json")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def noise(path: Path) -> None:
    path.write_bytes(b"\xff\x00" * 100)


def deep(path: Path) -> None:
    path.write_text("[" * 100_000)


@pytest.mark.parametrize("make", [pipe, endless, noise, deep, lambda _: None], ids=lambda f: f.__name__)
def test_what_is_no_file_of_a_zoo_is_a_sentence(tmp_path: Path, make: Callable[[Path], None]) -> None:
    for name in ("a.json", "a.safetensors", "a.trigger.npz"):
        make(tmp_path / name)
    for read in (lambda: read_record(tmp_path / "a.json"), lambda: read_weights(tmp_path, "a")):
        with pytest.raises(SettingsError, match=r"a\."):
            read()
    with pytest.raises(SettingsError, match=r"a\.trigger\.npz"):
        read_trigger(tmp_path, "a")


def test_weights_and_trigger_come_back_as_they_were_stored(tmp_path: Path) -> None:
    weights = {"w": torch.arange(6.0).half().reshape(2, 3)}
    save_file(weights, tmp_path / "a.safetensors")
    mask = np.eye(3, dtype=np.float32)
    np.savez_compressed(tmp_path / "a.trigger.npz", mask=mask, pattern=1 - mask)
    assert torch.equal(read_weights(tmp_path, "a")["w"], weights["w"])
    stored = read_trigger(tmp_path, "a")
    assert np.array_equal(stored["mask"], mask) and np.array_equal(stored["pattern"], 1 - mask)
    np.savez_compressed(tmp_path / "b.trigger.npz", mask=mask)
    with pytest.raises(SettingsError, match="has no array 'pattern'"):
        read_trigger(tmp_path, "b")
