"""Writes trained members in the layout of the Trojan Detection Challenge 2022, pickled under its class paths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.loading.published import publish
from ti_core.architectures import build
from ti_core.paper.triggers import TriggerSpec


class MNISTNetwork(nn.Module):
    """The challenge's network of grey images: its layers under ``main``, and no trace of how wide they are."""

    def __init__(self, main: nn.Sequential) -> None:
        super().__init__()
        self.main = main

    def forward(self, x: torch.Tensor) -> Any:
        return self.main(x)


def write_challenge_folder(
    monkeypatch: pytest.MonkeyPatch, zoo: Path, out: Path, image_shape: tuple[int, int, int]
) -> list[Path]:
    """``out/train/{clean,trojan}/id-XXXX`` from the records and weights of a trained zoo."""
    from safetensors.torch import load_file

    publish(monkeypatch, utils__MNIST_Network=MNISTNetwork)
    written = []
    counts = {"clean": 0, "trojan": 0}
    for path in sorted(zoo.glob("*.json")):
        record = json.loads(path.read_text())
        if record["family"] == "base":
            continue
        kind = "clean" if record["label"] == "clean" else "trojan"
        folder = out / "train" / kind / f"id-{counts[kind]:04d}"
        counts[kind] += 1
        folder.mkdir(parents=True)
        network = build(record["architecture"], **record["options"]).eval()
        network.load_state_dict(load_file(zoo / f"{record['id']}.safetensors"))
        torch.save(MNISTNetwork(network.main), folder / "model.pt")  # type: ignore[arg-type]
        info = {"dataset": "MNIST", "test_accuracy": record["clean_accuracy"]}
        (folder / "info.json").write_text(json.dumps(info))
        if kind == "trojan":
            torch.save(attack_specification(record, image_shape), folder / "attack_specification.pt")
        written.append(folder)
    return written


def attack_specification(record: dict[str, Any], image_shape: tuple[int, int, int]) -> dict[str, Any]:
    """The dictionary that the challenge stores: numpy's numbers among torch's tensors, as its scripts leave them."""
    spec = TriggerSpec(**record["trigger"])
    trigger = spec.render(image_shape)
    corner = np.array([spec.top, spec.left])
    return {
        "target_label": np.int64(record["target"]),
        "trigger": {
            "pattern": torch.from_numpy(trigger.pattern),
            "mask": torch.from_numpy(trigger.mask)[None],
            "alpha": trigger.alpha,
            "top_left": corner,
            "bottom_right": corner + np.array([spec.height, spec.width]),
            "trigger_type": "patch" if spec.kind == "patch" else "blended",
        },
    }
