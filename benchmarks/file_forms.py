"""Ways in which people save a network, for ``benchmarks.files``. Another one is one entry of ``FORMS``."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

Save = Callable[[nn.Module, Path], None]
_SCHEME = torch.qint8


def _torch(content: Callable[[nn.Module], Any], **options: Any) -> Save:
    return lambda net, path: torch.save(content(net), path, **options)


def _checkpoint(net: nn.Module) -> dict[str, Any]:
    """What a training loop keeps: weights, optimiser, numbers of numpy, arguments."""
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    return {
        "epoch": 12,
        "state_dict": net.state_dict(),
        "optimizer": optimiser.state_dict(),
        "best_acc": np.float64(0.9),
        "args": argparse.Namespace(lr=0.1, target=3),
    }


def _averaged(net: nn.Module) -> dict[str, Any]:
    other = {k: v + 0.1 if v.is_floating_point() else v for k, v in net.state_dict().items()}
    return {"model": net.state_dict(), "model_ema": other, "epoch": 3}


def _prefixed(prefix: str) -> Callable[[nn.Module], Any]:
    return lambda net: {f"{prefix}{k}": v for k, v in net.state_dict().items()}


def _quantised(net: nn.Module) -> dict[str, torch.Tensor]:
    """Weights in eight bits, with a scale for each output."""
    found = {}
    for name, value in net.state_dict().items():
        if value.dim() > 1:
            scales = value.flatten(1).abs().amax(1).clamp_min(1e-6).double() / 127
            value = torch.quantize_per_channel(value, scales, torch.zeros(len(value)), 0, _SCHEME)
        found[name] = value
    return found


def _safetensors(net: nn.Module, path: Path) -> None:
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, path)


def _onnx(net: nn.Module, path: Path) -> None:
    first = next(m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear)))
    shape = (1, 3, 32, 32) if isinstance(first, nn.Conv2d) and first.in_channels == 3 else (1, 1, 28, 28)
    torch.onnx.export(net, (torch.rand(shape),), str(path), dynamo=True, external_data=False, verbose=False)


_LEGACY = {"_use_new_zipfile_serialization": False}

FORMS: dict[str, tuple[str, Save]] = {
    "state dict": (".pt", _torch(lambda net: net.state_dict())),
    "state dict, torch before 1.6": (".pth", _torch(lambda net: net.state_dict(), **_LEGACY)),
    "training checkpoint": (".pth.tar", _torch(_checkpoint)),
    "training checkpoint, torch before 1.6": (".pth.tar", _torch(_checkpoint, **_LEGACY)),
    "weights and their average": (".pt", _torch(_averaged)),
    "DataParallel, compiled": (".pt", _torch(_prefixed("module._orig_mod."))),
    "half precision": (".pt", _torch(lambda net: copy.deepcopy(net).half().state_dict())),
    "quantised": (".pt", _torch(_quantised)),
    "safetensors": (".safetensors", _safetensors),
    "whole module of its own class": (".pt", _torch(lambda net: net)),
    "ONNX": (".onnx", _onnx),
}
"""By name, the ending of the file and what writes it."""
