"""Whole modules of classes that nobody registered: layers are facts, ``forward`` is found, and nothing of it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.loading import payloads as p
from ti_core.errors import ModelFileError, RefusedFileError, UnknownArchitectureError
from ti_core.loading import describe_file, load_model
from ti_core.loading.findings import Severity

Write = Callable[..., Path]


class Rows(nn.Module):
    """Two rows of layers, with options that no shape shows."""

    def __init__(self) -> None:
        super().__init__()
        conv = nn.Conv2d(1, 4, 5, stride=2, padding=1)
        self.front = nn.Sequential(conv, nn.BatchNorm2d(4, eps=0.1), nn.LeakyReLU(0.3), nn.AvgPool2d(3, 2))
        self.back = nn.Sequential(
            nn.Dropout(), nn.Linear(4 * 36, 8), nn.Tanh(), nn.Linear(8, 3), nn.Softmax(1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.back(self.front(x).flatten(1))


class Calls(nn.Module):
    """Layers one after the other; activation and pooling are functions."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 4, 3, padding=1)
        self.drop = nn.Dropout2d()
        self.b = nn.Conv2d(4, 6, 3, padding="same", dilation=2)
        self.c = nn.Linear(6 * 64, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.a(x)), 2)
        return self.c(self.drop(F.max_pool2d(F.relu(self.b(x)), 2)).flatten(1))


class Shared(nn.Module):
    """One activation and one pooling that are used at every place, and a head that is registered first."""

    def __init__(self) -> None:
        super().__init__()
        self.act, self.pool = nn.ELU(), nn.MaxPool2d(2)
        self.a, self.b = nn.Conv2d(1, 4, 5), nn.Conv2d(4, 6, 5)
        self.c, self.d = nn.Linear(6 * 16, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.act(self.b(self.pool(self.act(self.a(x))))))
        return self.d(self.act(self.c(x.flatten(1))))


class Unit(nn.Module):
    """A residual block whose shortcut is empty where nothing has to change."""

    def __init__(self, inner: int, out: int, stride: int) -> None:
        super().__init__()
        first = nn.Conv2d(inner, out, 3, stride, 1, bias=False)
        second = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.way = nn.Sequential(first, nn.BatchNorm2d(out), nn.ReLU(), second, nn.BatchNorm2d(out))
        beside = [nn.Conv2d(inner, out, 1, stride, bias=False), nn.BatchNorm2d(out)] if inner != out else []
        self.beside = nn.Sequential(*beside)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.way(x) + self.beside(x))


class Residual(nn.Module):
    """A small residual network under names of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.body = nn.Sequential(Unit(4, 4, 1), Unit(4, 8, 2))
        self.end = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.end(self.body(self.stem(x)).mean((2, 3)))


class Swish(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(x)


class Twice(nn.Module):
    """Layers under two names, as where a row is put together from attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 2, 3, padding=1), nn.Linear(2 * 196, 3)
        self.whole = nn.Sequential(self.first, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), self.last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.whole(x)


def randomised(module: nn.Module) -> nn.Module:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) * 0.4 + 0.1)
    return module.eval()


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("make", [Rows, Calls, Shared, Residual, Twice])
def test_the_likeliest_network_is_the_one_that_was_saved(
    make: Callable[[], nn.Module], zipped: bool, tmp_path: Path
) -> None:
    net = randomised(make())
    torch.save(net, tmp_path / "net.pt", _use_new_zipfile_serialization=zipped)
    report = describe_file(tmp_path / "net.pt")
    assert report.opens and report.is_safe
    [use] = [use for use in report.globals if use.name.endswith(make.__name__)]
    assert use.severity is Severity.UNUSUAL and "a name only" in use.sentence
    model = load_model(tmp_path / "net.pt")
    assert (model.format, model.architecture) == ("torch module", "reconstructed")
    assert model.input_shape is not None and model.proposal is not None
    x = torch.rand(2, *model.input_shape)
    with torch.no_grad():
        torch.testing.assert_close(model.module(x), net(x))
    # Whoever repeats it by the sketch gets the same network.
    again = load_model(tmp_path / "net.pt", sketch=model.sketch)
    torch.testing.assert_close(again.module(x), model.module(x))


def test_options_of_the_file_stand_in_the_sketch(tmp_path: Path) -> None:
    torch.save(randomised(Rows()), tmp_path / "net.pt")
    sketch = load_model(tmp_path / "net.pt").sketch
    front = "conv 4 5 padding 1 stride 2; batchnorm eps 0.1; leaky_relu 0.3; avgpool 3 stride 2"
    assert sketch == f"input 1 28; {front}; flatten; linear 8; tanh; linear 3; softmax"


