"""The collection of files: each form holds the network that was saved, and the table counts what happened."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.file_forms import FORMS
from benchmarks.file_networks import ORIGINS
from benchmarks.files import Tried, table
from ti_core.loading import load_model

PLAIN = [form for form in FORMS if form != "ONNX"]


def test_every_network_answers_its_packs_images() -> None:
    for origin in ORIGINS.values():
        shape = (2, 1, 28, 28) if origin.pack == "mnist" else (2, 3, 32, 32)
        with torch.no_grad():
            assert origin.build().eval()(torch.rand(shape)).shape == (2, 10)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize("form", PLAIN)
def test_a_form_holds_the_network_that_was_saved(form: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = ORIGINS["challenge"].build().eval()
    ending, save = FORMS[form]
    save(net, tmp_path / f"m{ending}")
    images = torch.rand(4, 1, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(
            load_model(tmp_path / f"m{ending}").module(images),
            net(images),
            rtol=0.05,
            atol=0.1 if form == "quantised" else 0.02,
        )


def test_the_table_counts() -> None:
    results = [
        Tried("a", True, 0.9, 0.9, 1.0, ""),
        Tried("a", True, 0.9, 0.5, 1.0, ""),
        Tried("b", False, 0.9, 0.0, 1.0, "refused"),
    ]
    assert table(results).splitlines()[2:] == [
        "| a | 2 | 2 | 1 | 1 |",
        "| b | 1 | 0 | 0 | 0 |",
        "| all | 3 | 2 | 1 | 1 |",
    ]
