"""The registered architectures: published sizes, published tensor names, and the way back from shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.loading import published
from ti_core.architectures import ARCHITECTURES, Architecture, build
from ti_core.architectures.residual import PadShortcut
from ti_core.architectures.simple_vit import Patches, sincos_2d
from ti_core.loading.match import compare, expected_shapes, match

DEEP = (3, 4, 6, 3)
CIFAR4 = (64, 128, 256, 512)
VGG_CONVS = {
    11: (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0),
    13: (64, 64, 0, 128, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0),
    16: (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0),
    19: (64, 64, 0, 128, 128, 0, *(256,) * 4, 0, *(512,) * 4, 0, *(512,) * 4, 0),
}
VISION_HEAD = ((0, 4096), (3, 4096), (6, 0))

# Name, options, the number of parameters that is published or printed by the reference code, one of its tensors.
PUBLISHED: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("challenge MNIST", "challenge_mnist", {}, 227_338, "main.13.weight"),
    ("LeNet-5", "lenet5", {}, 61_706, "fc3.weight"),
    ("WRN-40-2", "wide_resnet", {}, 2_243_546, "block1.layer.0.convShortcut.weight"),
    (
        "WRN-16-1",
        "wide_resnet",
        {"blocks": 2, "channels": (16, 16, 32, 64)},
        175_066,
        "block3.layer.1.bn2.bias",
    ),
    ("WRN-28-10", "wide_resnet", {"blocks": 4, "channels": (16, 160, 320, 640)}, 36_479_194, "fc.weight"),
    ("ResNet-20", "cifar_resnet", {}, 269_722, "layer3.2.bn2.weight"),
    ("ResNet-32", "cifar_resnet", {"blocks": (5, 5, 5)}, 464_154, "layer3.4.conv2.weight"),
    ("ResNet-44", "cifar_resnet", {"blocks": (7, 7, 7)}, 658_586, "layer3.6.conv2.weight"),
    ("ResNet-56", "cifar_resnet", {"blocks": (9, 9, 9)}, 853_018, "layer3.8.conv2.weight"),
    ("ResNet-18", "resnet", {"classes": 1000}, 11_689_512, "layer2.0.downsample.1.running_var"),
    ("ResNet-34", "resnet", {"classes": 1000, "blocks": DEEP}, 21_797_672, "layer3.5.conv2.weight"),
    (
        "ResNet-50",
        "resnet",
        {"classes": 1000, "blocks": DEEP, "bottleneck": True},
        25_557_032,
        "layer1.0.downsample.0.weight",
    ),
    (
        "ResNet-18 for CIFAR",
        "cifar_resnet",
        {"blocks": (2, 2, 2, 2), "channels": CIFAR4, "padded": False},
        11_173_962,
        "layer2.0.shortcut.0.weight",
    ),
    (
        "ResNet-50 for CIFAR",
        "cifar_resnet",
        {"blocks": DEEP, "channels": CIFAR4, "padded": False, "bottleneck": True},
        23_520_842,
        "layer1.0.shortcut.1.bias",
    ),
    ("PreAct-ResNet-18", "preact_resnet", {}, 11_171_146, "layer4.0.shortcut.0.weight"),
    (
        "PreAct-ResNet-50",
        "preact_resnet",
        {"blocks": DEEP, "bottleneck": True},
        23_509_066,
        "layer4.0.bn3.weight",
    ),
    (
        "VGG-11",
        "vgg",
        {"classes": 1000, "layers": VGG_CONVS[11], "norm": False, "side": 7, "head": VISION_HEAD},
        132_863_336,
        "features.18.weight",
    ),
    (
        "VGG-13",
        "vgg",
        {"classes": 1000, "layers": VGG_CONVS[13], "norm": False, "side": 7, "head": VISION_HEAD},
        133_047_848,
        "classifier.6.bias",
    ),
    (
        "VGG-16 with batch norm",
        "vgg",
        {"classes": 1000, "layers": VGG_CONVS[16], "side": 7, "head": VISION_HEAD},
        138_365_992,
        "features.41.running_mean",
    ),
    (
        "VGG-19",
        "vgg",
        {"classes": 1000, "layers": VGG_CONVS[19], "norm": False, "side": 7, "head": VISION_HEAD},
        143_667_240,
        "features.34.weight",
    ),
    ("VGG-16 for CIFAR", "vgg", {}, 14_728_266, "classifier.weight"),
    ("MobileNetV2", "mobilenet_v2", {"classes": 1000}, 3_504_872, "features.18.0.weight"),
    ("MobileNetV2 for CIFAR", "cifar_mobilenet_v2", {}, 2_296_922, "layers.0.shortcut.0.weight"),
    ("SimpleViT of the challenge", "simple_vit", {}, 3_556_395, "transformer.layers.5.1.net.3.bias"),
]


@pytest.mark.parametrize(
    ("name", "options", "count", "tensor"), [p[1:] for p in PUBLISHED], ids=[p[0] for p in PUBLISHED]
)
def test_size_names_and_the_way_back(name: str, options: dict[str, Any], count: int, tensor: str) -> None:
    cls = ARCHITECTURES[name]
    with torch.device("meta"):
        net = cls(**options)
    assert sum(p.numel() for p in net.parameters()) == count
    shapes = {k: tuple(v.shape) for k, v in net.state_dict().items()}
    assert tensor in shapes
    inferred = cls.infer(shapes)
    assert inferred is not None
    found = expected_shapes(cls, inferred)
    assert found == shapes
    others = [n for n, other in ARCHITECTURES.items() if n != name and _fits(other, shapes)]
    assert others == []


def _fits(cls: type[Architecture], shapes: dict[str, tuple[int, ...]]) -> bool:
    options = cls.infer(shapes)
    expected = None if options is None else expected_shapes(cls, options)
    return expected is not None and compare("", shapes, expected).none


@pytest.mark.parametrize("name", list(ARCHITECTURES))
@pytest.mark.parametrize("channels", [1, 3])
def test_channels_and_classes_are_read_from_the_shapes(name: str, channels: int) -> None:
    cls = ARCHITECTURES[name]
    with torch.device("meta"):
        net = cls(in_channels=channels, classes=43)
    options = cls.infer({k: tuple(v.shape) for k, v in net.state_dict().items()})
    assert options is not None
    assert (options["in_channels"], options["classes"]) == (channels, 43)


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_nonsense_shapes_give_none_or_are_caught(name: str) -> None:
    cls = ARCHITECTURES[name]
    with torch.device("meta"):
        state = cls().state_dict()
    for key in list(state)[:40]:
        for shape in ((), (0,), (1, 2, 3, 4, 5), (0, 0), (10**9, 10**9)):
            changed = {k: tuple(v.shape) for k, v in state.items()} | {key: shape}
            try:
                options = cls.infer(changed)
            except Exception:
                continue
            assert options is None or isinstance(options, dict)


def test_lists_serve_as_tuples() -> None:
    net = build("cifar_resnet", blocks=[1, 1, 1], channels=[4, 8, 16])
    assert net(torch.rand(2, 3, 16, 16)).shape == (2, 10)


def test_patches_are_those_of_unfold() -> None:
    x = torch.rand(2, 3, 8, 8)
    rearranged = published.Rearrange("", p1=4, p2=4)(x)
    assert torch.equal(Patches(4)(x), rearranged)


def test_the_position_embedding_in_closed_form() -> None:
    table = sincos_2d(2, 3, 8, torch.device("cpu"))
    assert table.shape == (6, 8)
    # Row 1, column 2: x = 2, y = 1; the frequencies are 1 and 1 / 10,000.
    angles = torch.tensor([2.0, 2e-4])
    expected = torch.cat((angles.sin(), angles.cos(), (angles / 2).sin(), (angles / 2).cos()))
    torch.testing.assert_close(table[5], expected)


def test_the_padded_short_cut_adds_no_numbers() -> None:
    x = torch.rand(2, 4, 6, 6)
    y = PadShortcut(4, 2)(x)
    assert y.shape == (2, 8, 3, 3)
    assert torch.equal(y[:, 2:6], x[:, :, ::2, ::2]) and y[:, :2].abs().sum() == y[:, 6:].abs().sum() == 0


def _norm(net: nn.Module, prefix: str, x: torch.Tensor) -> torch.Tensor:
    state = dict(net.state_dict())
    mean, var = state[f"{prefix}.running_mean"], state[f"{prefix}.running_var"]
    return F.batch_norm(x, mean, var, state[f"{prefix}.weight"], state[f"{prefix}.bias"])


def _second_resnet(net: nn.Module, x: torch.Tensor, shortcut: str, blocks: tuple[int, ...]) -> torch.Tensor:
    """The forward pass of He et al. written from the names of the tensors alone."""
    state = net.state_dict()
    x = F.relu(_norm(net, "bn1", F.conv2d(x, state["conv1.weight"], padding=1)))
    for stage, count in enumerate(blocks, 1):
        for block in range(count):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and not block else 1
            y = F.relu(
                _norm(
                    net, f"{name}.bn1", F.conv2d(x, state[f"{name}.conv1.weight"], stride=stride, padding=1)
                )
            )
            y = _norm(net, f"{name}.bn2", F.conv2d(y, state[f"{name}.conv2.weight"], padding=1))
            if f"{name}.{shortcut}.0.weight" in state:
                projected = F.conv2d(x, state[f"{name}.{shortcut}.0.weight"], stride=stride)
                x = _norm(net, f"{name}.{shortcut}.1", projected)
            x = F.relu(x + y)
    head = "fc" if shortcut == "downsample" else "linear"
    return F.linear(x.mean((2, 3)), state[f"{head}.weight"], state[f"{head}.bias"])


@pytest.mark.parametrize(
    ("make", "shortcut"),
    [
        (lambda: build("resnet", blocks=(1, 2), channels=(4, 8), kernel=3), "downsample"),
        (lambda: build("cifar_resnet", blocks=(1, 2), channels=(4, 8), padded=False), "shortcut"),
    ],
)
def test_residual_networks_against_a_second_implementation(
    make: Callable[[], nn.Module], shortcut: str
) -> None:
    net = make().eval()
    with torch.no_grad():
        for key, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5) if "var" in key else tensor.normal_(0, 0.3)
        x = torch.rand(2, 3, 12, 12)
        torch.testing.assert_close(net(x), _second_resnet(net, x, shortcut, (1, 2)), rtol=1e-4, atol=1e-4)


def test_a_stem_that_leaves_no_trace_is_offered_as_a_variant() -> None:
    net = build("resnet", blocks=(1, 1), channels=(4, 8), stem="plain").eval()
    matched = match(net.state_dict())
    x = torch.rand(2, 3, 32, 32)
    assert matched.architecture == "resnet"
    assert not torch.allclose(matched.module(x), net(x))
    torch.testing.assert_close(matched.variants["stem=plain"]()(x), net(x))


@pytest.mark.parametrize("name", ["mobilenet_v2", "simple_vit"])
def test_every_variant_of_an_architecture_runs(name: str) -> None:
    small: dict[str, dict[str, Any]] = {
        "mobilenet_v2": {"stem": 8, "widths": ((8, 8), (16, 12), (24, 12)), "last": 16},
        "simple_vit": {"dim": 16, "depth": 1, "inner": 64, "mlp_dim": 8},
    }
    net = build(name, **small[name]).eval()
    matched = match(net.state_dict())
    x = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(matched.module(x), net(x))
    outputs = [factory()(x) for factory in matched.variants.values()]
    assert len(outputs) == len(ARCHITECTURES[name].VARIANTS) - 1
    assert all(out.shape == net(x).shape for out in outputs)
