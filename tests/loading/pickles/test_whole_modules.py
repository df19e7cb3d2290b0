"""Whole modules: the same scores as where they came from, and nothing of a file's own making in them."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.loading import payloads as p
from tests.loading import published
from ti_core.architectures import ARCHITECTURES
from ti_core.architectures.lenet import LeNet5
from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading import describe_file, load_model
from ti_core.loading.pickles.layer_table import LAYERS
from ti_core.loading.pickles.networks import NETWORK_CLASSES, NETWORK_PARTS
from ti_core.loading.pickles.rebuild import class_of

Write = Callable[..., Path]


def randomised(module: nn.Module) -> nn.Module:
    """The module with its norms away from the identity, in evaluation mode."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if "running_var" in name:
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif "running_mean" in name or name.endswith("bias"):
                tensor.uniform_(-0.2, 0.2, generator=generator)
    return module.eval()


def reopened(module: nn.Module, tmp_path: Path) -> nn.Module:
    path = tmp_path / "model.pt"
    torch.save(module, path)
    return load_model(path).module


def same(module: nn.Module, tmp_path: Path, x: torch.Tensor) -> None:
    opened = reopened(randomised(module), tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(opened(x), module(x), rtol=1e-5, atol=1e-5)
    assert not opened.training and not any(t.requires_grad for t in opened.parameters())


@pytest.fixture
def colour() -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))


def test_the_challenges_mnist_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, images: torch.Tensor
) -> None:
    published.publish(monkeypatch, utils__MNIST_Network=published.MNISTNetwork)
    same(published.MNISTNetwork(), tmp_path, images)
    model = load_model(tmp_path / "model.pt")
    assert (model.format, model.architecture, model.parameters) == (
        "torch module",
        "challenge_mnist",
        227_338,
    )
    assert (model.classes, model.input_shape, dict(model.variants)) == (10, (1, 28, 28), {})


@pytest.mark.parametrize(("depth", "k"), [(16, 1), (16, 2), (10, 1)])
def test_the_challenges_wide_resnet(
    depth: int, k: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, colour: torch.Tensor
) -> None:
    published.publish(
        monkeypatch,
        wrn__WideResNet=published.WRN,
        wrn__NetworkBlock=published.WRNStage,
        wrn__BasicBlock=published.WRNBlock,
    )
    same(published.WRN(depth, 10, k), tmp_path, colour)
    assert load_model(tmp_path / "model.pt").architecture == "wide_resnet"


@pytest.mark.parametrize(("heads", "width"), [(16, 64), (4, 8), (2, 16)])
def test_the_challenges_vit(
    heads: int, width: int, publish_vit: None, tmp_path: Path, colour: torch.Tensor
) -> None:
    same(published.ViT(43, 32, 2, heads, 48, width), tmp_path, colour)
    model = load_model(tmp_path / "model.pt")
    assert (model.architecture, model.classes) == ("simple_vit", 43)


def test_a_vit_that_cuts_its_patches_otherwise_is_refused(publish_vit: None, tmp_path: Path) -> None:
    vit = published.ViT(10, 32, 1, 2, 48)
    vit.to_patch_embedding[0].pattern = "b c (p1 h) (p2 w) -> b h w (p1 p2 c)"
    with pytest.raises(RefusedFileError, match="does not have the layers"):
        reopened(vit, tmp_path)


def test_torchvisions_resnet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, colour: torch.Tensor) -> None:
    published.publish(
        monkeypatch,
        torchvision__models__resnet__ResNet=published.VisionResNet,
        torchvision__models__resnet__BasicBlock=published.VisionBlock,
    )
    net = published.VisionResNet()
    same(net, tmp_path, colour)
    net.maxpool = nn.Identity()
    net.conv1 = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
    same(net, tmp_path, colour)
    assert load_model(tmp_path / "model.pt").architecture == "resnet"


