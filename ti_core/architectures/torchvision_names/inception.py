"""GoogLeNet and Inception v3, as tables of branches.

C. Szegedy et al., "Going deeper with convolutions", CVPR 2015, and "Rethinking the inception architecture", CVPR 2016.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from ti_core.architectures.base import Architecture, Options, Shapes
from ti_core.architectures.torchvision_names.parts import PLAIN, Head, head_of
from ti_core.architectures.torchvision_names.parts import head as head_layers


class _Conv(nn.Module):
    """A convolution, batch norm and ReLU."""

    def __init__(
        self, c_in: int, c_out: int, kernel: int | tuple[int, int], stride: int = 1, padded: bool = True
    ) -> None:
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (sides[0] // 2, sides[1] // 2) if padded else 0
        self.conv = nn.Conv2d(c_in, c_out, sides, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(c_out, eps=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.bn(self.conv(x)).relu()
        return out


class _Mixed(nn.Module):
    """Branches of convolutions side by side, whose channels are joined.

    Parameters
    ----------
    branches : for each branch its steps: the name of a convolution in ``convolutions``, "pool" or "average". A tuple
        of names forks the branch.
    """

    def __init__(
        self,
        convolutions: dict[str, nn.Module],
        branches: tuple[tuple[str | tuple[str, str], ...], ...],
        stride: int = 1,
    ) -> None:
        super().__init__()
        for name, convolution in convolutions.items():
            self.add_module(name, convolution)
        self.branches = branches
        self.average = nn.AvgPool2d(3, 1, 1)
        self.pool = nn.MaxPool2d(3, stride, 1 if stride == 1 else 0, ceil_mode=stride == 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        joined: list[torch.Tensor] = []
        for branch in self.branches:
            y = x
            for step in branch:
                if isinstance(step, str):
                    y = self.get_submodule(step)(y)
                else:
                    y = torch.cat([self.get_submodule(name)(y) for name in step], 1)
            joined.append(y)
        return torch.cat(joined, 1)


class _Auxiliary(nn.Module):
    """A second classifier that only training uses. It is here so that its tensors have a place."""

    def __init__(self, tensors: dict[str, nn.Module]) -> None:
        super().__init__()
        for name, layer in tensors.items():
            self.add_module(name, layer)


_GOOGLE = (
    ("3a", 192, 64, 96, 128, 16, 32, 32),
    ("3b", 256, 128, 128, 192, 32, 96, 64),
    ("4a", 480, 192, 96, 208, 16, 48, 64),
    ("4b", 512, 160, 112, 224, 24, 64, 64),
    ("4c", 512, 128, 128, 256, 24, 64, 64),
    ("4d", 512, 112, 144, 288, 32, 64, 64),
    ("4e", 528, 256, 160, 320, 32, 128, 128),
    ("5a", 832, 256, 160, 320, 32, 128, 128),
    ("5b", 832, 384, 192, 384, 48, 128, 128),
)
"""Name, input channels, and channels of the six convolutions of each inception module."""


class GoogLeNet(Architecture):
    """GoogLeNet with batch norm.

    Parameters
    ----------
    in_channels, classes : input channels C and class count K.
    auxiliary : the file holds the two classifiers that only training uses.
    head : layers of ``fc``.
    """

    name: ClassVar[str] = "googlenet"

    def __init__(
        self, in_channels: int = 3, classes: int = 10, auxiliary: bool = False, head: Head = PLAIN
    ) -> None:
        super().__init__()
        self.conv1 = _Conv(in_channels, 64, 7, 2)
        self.conv2, self.conv3 = _Conv(64, 64, 1), _Conv(64, 192, 3)
        self.pool, self.last_pool = (nn.MaxPool2d(side, 2, ceil_mode=True) for side in (3, 2))
        for name, c_in, single, before3, after3, before5, after5, pooled in _GOOGLE:
            convolutions: dict[str, nn.Module] = {
                "branch1": _Conv(c_in, single, 1),
                "branch2": nn.Sequential(_Conv(c_in, before3, 1), _Conv(before3, after3, 3)),
                # The paper has 5 x 5 here; torchvision's networks have 3 x 3.
                "branch3": nn.Sequential(_Conv(c_in, before5, 1), _Conv(before5, after5, 3)),
                "branch4": nn.Sequential(nn.Identity(), _Conv(c_in, pooled, 1)),
            }
            branches = (("branch1",), ("branch2",), ("branch3",), ("pool", "branch4"))
            self.add_module(f"inception{name}", _Mixed(convolutions, branches))
        for number, c_in in ((1, 512), (2, 528)) if auxiliary else ():
            parts = {
                "conv": _Conv(c_in, 128, 1),
                "fc1": nn.Linear(2048, 1024),
                "fc2": nn.Linear(1024, classes),
            }
            self.add_module(f"aux{number}", _Auxiliary(parts))
        self.fc = head_layers(head, 1024, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.conv3(self.conv2(self.pool(self.conv1(x)))))
        for name, *_ in _GOOGLE:
            x = self.get_submodule(f"inception{name}")(x)
            if name == "3b":
                x = self.pool(x)
            if name == "4e":
                x = self.last_pool(x)
        scores: torch.Tensor = self.fc(x.mean((2, 3)))
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        stem = shapes.get("conv1.conv.weight")
        if stem is None or "inception3a.branch1.conv.weight" not in shapes:
            return None
        layers, classes = head_of(shapes, "fc")
        return {
            "in_channels": stem[1],
            "classes": classes,
            "auxiliary": "aux1.fc2.weight" in shapes,
            "head": layers,
        }


_STEM = (
    ("Conv2d_1a_3x3", 32, 3, 2, False),
    ("Conv2d_2a_3x3", 32, 3, 1, False),
    ("Conv2d_2b_3x3", 64, 3, 1, True),
    ("pool", 0, 0, 0, False),
    ("Conv2d_3b_1x1", 80, 1, 1, True),
    ("Conv2d_4a_3x3", 192, 3, 1, False),
    ("pool", 0, 0, 0, False),
)
"""Name, channels, kernel, stride, and whether it is padded."""
_WIDE, _HIGH = (1, 7), (7, 1)


def _chain(c_in: int, name: str, *steps: tuple[int, int | tuple[int, int]]) -> dict[str, nn.Module]:
    """Convolutions ``name_1``, ``name_2`` ... of these channels and kernels."""
    made: dict[str, nn.Module] = {}
    for number, (c_out, kernel) in enumerate(steps, 1):
        made[f"{name}_{number}"] = _Conv(c_in, c_out, kernel)
        c_in = c_out
    return made


def _module_a(c_in: int, pooled: int) -> _Mixed:
    convolutions = {
        "branch1x1": _Conv(c_in, 64, 1),
        **_chain(c_in, "branch5x5", (48, 1), (64, 5)),
        **_chain(c_in, "branch3x3dbl", (64, 1), (96, 3), (96, 3)),
        "branch_pool": _Conv(c_in, pooled, 1),
    }
    triple = ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")
    return _Mixed(
        convolutions, (("branch1x1",), ("branch5x5_1", "branch5x5_2"), triple, ("average", "branch_pool"))
    )


def _module_b(c_in: int) -> _Mixed:
    convolutions = {
        "branch3x3": _Conv(c_in, 384, 3, 2, False),
        **_chain(c_in, "branch3x3dbl", (64, 1), (96, 3)),
        "branch3x3dbl_3": _Conv(96, 96, 3, 2, False),
    }
    triple = ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")
    return _Mixed(convolutions, (("branch3x3",), triple, ("pool",)), stride=2)


def _module_c(c_in: int, inner: int) -> _Mixed:
    convolutions = {
        "branch1x1": _Conv(c_in, 192, 1),
        **_chain(c_in, "branch7x7", (inner, 1), (inner, _WIDE), (192, _HIGH)),
        **_chain(
            c_in, "branch7x7dbl", (inner, 1), (inner, _HIGH), (inner, _WIDE), (inner, _HIGH), (192, _WIDE)
        ),
        "branch_pool": _Conv(c_in, 192, 1),
    }
    single = tuple(f"branch7x7_{i}" for i in range(1, 4))
    double = tuple(f"branch7x7dbl_{i}" for i in range(1, 6))
    return _Mixed(convolutions, (("branch1x1",), single, double, ("average", "branch_pool")))


def _module_d(c_in: int) -> _Mixed:
    convolutions = {
        "branch3x3_1": _Conv(c_in, 192, 1),
        "branch3x3_2": _Conv(192, 320, 3, 2, False),
        **_chain(c_in, "branch7x7x3", (192, 1), (192, _WIDE), (192, _HIGH)),
        "branch7x7x3_4": _Conv(192, 192, 3, 2, False),
    }
    long = tuple(f"branch7x7x3_{i}" for i in range(1, 5))
    return _Mixed(convolutions, (("branch3x3_1", "branch3x3_2"), long, ("pool",)), stride=2)


def _module_e(c_in: int) -> _Mixed:
    convolutions = {
        "branch1x1": _Conv(c_in, 320, 1),
        "branch3x3_1": _Conv(c_in, 384, 1),
        **_chain(c_in, "branch3x3dbl", (448, 1), (384, 3)),
        "branch_pool": _Conv(c_in, 192, 1),
    }
    for name in ("branch3x3_2", "branch3x3dbl_3"):
        convolutions |= {f"{name}a": _Conv(384, 384, (1, 3)), f"{name}b": _Conv(384, 384, (3, 1))}
    forked = ("branch3x3_1", ("branch3x3_2a", "branch3x3_2b"))
    double = ("branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b"))
    return _Mixed(convolutions, (("branch1x1",), forked, double, ("average", "branch_pool")))


class InceptionV3(Architecture):
    """Inception v3. It takes images of 75 x 75 and more.

    Parameters
    ----------
    in_channels, classes, auxiliary, head : as in :class:`GoogLeNet`.
    """

    name: ClassVar[str] = "inception_v3"

    def __init__(
        self, in_channels: int = 3, classes: int = 10, auxiliary: bool = False, head: Head = PLAIN
    ) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, 2)
        for name, c_out, kernel, stride, padded in _STEM:
            if name != "pool":
                self.add_module(name, _Conv(in_channels, c_out, kernel, stride, padded))
                in_channels = c_out
        mixed = {
            "5b": _module_a(192, 32),
            "5c": _module_a(256, 64),
            "5d": _module_a(288, 64),
            "6a": _module_b(288),
            **{
                f"6{letter}": _module_c(768, width)
                for letter, width in zip("bcde", (128, 160, 160, 192), strict=True)
            },
            "7a": _module_d(768),
            "7b": _module_e(1280),
            "7c": _module_e(2048),
        }
        self.mixed = tuple(f"Mixed_{name}" for name in mixed)
        for name, module in zip(self.mixed, mixed.values(), strict=True):
            self.add_module(name, module)
        if auxiliary:
            parts = {"conv0": _Conv(768, 128, 1), "conv1": _Conv(128, 768, 5), "fc": nn.Linear(768, classes)}
            self.AuxLogits = _Auxiliary(parts)
        self.fc = head_layers(head, 2048, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for name in (*(step[0] for step in _STEM), *self.mixed):
            x = self.get_submodule(name)(x)
        scores: torch.Tensor = self.fc(x.mean((2, 3)))
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        stem = shapes.get("Conv2d_1a_3x3.conv.weight")
        if stem is None:
            return None
        layers, classes = head_of(shapes, "fc")
        return {
            "in_channels": stem[1],
            "classes": classes,
            "auxiliary": "AuxLogits.fc.weight" in shapes,
            "head": layers,
        }
