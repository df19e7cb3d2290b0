"""The collection of files: each form holds the network that was saved, and the table counts what happened."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks import files
from benchmarks.file_forms import FORMS
from benchmarks.file_keras import KERAS_FORMS
from benchmarks.file_keras_weights import KERAS_WEIGHTS
from benchmarks.file_networks import ORIGINS
from benchmarks.files import KEPT, Tried, forms_of, kept_in, run, table
from ti_core.loading import load_model
from ti_core.loading.keras.weights_only import weights_only

KINDS: dict[type[nn.Module], str] = {nn.Conv2d: "conv", nn.Linear: "linear", nn.BatchNorm2d: "batchnorm"}
PLAIN = [form for form in FORMS if form != "ONNX"]


def test_every_network_answers_its_packs_images() -> None:
    for origin in ORIGINS.values():
        shape = (2, 1, 28, 28) if origin.pack == "mnist" else (2, 3, 32, 32)
        classes = 43 if origin.pack == "gtsrb" else 10
        with torch.no_grad():
            assert origin.build().eval()(torch.rand(shape)).shape == (2, classes)


@pytest.mark.parametrize("name", [name for name, origin in ORIGINS.items() if origin.keras])
def test_keras_forms_hold_the_network_that_was_saved(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    origin = ORIGINS[name]
    net = origin.build().eval()
    for part in net.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    images = torch.rand(4, *((1, 28, 28) if origin.pack == "mnist" else (3, 32, 32)))
    assert set(forms_of(origin)) == {*KERAS_FORMS, *KERAS_WEIGHTS}
    for form, (ending, save) in forms_of(origin).items():
        path = tmp_path / f"m{ending}"
        save(net, path)
        if form in KERAS_WEIGHTS:
            # Nothing in the file says what stands between the layers.
            kinds = Counter(layer.kind for layer in weights_only(path.read_bytes()) or ())
            assert kinds == Counter(KINDS[type(part)] for part in net.modules() if type(part) in KINDS)
            continue
        with torch.no_grad():
            found = load_model(path).module(images * 255 if "255" in form else images)
            # The softmax at the end is left out of what is opened.
            torch.testing.assert_close(found.softmax(1), net(images), rtol=1e-4, atol=1e-5)


def test_the_same_layers_are_decided_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = ORIGINS["conv1 conv2 fc1 fc2"].build().eval()
    asked = []
    monkeypatch.setattr(files, "decided", lambda model, *_: asked.append(model) or model)
    pack: Any = SimpleNamespace(images=None, labels=None)
    known: files.Known = {}
    for form in ("state dict", "training checkpoint", "half precision"):
        ending, save = FORMS[form]
        save(net, tmp_path / f"m{ending}")
        files.reconstructed(load_model(tmp_path / f"m{ending}"), pack, known)
    # Rounded weights are others.
    assert len(asked) == 2


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


def test_a_run_goes_on_where_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack: Any = SimpleNamespace(images=torch.rand(2, 1, 28, 28), labels=torch.zeros(2, dtype=torch.long))
    monkeypatch.setattr(files, "load_pack", lambda name: pack)
    asked: list[str] = []

    def tried(form: str, *_: Any) -> Tried:
        asked.append(form)
        return Tried(form, True, 0.9, 0.9, 1.0, "")

    monkeypatch.setattr(files, "tried", tried)
    first = run(tmp_path, "quickstart", 0, False)
    assert asked and run(tmp_path, "quickstart", 0, False) == first and len(asked) == len(first)
    assert {form for _, form in kept_in(tmp_path / KEPT)} == set(asked)