def test_modules_open_in_several_threads_at_once(tmp_path: Path, lenet: LeNet5, images: torch.Tensor) -> None:
    from concurrent.futures import ThreadPoolExecutor

    torch.save(lenet, tmp_path / "a.pt")
    torch.save(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), tmp_path / "b.pt")
    with ThreadPoolExecutor(4) as pool:
        models = list(pool.map(load_model, [tmp_path / "a.pt", tmp_path / "b.pt"] * 8))
    assert [m.architecture for m in models] == ["lenet5", "Sequential"] * 8


@pytest.mark.parametrize("name", ["lenet5", "convnet", "small_resnet", "mlp", "challenge_mnist"])
def test_our_own_small_networks_with_every_option(name: str, tmp_path: Path, images: torch.Tensor) -> None:
    for variant in ARCHITECTURES[name].VARIANTS:
        same(ARCHITECTURES[name](**variant), tmp_path, images)


@pytest.mark.parametrize(
    "name",
    [
        "wide_resnet",
        "simple_vit",
        "resnet",
        "cifar_resnet",
        "preact_resnet",
        "vgg",
        "mobilenet_v2",
        "cifar_mobilenet_v2",
    ],
)
def test_our_own_larger_networks(name: str, tmp_path: Path, colour: torch.Tensor) -> None:
    small = {
        "resnet": {"blocks": (1, 1), "channels": (8, 16), "stem": "plain"},
        "preact_resnet": {"blocks": (1, 1), "channels": (8, 16), "bottleneck": True},
        "vgg": {"layers": (8, 0, 16, 0), "head": ((1, 20), (4, 0))},
        "simple_vit": {"dim": 32, "depth": 1, "inner": 32, "dim_head": 8},
        "wide_resnet": {"blocks": 1, "channels": (8, 8, 16, 32)},
    }
    same(ARCHITECTURES[name](**small.get(name, {})), tmp_path, colour)


def test_every_class_of_ours_is_known() -> None:
    """A new architecture is readable as a whole module too, or this test says which path is missing."""
    import importlib
    import pkgutil

    import ti_core.architectures as package

    for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        for cls in vars(importlib.import_module(info.name)).values():
            if isinstance(cls, type) and issubclass(cls, nn.Module) and cls.__module__ == info.name:
                path = f"{cls.__module__}.{cls.__qualname__}"
                if path.endswith(".base.Architecture"):
                    continue
                assert (
                    NETWORK_CLASSES.get(path) == getattr(cls, "name", None) if hasattr(cls, "name") else True
                )
                assert path in NETWORK_CLASSES or NETWORK_PARTS.get(path) == cls.__name__


LAYERS_IN_USE: list[nn.Module] = [
    nn.Conv2d(3, 4, 3, padding="same", bias=False),
    nn.Conv2d(3, 6, 3, stride=2, padding=1, dilation=2, groups=3, padding_mode="reflect"),
    nn.ConvTranspose2d(3, 4, 2, stride=2, output_padding=1),
    nn.BatchNorm2d(3, eps=1e-3, affine=False),
    nn.BatchNorm2d(3, momentum=None),
    nn.SyncBatchNorm(3),
    nn.InstanceNorm2d(3, affine=True, track_running_stats=True),
    nn.GroupNorm(3, 3),
    nn.LayerNorm((32, 32)),
    nn.LayerNorm(32, bias=False),
    nn.RMSNorm(32),
    nn.LocalResponseNorm(2),
    *(
        nn.ReLU(True),
        nn.ReLU6(),
        nn.LeakyReLU(0.3),
        nn.PReLU(3),
        nn.RReLU(),
        nn.ELU(2.0),
        nn.CELU(),
        nn.SELU(),
    ),
    *(
        nn.GELU("tanh"),
        nn.SiLU(),
        nn.Mish(),
        nn.Hardtanh(-2, 2),
        nn.Hardswish(),
        nn.Hardsigmoid(),
        nn.Sigmoid(),
    ),
    *(
        nn.LogSigmoid(),
        nn.Tanh(),
        nn.Tanhshrink(),
        nn.Softplus(2),
        nn.Softsign(),
        nn.Softshrink(),
        nn.Hardshrink(),
    ),
    *(nn.Threshold(0.1, 0), nn.GLU(-1), nn.Softmax(1), nn.Softmin(1), nn.LogSoftmax(1), nn.Softmax2d()),
    *(nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(3, count_include_pad=False), nn.LPPool2d(2, 2)),
    *(nn.AdaptiveAvgPool2d((4, None)), nn.AdaptiveMaxPool2d(3)),
    *(nn.Dropout(), nn.Dropout2d(), nn.AlphaDropout(), nn.Identity()),
    *(
        nn.ZeroPad2d(1),
        nn.ReflectionPad2d(1),
        nn.ReplicationPad2d(2),
        nn.CircularPad2d(1),
        nn.ConstantPad2d(1, 0.5),
    ),
    *(nn.PixelUnshuffle(2), nn.ChannelShuffle(3), nn.Unfold(3), nn.Upsample(scale_factor=2, mode="bilinear")),
    *(
        nn.UpsamplingNearest2d(scale_factor=2),
        nn.UpsamplingBilinear2d(size=(8, 8)),
        nn.Flatten(2),
        nn.Unflatten(2, (4, 8)),
    ),
]


