"""Ways in which people save a network, for ``benchmarks.files``. Another one is one entry of ``FORMS``."""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import zipfile
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
    shape = (1, *_image(net))
    torch.onnx.export(net, (torch.rand(shape),), str(path), dynamo=True, external_data=False, verbose=False)


def _attacked(net: nn.Module) -> dict[str, Any]:
    """What BackdoorBench keeps of an attack: the weights among names, numbers and descriptions of data."""
    return {
        "model_name": "network",
        "num_classes": 10,
        "model": net.state_dict(),
        "data_path": "./data",
        "img_size": (32, 32, 3),
        "clean_data": "cifar10",
        "bd_train": {"bd_data_container": {"save_path": "./bd"}, "original_index_array": np.arange(5)},
        "bd_test": None,
    }


def _with_generator(net: nn.Module) -> dict[str, Any]:
    """What WaNet keeps: the classifier, its optimiser, and the grids that warp images."""
    optimiser = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    return {
        "netC": net.state_dict(),
        "schedulerC": torch.optim.lr_scheduler.MultiStepLR(optimiser, [100, 200]).state_dict(),
        "optimizerC": optimiser.state_dict(),
        "best_clean_acc": torch.tensor(94.2),
        "epoch_current": 12,
        "identity_grid": torch.rand(1, 32, 32, 2),
        "noise_grid": torch.rand(1, 32, 32, 2),
    }


def _image(net: nn.Module) -> tuple[int, int, int]:
    """The shape of an image that a network takes."""
    first = next(m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear)))
    coloured = isinstance(first, nn.Conv2d) and first.in_channels == 3
    return (3, 32, 32) if coloured else (1, 28, 28)


def _timm(net: nn.Module) -> dict[str, Any]:
    shape = _image(net)
    cfg = {"mean": [0.0] * shape[0], "std": [1.0] * shape[0], "input_size": list(shape)}
    return {"architecture": "network", "pretrained_cfg": cfg}


def _bare(net: nn.Module) -> dict[str, Any]:
    """The configuration of a network of anybody's own, whose options it holds."""
    return {"width": 16}


def _folder(config: Callable[[nn.Module], dict[str, Any]]) -> Save:
    def save(net: nn.Module, path: Path) -> None:
        path.mkdir(exist_ok=True)
        (path / "config.json").write_text(json.dumps(config(net)))
        (path / "README.md").write_text("# A model\n")
        _safetensors(net, path / "model.safetensors")

    return save


def _zipped(config: Callable[[nn.Module], dict[str, Any]]) -> Save:
    def save(net: nn.Module, path: Path) -> None:
        with tempfile.TemporaryDirectory() as held:
            folder = Path(held) / "model"
            _folder(config)(net, folder)
            with zipfile.ZipFile(path, "w") as archive:
                for file in sorted(folder.iterdir()):
                    archive.write(file, f"model/{file.name}")

    return save


_LEGACY = {"_use_new_zipfile_serialization": False}

FORMS: dict[str, tuple[str, Save]] = {
    "state dict": (".pt", _torch(lambda net: net.state_dict())),
    "state dict, torch before 1.6": (".pth", _torch(lambda net: net.state_dict(), **_LEGACY)),
    "training checkpoint": (".pth.tar", _torch(_checkpoint)),
    "training checkpoint, torch before 1.6": (".pth.tar", _torch(_checkpoint, **_LEGACY)),
    "weights and their average": (".pt", _torch(_averaged)),
    "attack_result.pt of BackdoorBench": (".pt", _torch(_attacked)),
    "checkpoint of WaNet": (".pth.tar", _torch(_with_generator)),
    "DataParallel, compiled": (".pt", _torch(_prefixed("module._orig_mod."))),
    "half precision": (".pt", _torch(lambda net: copy.deepcopy(net).half().state_dict())),
    "quantised": (".pt", _torch(_quantised)),
    "safetensors": (".safetensors", _safetensors),
    "whole module of its own class": (".pt", _torch(lambda net: net)),
    "ONNX": (".onnx", _onnx),
    "model folder of timm": ("", _folder(_timm)),
    "model folder without preparation": ("", _folder(_bare)),
    "model folder in a zip archive": (".zip", _zipped(_bare)),
}
"""By name, the ending of the file and what writes it."""
