"""Torchvision's architectures: sizes, tensors and scores of the real ones, and the changes that people make to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.torchvision_names import FILE, difference, digest_of, fill, found_in, shapes_of
from ti_core import load_model
from ti_core.architectures import ARCHITECTURES, build
from ti_core.architectures.torchvision_names import TORCHVISION_NAMES
from ti_core.loading.match import match

REAL: dict[str, dict[str, Any]] = json.loads(FILE.read_text())

# From the papers or from torchvision's documentation.
PUBLISHED = {
    "alexnet": 61_100_840,
    "convnext_tiny": 28_589_128,
    "densenet121": 7_978_856,
    "efficientnet_b0": 5_288_548,
    "efficientnet_b7": 66_347_960,
    "efficientnet_v2_s": 21_458_488,
    "mobilenet_v3_large": 5_483_032,
    "regnet_x_400mf": 5_495_976,
    "regnet_y_128gf": 644_812_894,
    "resnet152": 60_192_808,
    "resnext50_32x4d": 25_028_904,
    "shufflenet_v2_x1_0": 2_278_604,
    "squeezenet1_1": 1_235_496,
    "swin_t": 28_288_354,
    "swin_v2_t": 28_351_570,
    "vgg16_bn": 138_365_992,
    "vit_b_16": 86_567_656,
    "wide_resnet50_2": 68_883_240,
}

QUICK = (
    "densenet121",
    "efficientnet_b5",
    "googlenet",
    "inception_v3",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "resnext50_32x4d",
    "shufflenet_v2_x0_5",
    "squeezenet1_0",
    "squeezenet1_1",
    "swin_t",
    "swin_v2_t",
)
"""Those whose scores are compared here. ``python -m benchmarks.torchvision_names`` compares all of them."""


def test_the_published_sizes() -> None:
    assert {name: REAL[name]["parameters"] for name in PUBLISHED} == PUBLISHED
    assert len(REAL) == 75


@pytest.mark.parametrize("name", list(REAL))
def test_size_tensors_and_the_way_back(name: str) -> None:
    real = REAL[name]
    with torch.device("meta"):
        net = build(real["architecture"], **real["options"])
    assert sum(p.numel() for p in net.parameters()) == real["parameters"]
    shapes = shapes_of(net)
    assert digest_of(shapes) == real["tensors"]
    assert found_in(shapes)[0] == real["architecture"]


@pytest.mark.parametrize("name", QUICK)
def test_scores_are_those_of_the_real_network(name: str) -> None:
    assert difference(REAL[name]) < 1e-4


LARGE = ("alexnet", "googlenet", "inception_v3")
"""Those that take no images of 32 x 32."""


def small(name: str, **options: Any) -> nn.Module:
    """A network of few weights."""
    sizes: dict[str, dict[str, Any]] = {
        "torchvision_resnet": {
            "blocks": (1, 1),
            "inner": (8, 16),
            "outer": (16, 32),
            "groups": 4,
            "channels": 8,
            "kernel": 3,
        },
        "densenet": {
            "blocks": (2, 2),
            "channels": 8,
            "growth": 4,
            "inner": 8,
            "reduced": (8,),
            "kernel": 3,
        },
        "convnext": {"channels": (8, 16), "blocks": (1, 1)},
        "vision_transformer": {"side": 32, "patch": 8, "dim": 64, "depth": 2, "wide": 16},
        "swin": {"dim": 8, "blocks": (2, 2), "heads": (1, 2), "window": 4},
        "regnet": {"channels": 8, "stages": ((1, 8, 8, 2), (2, 16, 16, 4))},
        "shufflenet_v2": {"channels": (8, 16, 16, 16, 32), "blocks": (1, 2, 1)},
        "alexnet": {
            "convolutions": ((8, 11), (8, 5), (8, 3), (8, 3), (8, 3)),
            "head": (("1", "linear", 16), ("4", "linear", 16), ("6", "linear", 0)),
        },
        "mobilenet_v2_head": {"stem": 8, "widths": ((8, 8), (16, 12)), "last": 16},
    }
    return fill(build(name, **{**sizes.get(name, {}), **options}), 6.0)


@pytest.mark.parametrize(
    "cls", [c for c in TORCHVISION_NAMES if c.name != "inception_v3"], ids=lambda cls: cls.name
)
def test_opens_as_a_bare_and_as_a_wrapped_file(cls: Any, tmp_path: Path) -> None:
    net, side = small(cls.name, in_channels=1, classes=5), 80 if cls.name in LARGE else 32
    state = net.state_dict()
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "w.pt")
    opened = load_model(tmp_path / "w.pt")
    assert (opened.architecture, opened.classes) == (cls.name, 5)
    assert opened.input_shape is not None and opened.input_shape[0] == 1
    x = torch.rand(2, 1, side, side)
    torch.testing.assert_close(opened.module(x), net(x))


HEADS = [
    ("torchvision_resnet", "fc", nn.Sequential(nn.Dropout(), nn.Linear(32, 5))),
    (
        "torchvision_resnet",
        "fc",
        nn.Sequential(nn.Linear(32, 24), nn.ReLU(), nn.Dropout(), nn.Linear(24, 5)),
    ),
    (
        "torchvision_resnet",
        "fc",
        nn.Sequential(
            nn.BatchNorm1d(32),
            nn.Dropout(),
            nn.Linear(32, 24),
            nn.ReLU(),
            nn.BatchNorm1d(24),
            nn.Linear(24, 5),
        ),
    ),
    (
        "torchvision_resnet",
        "fc",
        nn.Sequential(nn.Linear(32, 24, bias=False), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 5)),
    ),
    ("densenet", "classifier", nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 5))),
    ("mobilenet_v2_head", "classifier", nn.Linear(16, 5)),
    ("convnext", "classifier.2", nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 5))),
    ("vision_transformer", "heads", nn.Sequential(nn.LayerNorm(64), nn.Linear(64, 5))),
    ("swin", "head", nn.Sequential(nn.Dropout(), nn.Linear(16, 5))),
]


@pytest.mark.parametrize(
    ("name", "place", "head"), HEADS, ids=[f"{n}-{i}" for i, (n, *_) in enumerate(HEADS)]
)
def test_a_head_that_was_replaced(name: str, place: str, head: nn.Module) -> None:
    net = small(name)
    owner, _, last = place.rpartition(".")
    parent = net.get_submodule(owner)
    if isinstance(parent.get_submodule(last), nn.Linear) or name != "densenet":
        setattr(parent, last, head)
    else:
        net.classifier = head
    fill(net, 6.0)
    matched = match(net.state_dict())
    assert matched.architecture == name
    x = torch.rand(3, 3, 32, 32)
    torch.testing.assert_close(matched.module(x), net(x))


def test_resnets_of_the_first_registered_architecture_stay_with_it() -> None:
    net = build("resnet", blocks=(1, 1), channels=(4, 8))
    assert match(net.state_dict()).architecture == "resnet"
    net.fc = nn.Sequential(nn.Dropout(), nn.Linear(8, 10))
    assert match(net.state_dict()).architecture == "torchvision_resnet"


def test_a_small_stem_is_neither_strided_nor_pooled() -> None:
    net = small("torchvision_resnet")
    shapes = []
    net.get_submodule("layer1").register_forward_hook(lambda _, x, __: shapes.append(tuple(x[0].shape[2:])))
    for stem in ("usual", "plain", "stride", "pool"):
        other = small("torchvision_resnet", stem=stem)
        other.get_submodule("layer1").register_forward_hook(
            lambda _, x, __: shapes.append(tuple(x[0].shape[2:]))
        )
        other(torch.rand(1, 3, 32, 32))
    assert shapes == [(32, 32), (32, 32), (16, 16), (16, 16)]
    assert set(match(net.state_dict()).variants) == {"stem=plain", "stem=stride", "stem=pool"}


def test_names_of_the_files_that_torchvision_published_first() -> None:
    for name, option in (("densenet", {"dotted": True}), ("vision_transformer", {"old_names": True})):
        net = small(name, **option)
        assert any(".norm.1." in key or ".linear_1." in key for key in net.state_dict())
        matched = match(net.state_dict())
        x = torch.rand(2, 3, 32, 32)
        torch.testing.assert_close(matched.module(x), net(x))


def test_a_hidden_layer_of_a_vision_transformer_has_tanh() -> None:
    net = small("vision_transformer", head=(("pre_logits", "linear", 12), ("head", "linear", 0)))
    # Files in the order of the alphabet name the last layer first.
    matched = match(dict(sorted(net.state_dict().items())))
    x = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(matched.module(x), net(x))
    hidden = []
    net.get_submodule("heads.head").register_forward_hook(lambda _, x, __: hidden.append(x[0]))
    net(x)
    features = torch.rand(2, 64)
    expected = net.get_submodule("heads.pre_logits")(features).tanh()
    net.get_submodule("heads")(features)
    torch.testing.assert_close(hidden[1], expected)


def test_a_vision_transformer_takes_its_own_size_only() -> None:
    opened = match(small("vision_transformer", side=40).state_dict()).module
    assert opened.side == 40
    assert "head_width=32" in match(small("vision_transformer").state_dict()).variants


def test_a_table_of_positions_that_points_outside_is_an_error_not_a_crash() -> None:
    net = small("swin")
    state = dict(net.state_dict())
    key = next(k for k in state if k.endswith("relative_position_index"))
    state[key] = torch.full_like(state[key], 10**6)
    with pytest.raises(IndexError):
        match(state).module(torch.rand(1, 3, 32, 32))


@pytest.mark.parametrize("side", [32, 36, 50])
def test_swin_takes_every_size(side: int) -> None:
    for second in (False, True):
        assert small("swin", second=second)(torch.rand(1, 3, side, side)).isfinite().all()


def test_gradients_are_finite() -> None:
    for cls in TORCHVISION_NAMES:
        if cls.name in (*LARGE, "efficientnet"):
            continue
        x = torch.rand(1, 3, 32, 32, requires_grad=True)
        small(cls.name)(x).sum().backward()
        assert x.grad is not None and x.grad.isfinite().all() and x.grad.abs().sum() > 0, cls.name


def test_every_family_is_registered() -> None:
    assert all(ARCHITECTURES[cls.name] is cls for cls in TORCHVISION_NAMES)