@pytest.mark.parametrize("layer", LAYERS_IN_USE, ids=lambda layer: type(layer).__name__)
def test_a_layer_comes_back_as_it_was(layer: nn.Module, tmp_path: Path) -> None:
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(5))
    same(nn.Sequential(OrderedDict(layer=layer)), tmp_path, x)


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_a_transformer_comes_back_as_it_was(norm_first: bool, activation: str, tmp_path: Path) -> None:
    layer = nn.TransformerEncoderLayer(
        8, 2, 12, activation=activation, batch_first=True, norm_first=norm_first
    )
    encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(8), enable_nested_tensor=False)
    same(nn.Sequential(nn.Flatten(2), encoder), tmp_path, torch.randn(2, 5, 2, 4))


def test_every_layer_of_the_table_is_torchs() -> None:
    assert [f"{class_of(path).__module__}.{class_of(path).__qualname__}" for path in LAYERS] == list(LAYERS)


def test_a_layer_used_twice_stays_one(tmp_path: Path) -> None:
    shared = nn.Linear(4, 4)
    opened = reopened(nn.Sequential(shared, nn.ReLU(), shared), tmp_path)
    assert opened[0] is opened[2]  # type: ignore[index]


def test_data_parallel_and_wrappers_are_looked_through(
    tmp_path: Path, images: torch.Tensor, lenet: LeNet5
) -> None:
    torch.save({"net": nn.DataParallel(copy.deepcopy(lenet)), "epoch": 7}, tmp_path / "m.pt")
    model = load_model(tmp_path / "m.pt")
    torch.testing.assert_close(model.module(images), lenet(images))
    assert model.metadata == {"epoch": "7"}


def _with(change: Callable[[nn.Sequential], None]) -> nn.Sequential:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU())
    change(net)
    return net


def _doubled() -> nn.Module:
    net: nn.Module = nn.ReLU()
    for _ in range(20):
        net = nn.Sequential(net, net)
    return net


def _named_forward() -> nn.Module:
    net = nn.Sequential(nn.ReLU())
    net._modules["forward"] = nn.ReLU()
    return net


