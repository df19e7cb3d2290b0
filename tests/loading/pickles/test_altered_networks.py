"""Whole networks that bear a known name and have other parts: opened if it makes no difference, refused otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.loading import published
from ti_core.architectures.lenet import LeNet5
from ti_core.architectures.resnet_small import SmallResNet
from ti_core.architectures.simple_vit import sincos_2d
from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading import load_model

Change = Callable[[nn.Module], object]


def opened(net: nn.Module, tmp_path: Path) -> nn.Module:
    torch.save(net, tmp_path / "m.pt")
    return load_model(tmp_path / "m.pt").module


def resnet() -> SmallResNet:
    return SmallResNet(channels=(4, 6)).eval()


def first_block(net: nn.Module) -> nn.Module:
    return next(m for m in net.modules() if type(m).__name__ == "Block")


def swap(name: str, part: object) -> Change:
    """A change of the first block."""
    return lambda net: first_block(net)._modules.update({name: part})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "change",
    [
        # As in the many ResNets whose shortcut is an empty Sequential.
        swap("shortcut", nn.Sequential()),
        swap("extra", nn.Dropout()),
        swap("extra", nn.Sequential()),
        swap("extra", None),
        swap("activation", nn.ReLU(inplace=True)),
    ],
    ids=["an empty shortcut", "a dropout more", "an empty part more", "a part that is none", "in place"],
)
def test_parts_without_effect_make_no_difference(change: Change, tmp_path: Path) -> None:
    net, x = resnet(), torch.rand(2, 1, 28, 28)
    wanted = net(x)
    change(net)
    torch.testing.assert_close(opened(net, tmp_path)(x), wanted)


def test_another_activation_of_the_file_is_used(tmp_path: Path) -> None:
    net, x = resnet(), torch.rand(2, 1, 28, 28)
    plain = net(x)
    swap("activation", nn.Tanh())(net)
    found = opened(net, tmp_path)(x)
    torch.testing.assert_close(found, net(x))
    assert not torch.allclose(found, plain)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (swap("extra", nn.Linear(2, 2)), r"does not have the layers of its class \(extra\)"),
        (lambda net: net._modules.update(activation=3), "'?model.activation'? is no layer"),
        (swap("bn1", nn.InstanceNorm2d(4, affine=True, track_running_stats=True)), "InstanceNorm2d where"),
        (swap("activation", nn.PReLU()), "PReLU where its class has a ReLU"),
        (swap("shortcut", nn.Sequential(nn.ReLU())), "Sequential, which is not allowed there"),
        (swap("activation", nn.ModuleList([nn.ReLU()])), "ModuleList, which is not allowed there"),
    ],
    ids=["more weights", "a number", "another norm", "weights instead of none", "a sequence", "a list"],
)
def test_other_parts_are_refused(change: Change, says: str, tmp_path: Path) -> None:
    net = resnet()
    change(net)
    with pytest.raises(RefusedFileError, match=says):
        opened(net, tmp_path)


def test_a_buffer_that_is_missing_is_told_and_a_counter_is_not_needed(tmp_path: Path) -> None:
    net, x = resnet(), torch.rand(2, 1, 28, 28)
    wanted = net(x)
    norm = first_block(net).get_submodule("bn1")
    del norm._buffers["num_batches_tracked"]
    torch.testing.assert_close(opened(net, tmp_path)(x), wanted)
    del norm._buffers["running_mean"]
    with pytest.raises(ModelFileError, match=r"bn1'? lacks its '?running_mean"):
        opened(net, tmp_path)


def test_a_wrapper_with_nothing_inside_is_told(tmp_path: Path) -> None:
    net = nn.DataParallel(LeNet5())
    net._modules.clear()
    with pytest.raises(ModelFileError, match="DataParallel wrapper with no network inside"):
        opened(net, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: setattr(a, "heads", 5),
        lambda a: setattr(a, "heads", 0),
        lambda a: setattr(a, "heads", 2.0),
        lambda a: setattr(a, "scale", 1.0),
        lambda a: setattr(a, "scale", None),
    ],
    ids=["five heads", "no head", "no whole number", "another scale", "no scale"],
)
def test_heads_that_do_not_fit_are_refused(
    change: Callable[[nn.Module], None], publish_vit: None, tmp_path: Path
) -> None:
    net = published.ViT(10, 32, 1, 2, 48, 16)
    change(net.get_submodule("transformer.layers.0.0"))
    with pytest.raises(RefusedFileError, match="does not have the layers"):
        opened(net, tmp_path)


def test_a_vit_without_its_transformer_is_refused(publish_vit: None, tmp_path: Path) -> None:
    net = published.ViT(10, 32, 1, 2, 48, 16)
    net.transformer.layers[0][0] = nn.Linear(2, 2)  # type: ignore[index]
    with pytest.raises(RefusedFileError, match="does not have the layers"):
        opened(net, tmp_path)


def test_positions_that_are_stored_must_be_the_computed_ones(publish_vit: None, tmp_path: Path) -> None:
    """Later versions of the library keep them."""
    net, x = published.ViT(10, 32, 1, 2, 48, 16), torch.rand(2, 3, 32, 32)
    net.pos_embedding = sincos_2d(8, 8, 32, torch.device("cpu"))
    torch.testing.assert_close(opened(net, tmp_path)(x), net(x), rtol=1e-4, atol=1e-4)
    for other in (net.pos_embedding + 0.01, net.pos_embedding[:-8], torch.zeros(())):
        net.pos_embedding = other
        with pytest.raises(RefusedFileError, match="does not have the layers"):
            opened(net, tmp_path)


def encoder() -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True)
    return nn.TransformerEncoder(layer, 2, nn.LayerNorm(8), enable_nested_tensor=False)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda n: n.layers[0]._modules.pop("self_attn"), "not a valid transformer layer"),
        (lambda n: n.layers[0]._modules.update(linear2=nn.ReLU()), "not a valid transformer layer"),
        (lambda n: setattr(n.layers[0], "activation", 3), "not a valid transformer layer"),
        (lambda n: n.layers[0].self_attn._modules.pop("out_proj"), "not a valid attention layer"),
        (lambda n: n._modules.update(layers=nn.ModuleList()), "not a valid transformer of torch"),
        (lambda n: n._modules.update(layers=nn.ModuleList([nn.ReLU()])), "not a valid transformer of torch"),
        (lambda n: n._modules.update(more=nn.ReLU()), "not a valid transformer of torch"),
        (lambda n: n._modules["layers"]._modules.update({"0": 3}), "is a int, which is not allowed there"),
        (lambda n: n.layers._modules.update({"0": LeNet5()}), "LeNet5, which is not allowed there"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_changed_transformer_is_refused(
    change: Callable[[nn.TransformerEncoder], object], says: str, tmp_path: Path
) -> None:
    net = encoder()
    change(net)
    with pytest.raises(RefusedFileError, match=says):
        opened(nn.Sequential(nn.Flatten(2), net), tmp_path)


def test_settings_that_no_layer_can_have_are_told(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3))
    net[0].groups = 2
    with pytest.raises(ModelFileError, match="cannot be a Conv2d with its settings"):
        opened(net, tmp_path)
