"""The recheck of reconstruction: layouts give scores, a comparison tells right from wrong, and a run goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks import rebuilt as bench
from benchmarks.rebuilt import KEPT, Rebuilt, kept_in, table
from benchmarks.rebuilt_layouts import LAYOUTS
from benchmarks.rebuilt_networks import Layout, Steps
from ti_core.reconstruction.model import Reconstructed


def test_every_layout_gives_scores() -> None:
    for layout in LAYOUTS.values():
        x = torch.rand((2, 1, 28, 28) if layout.pack == "mnist" else (2, 3, 32, 32))
        with torch.no_grad():
            z = layout.build().eval()(x)
        assert z.shape == (2, 43 if layout.pack == "gtsrb" else 10)


def perceptron() -> nn.Module:
    torch.manual_seed(0)
    net = Steps("flat a tanh b", a=nn.Linear(784, 8), b=nn.Linear(8, 10)).eval()
    for part in net.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=0.3)
    return net


def sure(rival: bool) -> Reconstructed:
    return Reconstructed(0.9, 0.9, 0.5 if rival else 1.0, "linear 10", 50, 10, rival=rival)


@pytest.mark.parametrize(
    ("steps", "rival", "kind"),
    [
        ("flat a tanh b", False, "right"),
        ("flat a tanh b", True, "right, in doubt"),
        ("flat a relu b", False, "wrong"),
        ("flat a relu b", True, "wrong, in doubt"),
        ("", False, "registered"),
    ],
)
def test_scores_decide_what_is_right(
    steps: str, rival: bool, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, layout = perceptron(), Layout(perceptron, "mnist")
    path = tmp_path / "m.pt"
    torch.save(net.state_dict(), path)
    other = perceptron()
    other.steps = steps  # type: ignore[assignment]
    doubt = sure(rival) if steps else None
    monkeypatch.setattr(bench, "decided", lambda model, *_: replace(model, module=other, reconstructed=doubt))
    pack: Any = SimpleNamespace(images=torch.rand(50, 1, 28, 28), labels=torch.arange(50) % 10)
    found = bench.rebuilt("p", "state dict", layout, net, path, pack)
    assert found.kind == kind and (found.apart < 1e-6) == ("tanh" in steps or not steps)


def test_probabilities_are_compared_as_logits() -> None:
    z = torch.tensor([[1.0, 2.0, 90.0], [0.5, 0.0, -1.0]])
    assert bench.difference(z + 5, z) < 1e-6
    assert bench.difference(z.softmax(1), z) < 1e-5 and bench.difference(z, z.softmax(1)) < 1e-5
    other = torch.tensor([[1.0, 2.0, 90.0], [0.5, 0.1, -1.0]])
    assert bench.difference(z.softmax(1), other) > 1e-3


def test_the_table_counts_and_a_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "LAYOUTS", {"p": Layout(perceptron, "mnist")})
    monkeypatch.setattr(bench, "trained", lambda *_: perceptron())
    monkeypatch.setattr(bench, "load_pack", lambda name: None)
    asked = []

    def made(name: str, form: str, *_: Any) -> Rebuilt:
        asked.append(form)
        return Rebuilt(name, form, "right" if form == "state dict" else "wrong", 0.0, 0.9, 0.9, 2.5, "")

    monkeypatch.setattr(bench, "rebuilt", made)
    first = bench.run(tmp_path, tmp_path, "")
    assert bench.run(tmp_path, tmp_path, "") == first and asked == ["state dict", "whole module"]
    assert len(kept_in(tmp_path / KEPT)) == 2 and not list(tmp_path.glob("*.pt"))
    assert table(first).splitlines()[2:] == [
        "| state dict | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 2.5 |",
        "| whole module | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 1 | 2.5 |",
    ]
