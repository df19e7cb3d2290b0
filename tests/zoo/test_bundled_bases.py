"""The bases that are bundled spare whoever trains a zoo the longest part; whole networks, each with its record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ti_core.architectures import build
from ti_core.zoo.plan.colour import plan_for
from ti_core.zoo.training.members import bases_in

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "bases"
SHAPES = {"cifar10": ((3, 32, 32), 10), "cifar100": ((3, 32, 32), 100)}


@pytest.mark.parametrize("name", sorted(p.name for p in FOLDER.iterdir()))
def test_members_can_be_grown_from_every_bundled_base(name: str) -> None:
    from safetensors.torch import load_file

    bases = bases_in(FOLDER / name)
    files = {p.name for p in (FOLDER / name).iterdir()}
    assert files == {f"{base.id}.{ending}" for base in bases for ending in ("json", "safetensors")}
    shape, classes = SHAPES[name]
    recipes = plan_for(name, 96, shape, classes, 0, "bases", bases=bases)
    assert len(recipes) == len(bases) + 96 // (4 * len(bases)) * 4 * len(bases)
    for base in bases:
        record = json.loads((FOLDER / name / f"{base.id}.json").read_text())
        assert record["clean_accuracy"] > 5 / classes and record["trigger"] is None
        network = build(base.architecture, **base.options)
        state = load_file(FOLDER / name / f"{base.id}.safetensors")
        network.load_state_dict(state)
        assert all(torch.isfinite(v).all() for v in state.values())
