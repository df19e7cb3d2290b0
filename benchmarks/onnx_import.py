"""Compares the speed of imported ONNX networks with the modules that they were exported from.

``python -m benchmarks.onnx_import`` prints the time to open an ONNX ResNet-18. For each network it prints the time of a
forward and backward pass through the native and the imported module, measured in turns, and their ratio. An exporter
may fold batch norms into convolutions, which the native module keeps. The ratio with the batch norms kept is the fair
comparison and is printed first.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.table import Row, told
from ti_core.loading.onnx import load_onnx


class BasicBlock(nn.Module):
    """K. He et al., "Deep residual learning for image recognition", CVPR 2016."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.shortcut = (
            nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))
            if stride != 1 or c_in != c_out
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        out: Tensor = torch.relu(y + self.shortcut(x))
        return out


def resnet18(stem: nn.Module) -> nn.Module:
    """ResNet-18 behind the given stem of 64 channels."""
    widths = [
        (64, 64, 1),
        (64, 64, 1),
        (64, 128, 2),
        (128, 128, 1),
        (128, 256, 2),
        (256, 256, 1),
        (256, 512, 2),
    ]
    blocks = [BasicBlock(*w) for w in [*widths, (512, 512, 1)]]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10)]
    return nn.Sequential(stem, nn.BatchNorm2d(64), nn.ReLU(), *blocks, *head)


def small_convnet() -> nn.Module:
    """Two convolutions and a linear layer. Such a small network shows the overhead of the interpreter."""
    body = [
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
    ]
    return nn.Sequential(*body, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 49, 10))


def export(module: nn.Module, images: Tensor, path: Path, *, keep_batch_norm: bool) -> Path:
    """Export for any batch size, with torch's older exporter, which can keep batch norms."""
    mode = torch.onnx.TrainingMode.PRESERVE if keep_batch_norm else torch.onnx.TrainingMode.EVAL
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (images,),
            path,
            dynamo=False,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": {0: "n"}},
            training=mode,
            do_constant_folding=not keep_batch_norm,
        )
    return path


def seconds(module: nn.Module, images: Tensor) -> float:
    """One forward and backward pass to the pixels."""
    x = images.clone().requires_grad_()
    start = time.process_time()
    module(x).sum().backward()
    return time.process_time() - start


def compare(
    native: nn.Module, imported: nn.Module, images: Tensor, rounds: int
) -> tuple[float, float, float]:
    """Median seconds of each, and the median of the ratios of neighbouring runs."""
    for module in (native, imported):
        seconds(module, images)
    pairs = []
    for i in range(rounds):
        order = (native, imported) if i % 2 else (imported, native)
        taken = {id(module): seconds(module, images) for module in order}
        pairs.append((taken[id(native)], taken[id(imported)]))
    medians = [statistics.median(times) for times in zip(*pairs, strict=True)]
    return medians[0], medians[1], statistics.median(b / a for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.manual_seed(0)
    torch.set_num_threads(1)
    networks = {
        "ResNet-18, 16 x 3 x 32 x 32": (
            resnet18(nn.Conv2d(3, 64, 3, 1, 1, bias=False)),
            torch.rand(16, 3, 32, 32),
        ),
        "small convnet, 32 x 1 x 28 x 28": (small_convnet(), torch.rand(32, 1, 28, 28)),
        "small convnet, 1 x 1 x 28 x 28": (small_convnet(), torch.rand(1, 1, 28, 28)),
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (module, images) in networks.items():
            module.eval().requires_grad_(False)
            for keep in (True, False):
                example = torch.rand(2, *images.shape[1:])
                path = export(module, example, Path(folder) / "model.onnx", keep_batch_norm=keep)
                begin, start = time.perf_counter(), time.process_time()
                imported = load_onnx(path).module
                opened, busy = time.perf_counter() - begin, time.process_time() - start
                torch.testing.assert_close(imported(images), module(images), rtol=1e-3, atol=1e-3)
                a, b, ratio = compare(module, imported, images, rounds if "ResNet" in name else 10 * rounds)
                kind = "as it is" if keep else "folded"
                print(
                    f"{name}, {kind}: native {1e3 * a:.2f} ms, imported {1e3 * b:.2f} ms, ratio {ratio:.3f}; "
                    f"opened in {opened:.2f} s ({busy:.2f} s of processor time)",
                    flush=True,
                )
                rows.append(
                    Row(
                        f"{name}, batch norms {kind}: imported against its own network",
                        f"{ratio:.2f} times, opened in {busy:.2f} s of the processor",
                        f"median of {rounds if 'ResNet' in name else 10 * rounds} rounds, one thread",
                    )
                )
    told("onnx_import", rows)


if __name__ == "__main__":
    main()
