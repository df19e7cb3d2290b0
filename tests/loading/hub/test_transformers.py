"""Tiny random networks of ``transformers``, written as folders and opened again."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import warnings
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.damage import MANY
from tests.loading.hub.folders import FAMILIES, NAMES, mutated, outcomes, put, tiny
from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading import load_model
from ti_core.loading.hub import network
from ti_core.worker import Job

if find_spec("transformers") is None:
    pytest.skip("the optional package transformers is not installed", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "vit"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tiny("vit", folder)
    return folder


@pytest.fixture
def changed(vit: Path, tmp_path: Path) -> Any:
    """Makes a copy of the folder with another configuration."""

    def make(**changes: Any) -> Path:
        config = json.loads((vit / "config.json").read_text())
        folder = put(
            tmp_path / "changed", config={k: v for k, v in {**config, **changes}.items() if v != ...}
        )
        (folder / "model.safetensors").write_bytes((vit / "model.safetensors").read_bytes())
        return folder

    return make


@pytest.mark.parametrize("kind", list(FAMILIES))
def test_every_family_opens_with_its_scores(kind: str, tmp_path: Path) -> None:
    net = tiny(kind, tmp_path / kind)
    before = torch.random.get_rng_state()
    model = load_model(tmp_path / kind)
    assert torch.equal(before, torch.random.get_rng_state())
    assert (model.classes, model.class_names, model.declared) == (4, NAMES, "half")
    assert model.architecture.endswith("ForImageClassification")
    x = torch.rand(2, 3, 32, 32, requires_grad=True)
    scores = model.module(x)
    with torch.no_grad():
        expected = net(pixel_values=x).logits
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-5)
    assert (expected[0] - expected[1]).abs().max() > 0
    (grad,) = torch.autograd.grad(scores.sum(), x)
    assert grad.isfinite().all() and not any(p.requires_grad for p in model.module.parameters())


def test_weights_in_parts_and_in_a_checkpoint_of_torch(tmp_path: Path) -> None:
    net = tiny("vit", tmp_path / "vit", max_shard_size="8KB")
    assert (tmp_path / "vit" / "model.safetensors.index.json").is_file()
    x = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(load_model(tmp_path / "vit").module(x), net(pixel_values=x).logits)
    config = (tmp_path / "vit" / "config.json").read_text()
    folder = put(tmp_path / "bin", config=config)
    torch.save(net.state_dict(), folder / "pytorch_model.bin")
    model = load_model(folder)
    torch.testing.assert_close(model.module(x), net(pixel_values=x).logits)
    assert model.declared is None and any("by trial" in remark for remark in model.remarks)


def test_without_the_package_the_sentence_says_what_to_install(
    vit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "find_spec", lambda name: None)
    with pytest.raises(ModelFileError, match=r"pip install 'trojaninterpret\[hub\]'"):
        load_model(vit)


def test_sizes_that_no_classifier_has_are_refused_before_memory_is_taken(changed: Any) -> None:
    with pytest.raises(RefusedFileError, match="asks for a network of more than"):
        load_model(changed(hidden_size=100_000, intermediate_size=1_000_000, num_attention_heads=1))
    with pytest.raises(ModelFileError, match=r"it asks for [\d,]+ numbers, and the files hold"):
        load_model(changed(intermediate_size=40_000))
    with pytest.raises(RefusedFileError, match="asks for a network of more than"):
        load_model(changed(num_hidden_layers=1_000_000))
    with pytest.raises(RefusedFileError, match="the limit is 1,000,000"):
        load_model(changed(hidden_size=10**9))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"num_hidden_layers": 3}, "no weights for"),
        ({"hidden_size": 32}, "cannot be built|other shapes"),
        ({"model_type": "bert"}, "no image classifier"),
        ({"model_type": 3}, "no image classifier"),
        ({"architectures": ["ViTModel"]}, "names the network ViTModel, which gives no class scores"),
        ({"architectures": "x"}, "names the network x"),
        ({"hidden_act": "eval"}, "cannot be built|cannot have"),
        ({"patch_size": 0}, "cannot be built|cannot have|does not take"),
        ({"hidden_size": "x"}, "cannot have|cannot be built"),
        ({"num_attention_heads": 5}, "cannot have|cannot be built"),
    ],
)
def test_a_configuration_that_does_not_fit_is_one_sentence(
    changed: Any, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(ModelFileError, match=told):
        load_model(changed(**changes))


def test_settings_that_name_other_code_or_files_have_no_effect(changed: Any, vit: Path) -> None:
    strange = {
        "attn_implementation": "kernels-community/own",
        "_attn_implementation": "kernels-community/own",
        "quantization_config": {"quant_method": "own"},
        "kernel_config": {"own": "own"},
        "transformers_weights": "../../etc/passwd",
        "name_or_path": "somebody/own",
        "unknown": 3,
    }
    x = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(load_model(changed(**strange)).module(x), load_model(vit).module(x))


def test_images_have_a_limit(changed: Any) -> None:
    with pytest.raises(ModelFileError, match=r"images of 4,000 x 4,000; the limit is 2,048"):
        load_model(put(changed(), preprocessor_config={"size": 4_000}))


def test_tensors_without_a_place_are_named(changed: Any) -> None:
    model = load_model(changed(num_hidden_layers=1))
    assert any(
        "tensors that ViTForImageClassification has no place for" in remark for remark in model.remarks
    )


@pytest.mark.parametrize("which", ["config", "preprocessor_config"])
def test_mutated_settings_open_or_are_refused_with_a_sentence(vit: Path, tmp_path: Path, which: str) -> None:
    """``DAMAGED_FILES=5000`` tries so many of each file of settings, over all families."""
    total: Counter[bool] = Counter()
    for kind in FAMILIES if MANY else ("vit",):
        whole = vit if kind == "vit" else tmp_path / kind
        if kind != "vit":
            tiny(kind, whole)
        count = -(-MANY // len(FAMILIES)) if MANY else 60
        total += outcomes(whole, tmp_path / f"{kind}-changed", count, which)
    print(f"{which}: {total[True]} open, {total[False]} refused")
    assert total[True] and total[False]


def test_mutated_settings_in_the_worker(vit: Path, tmp_path: Path) -> None:
    """The parent gets a report or a sentence, and goes on."""
    rng = random.Random("worker")
    for number in range(4):
        which = ("config", "preprocessor_config")[number % 2]
        folder = tmp_path / str(number)
        shutil.copytree(vit, folder)
        put(folder, **{which: mutated(json.loads((vit / f"{which}.json").read_text()), rng)})
        with Job.start("describe", {"model": str(folder)}) as job:
            job.wait()
            assert job.state == "done" or job.error


OFFLINE = """
import socket, sys
def refuse(*_, **__): raise SystemExit("a connection was tried")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from ti_core import load_model
print(load_model(sys.argv[1]).classes)
"""


def test_nothing_is_written_and_no_connection_is_made(vit: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "XDG_", "TRANSFORMERS"))}
    places = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    before = sorted(p.name for p in vit.iterdir())
    done = subprocess.run(
        [sys.executable, "-B", "-c", OFFLINE, str(vit)],
        env={**kept, "HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": places},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert (done.stdout.strip(), done.returncode) == ("4", 0), done.stderr
    assert not list(home.iterdir()) and sorted(p.name for p in vit.iterdir()) == before
