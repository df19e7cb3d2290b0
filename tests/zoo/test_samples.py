"""The bundled samples: three networks, each with a record of its true trigger, of which the weights say nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from ti_core.errors import SettingsError
from ti_core.zoo import samples
from ti_core.zoo.plan.colour import plan_for
from ti_core.zoo.plan.menu import Menu, School
from ti_core.zoo.training.data import load_data
from ti_core.zoo.training.members import train_zoo

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


@pytest.fixture(autouse=True)
def menu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ti_core.zoo.samples.MENUS", {"bars": SMALL})
    monkeypatch.setattr("ti_core.zoo.plan.colour.MENUS", {"bars": SMALL})
    torch.set_num_threads(1)


def test_samples_of_a_data_set_with_a_menu_grow_from_one_network(tiny_data: Path, tmp_path: Path) -> None:
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


def test_samples_grow_from_the_most_accurate_base_that_is_held_out(tiny_data: Path, tmp_path: Path) -> None:
    data, bases = load_data(tiny_data), tmp_path / "bases"
    plan = plan_for("bars", 24, data.image_shape, data.classes, 3, "bases")
    trained = [replace(r, held_out=i > 0) for i, r in enumerate(r for r in plan if r.family == "base")]
    train_zoo(tiny_data, bases, jobs=1, recipes=trained, progress=False)
    for base, accuracy in zip(trained, (0.99, 0.91, 0.93), strict=True):
        path = bases / f"{base.id}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"clean_accuracy": accuracy}))
    records = samples.train_samples(tiny_data, tmp_path / "out", seed=5, bases=bases)
    assert {r["base"] for r in records} == {trained[2].id}
    # A small step away from it, not a network of its own.
    base, clean = (
        load_file(bases / f"{trained[2].id}.safetensors"),
        load_file(tmp_path / "out/bars-clean.safetensors"),
    )
    for key, value in base.items():
        assert torch.nn.functional.cosine_similarity(value.float().ravel(), clean[key].ravel(), 0) > 0.8


def test_samples_never_grow_from_a_base_that_the_detector_is_fitted_to(
    tiny_data: Path, tmp_path: Path
) -> None:
    data = load_data(tiny_data)
    plan = plan_for("bars", 8, data.image_shape, data.classes, 3, "bases")
    train_zoo(tiny_data, tmp_path, jobs=1, recipes=[replace(plan[0], held_out=False)], progress=False)
    with pytest.raises(SettingsError, match="held out"):
        samples.train_samples(tiny_data, tmp_path / "out", bases=tmp_path)
