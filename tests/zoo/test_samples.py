"""The bundled samples: three networks, each with a record of its true trigger, of which the weights say nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from ti_core.zoo import samples
from ti_core.zoo.menu import Menu, School

SMALL = Menu(
    networks=((1.0, "mlp", {"hidden": [(16,)], "norm": [False], "activation": ["relu"]}),),
    normalisations=("none",),
    augmentations=("none",),
    epochs=(6, 6),
    patch_sides=(3, 4),
    blend_alpha=(0.4, 0.5),
    fine_tune_epochs=8,
    schools={"mlp": School("adam", (0.02, 0.02), (0.0,), 32, 6)},
)


def test_samples_of_a_data_set_with_a_menu_grow_from_one_network(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ti_core.zoo.samples.MENUS", {"bars": SMALL})
    monkeypatch.setattr("ti_core.zoo.colour.MENUS", {"bars": SMALL})
    torch.set_num_threads(1)
    records = samples.train_samples(tiny_data, tmp_path, seed=5)
    assert [r["id"] for r in records] == ["bars-clean", "bars-blend", "bars-patch"]
    assert len({r["base"] for r in records}) == 1
    for record in records:
        weights = tmp_path / f"{record['id']}.safetensors"
        with safe_open(weights, "pt") as f:
            assert set(f.metadata()) == {"architecture", "options", "normalisation"}
        assert json.loads(json.dumps(record)) == json.loads(weights.with_suffix(".json").read_text())
        assert record["clean_accuracy"] > 0.9
        assert record["attack_success"] is None or record["attack_success"] >= samples.MINIMUM_SUCCESS
    first, second = (load_file(tmp_path / f"bars-{label}.safetensors") for label in ("clean", "patch"))
    assert not all(torch.equal(first[k], second[k]) for k in first)