SURPRISES: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "a forward hook": (lambda: _with(lambda n: n[1]._forward_hooks.update({0: nn.ReLU()})), "hooks"),  # type: ignore[operator]
    "a hook before forward": (lambda: _with(lambda n: n._forward_pre_hooks.update({0: 1})), "hooks"),  # type: ignore[dict-item]
    "a backward hook": (lambda: _with(lambda n: n[1]._backward_hooks.update({0: 1})), "hooks"),  # type: ignore[operator]
    "a hook on state dicts": (lambda: _with(lambda n: n._state_dict_hooks.update({0: 1})), "hooks"),  # type: ignore[dict-item]
    "forward hidden": (
        lambda: _with(lambda n: n[1].__dict__.update(forward=nn.ReLU())),
        "hides its own forward",
    ),
    "__call__ hidden": (lambda: _with(lambda n: n.__dict__.update(__call__="x")), "hides its own __call__"),
    "a class constant hidden": (lambda: _with(lambda n: n[1].__dict__.update(__constants__=[])), "hides"),
    "a module among the attributes": (
        lambda: _with(lambda n: n[1].__dict__.update(extra=nn.ReLU())),
        "something that runs",
    ),
    "a class among the attributes": (
        lambda: _with(lambda n: n[1].__dict__.update(extra=nn.ReLU)),
        "something that runs",
    ),
    "a layer inside a plain layer": (
        lambda: _with(lambda n: n[1]._modules.update(x=nn.ReLU())),
        "holds other layers",
    ),
    "a layer named like a method": (_named_forward, "hide methods"),
    "twenty doublings": (_doubled, "more than"),
    "a gigantic pad": (lambda: _with(lambda n: n.append(nn.ZeroPad2d(10**6)) and None), "impossible padding"),
    "a gigantic padding of a convolution": (
        lambda: _with(lambda n: n.append(nn.Conv2d(1, 1, 1, padding=10**6)) and None),
        "impossible padding",
    ),
    "a list at the top": (lambda: nn.ModuleList([nn.ReLU()]), "part of a network"),
}


@pytest.mark.parametrize(("build", "says"), SURPRISES.values(), ids=list(SURPRISES))
def test_a_surprise_in_a_module_is_refused(build: Callable[[], nn.Module], says: str, tmp_path: Path) -> None:
    with pytest.raises(RefusedFileError, match=says):
        reopened(build(), tmp_path)


def test_a_module_that_contains_itself_is_refused(tmp_path: Path) -> None:
    net = nn.Sequential(nn.ReLU())
    net._modules["1"] = net
    with pytest.raises(RefusedFileError, match="contains itself"):
        reopened(net, tmp_path)


def test_weights_that_do_not_fit_their_layer(tmp_path: Path) -> None:
    for change, says in (
        (lambda n: n[1]._parameters.update(weight=nn.Parameter(torch.ones(2, 2))), "shape"),
        (lambda n: n[1]._parameters.pop("weight"), "does not have the weights"),
        (lambda n: n[1]._parameters.update(extra=nn.Parameter(torch.ones(2))), "does not have the weights"),
        (
            lambda n: n[1]._parameters.update(weight=nn.Parameter(torch.full((3, 4), torch.nan))),
            "model.1.weight holds NaN",
        ),
        (lambda n: n[1].__dict__.update(in_features=10**7), "shape"),
    ):
        with pytest.raises(ModelFileError, match=says):
            reopened(_with(change), tmp_path)


def test_a_network_that_only_bears_the_name(write: Write, canary: Path) -> None:
    path = write(p.checkpoint(p.program(p.module("utils.MNIST_Network"))))
    with pytest.raises(RefusedFileError, match=r"calls itself utils\.MNIST_Network"):
        load_model(path)


def test_a_part_alone_is_no_model(write: Write) -> None:
    path = write(p.checkpoint(p.program(p.module("wrn.BasicBlock"))))
    with pytest.raises(RefusedFileError, match="only a part of a network"):
        load_model(path)


def test_half_precision_modules_become_float(tmp_path: Path, images: torch.Tensor) -> None:
    opened = reopened(LeNet5().half(), tmp_path)
    assert {t.dtype for t in opened.parameters()} == {torch.float32}
    assert opened(images).dtype == torch.float32


def test_the_report_of_a_module_agrees(tmp_path: Path, lenet: LeNet5) -> None:
    path = tmp_path / "m.pt"
    torch.save(lenet, path)
    report = describe_file(path)
    assert report.opens and report.is_safe
    assert {t.name: t.shape for t in report.tensors} == {
        k: tuple(v.shape) for k, v in lenet.state_dict().items()
    }
