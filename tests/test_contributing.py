"""The examples of CONTRIBUTING.md do what the page says when they are followed."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from ti_core import architectures
from ti_core.architectures import Architecture, Options, Shapes, build
from ti_core.classifier.scores import Scores
from ti_core.loading import load_model
from ti_core.streams import Context, Features, Reading, Stream, stack
from ti_core.streams.base import silent

PAGE = Path(__file__).resolve().parent.parent / "CONTRIBUTING.md"


@pytest.fixture(scope="module")
def examples() -> dict[str, Any]:
    """What the page's blocks of Python define."""
    known: dict[str, Any] = {
        "torch": torch,
        "nn": nn,
        "ClassVar": ClassVar,
        "Architecture": Architecture,
        "Shapes": Shapes,
        "Options": Options,
        "Stream": Stream,
        "Features": Features,
        "Reading": Reading,
        "silent": silent,
    }
    for block in re.findall(r"^   ```python\n(.*?)^   ```", PAGE.read_text(encoding="utf-8"), re.M | re.S):
        exec(textwrap.dedent(block), known)
    return known


class Sure(nn.Module):
    """Gives everything to class 2."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tensor([0.0, 0.0, 50.0]).expand(len(x), 3)


class Even(nn.Module):
    """Gives each class a third."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(x), 3)


def test_the_stream_reads_what_it_says(examples: dict[str, Any]) -> None:
    from ti_core.settings import Settings

    stream = examples["Confidence"](Settings())
    context = Context(torch.rand(6, 1, 4, 4), torch.zeros(6, dtype=torch.long), 3, Settings())
    own = stream.evidence(Scores(Sure(), "none"), context)
    clean = stack([stream.evidence(Scores(Even(), "none"), context) for _ in range(4)])
    assert own["shares"] == pytest.approx([0, 0, 1], abs=1e-6)
    features = stream.features(stack([own]), clean)
    assert features.matrix.shape == (1, len(features.names)) and features.matrix[0, 0] == pytest.approx(1)
    reading = stream.read(own, clean, ("a", "b", "c"))
    assert reading.target == 2 and reading.clean_share == 0 and "class c" in reading.sentence
    assert np.isfinite(reading.score)


def test_the_architecture_is_found_by_its_state_dict(
    examples: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(architectures.ARCHITECTURES, "linear", examples["Linear"])
    network = build("linear", classes=3, size=5)
    torch.save(network.state_dict(), tmp_path / "model.pt")
    model = load_model(tmp_path / "model.pt", architecture="linear")
    assert (model.architecture, model.classes) == ("linear", 3)
    image = torch.rand(2, 1, 5, 5)
    assert torch.equal(model.module(image), network(image))


def test_every_file_and_name_that_the_page_points_to_is_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    root = PAGE.parent
    for name in re.findall(r"`((?:ti_core|tests|app|benchmarks)/[\w./]+)`", text):
        assert (root / name).exists(), name
    for name, path in re.findall(r"`([A-Z_]+)` \(`([\w./]+)`\)", text):
        assert f"{name}" in (root / path).read_text(encoding="utf-8"), name