def test_a_part_without_tensors_of_an_unknown_class_leaves_its_place_open(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3, 2), Swish(), nn.Flatten(), nn.Linear(4 * 169, 3))
    torch.save(net, tmp_path / "net.pt")
    assert load_model(tmp_path / "net.pt").sketch == "input 1 28; conv 4 3 stride 2; relu; flatten; linear 3"
    opened = load_model(tmp_path / "net.pt", sketch="conv 4 3 stride 2; silu; flatten; linear 3").module
    x = torch.rand(2, 1, 28, 28)
    torch.testing.assert_close(opened(x), net(x))


class Padded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.front = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(1, 4, 3))
        self.end = nn.Linear(4 * 784, 3)


class Attends(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.ones(1, 1, 8))
        self.head = nn.Linear(8, 3)


@pytest.mark.parametrize(
    ("make", "says"),
    [(Padded, r"front.0 \(ReflectionPad2d\)"), (Attends, "token .1 x 1 x 8. is no layer of a plain network")],
)
def test_what_no_sketch_can_name_is_refused_with_its_name(
    make: Callable[[], nn.Module], says: str, tmp_path: Path
) -> None:
    torch.save(make(), tmp_path / "net.pt")
    with pytest.raises(UnknownArchitectureError, match=says) as caught:
        load_model(tmp_path / "net.pt")
    assert make.__name__ in str(caught.value) and "--architecture" in str(caught.value)


def test_names_of_a_registered_network_count_only_with_its_options(tmp_path: Path) -> None:
    class Like(nn.Module):
        def __init__(self, stride: int) -> None:
            super().__init__()
            conv = nn.Conv2d(1, 16, 3, stride, 1)
            self.features = nn.Sequential(conv, nn.ReLU(), nn.MaxPool2d(2))
            self.classifier = nn.Sequential(nn.Linear(16 * 196 // stride**2, 10))

    Like.__qualname__ = "Like"
    globals()["Like"] = Like
    for stride in (1, 2):
        torch.save(Like(stride), tmp_path / "net.pt")
        model = load_model(tmp_path / "net.pt")
        assert model.sketch == "" or f"stride {stride}" in model.sketch
        assert model.input_shape in ((1, 28, 28), (1, 0, 0))


def _hooked() -> nn.Module:
    net = Rows()
    net._forward_hooks.update({0: nn.ReLU()})  # type: ignore[dict-item]
    return net


def _hooked_below() -> nn.Module:
    net = Rows()
    net.front[0]._forward_pre_hooks.update({0: nn.ReLU()})  # type: ignore[operator]
    return net


def _hidden_below() -> nn.Module:
    net = Rows()
    net.front[0].__dict__["forward"] = nn.ReLU()
    return net


def _huge() -> nn.Module:
    net = Rows()
    net.front[0].__dict__["padding"] = (10**6, 10**6)
    return net


def _list_of_parts() -> nn.Module:
    net = Rows()
    net._modules["list"] = [nn.ReLU()]  # type: ignore[assignment]
    return net


def _many() -> nn.Module:
    net = Rows()
    net.more = nn.Sequential(*[Swish()] * 20_001)
    return net


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_hooked, "carries hooks"),
        (_hooked_below, "carries hooks"),
        (_hidden_below, "hides its own forward"),
        (_huge, "impossible padding"),
        (_list_of_parts, "is no layer"),
        (_many, "more than 20000 layers"),
    ],
)
def test_a_surprise_in_a_module_of_an_unknown_class_is_refused(
    make: Callable[[], nn.Module], says: str, tmp_path: Path
) -> None:
    torch.save(make(), tmp_path / "net.pt")
    with pytest.raises(RefusedFileError, match=says):
        load_model(tmp_path / "net.pt")


def test_attributes_of_an_unknown_class_are_ignored(tmp_path: Path) -> None:
    net = randomised(Rows())
    net.activation, net.block, net.names = F.relu, Unit, {"a": Path("b")}  # type: ignore[assignment]
    torch.save(net, tmp_path / "net.pt")
    model = load_model(tmp_path / "net.pt")
    torch.testing.assert_close(model.module(torch.ones(1, 1, 28, 28)), net(torch.ones(1, 1, 28, 28)))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(p.called("posix", "system", p.text("touch canary")), id="a call in an attribute"),
        pytest.param(p.name("builtins", "eval"), id="a name in an attribute"),
        pytest.param(p.called("models", "Net", p.text("x")), id="the class is called"),
        pytest.param(p.called("torch", "load", p.text("x")), id="a function of torch"),
    ],
)
@pytest.mark.parametrize("where", ["_modules", "extra"])
def test_a_module_of_an_unknown_class_runs_nothing(
    body: bytes, where: str, write: Write, canary: Path
) -> None:
    inner = p.text("_modules") + b"}" + p.text("x") + body + b"s" + b"s" if where == "_modules" else b""
    state = b"}" + (inner or p.text("_modules") + b"}" + b"s" + p.text(where) + body + b"s")
    path = write(p.checkpoint(p.program(p.name("models", "Net") + b")\x81" + state + b"b")))
    with pytest.raises(ModelFileError):
        load_model(path)
    assert not canary.exists()
