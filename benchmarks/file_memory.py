"""Measures how much memory and time it takes to open a file of each format, beside the size of the file.

``python -m benchmarks.file_memory --out FOLDER`` writes a perceptron of so many MB (``--mb``) in each format. It opens
each file in a process of its own, and prints the peak memory beyond what the process held before, as a multiple of the
file. It fails if that is above :data:`MOST`, or
if 100 MB take more than :data:`MOST_SECONDS`. The seconds are those that one core computes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from benchmarks.file_forms import FORMS
from benchmarks.file_keras import KERAS_FORMS
from benchmarks.file_keras_weights import KERAS_WEIGHTS
from benchmarks.memory import held
from benchmarks.table import ROOT
from ti_core.architectures import build
from ti_core.loading import load_model

MOST = 3.0
"""Largest peak, as a multiple of the file."""
MOST_SECONDS = 3.0
"""Processor time for 100 MB."""
LAYERS = 4
"""Hidden layers, all of one width."""


def perceptron(megabytes: int) -> nn.Module:
    """A perceptron whose weights have about this many MB."""
    width = round((megabytes * 1e6 / 4 / (LAYERS - 1)) ** 0.5)
    torch.manual_seed(0)
    with torch.device("meta"):
        net = build("mlp", hidden=(width,) * LAYERS)
    net.to_empty(device="cpu")
    for parameter in net.parameters():
        nn.init.uniform_(parameter, -0.02, 0.02)
    return net.eval()


def _folder(net: nn.Module, path: Path) -> None:
    path.mkdir()
    (path / "config.json").write_text('{"architecture": "mlp", "num_classes": 10}')
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, path / "model.safetensors")


def _zipped(net: nn.Module, path: Path) -> None:
    _folder(net, path.with_suffix(""))
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(path.with_suffix("").iterdir()):
            archive.write(file, file.name)


def _keras(form: str) -> Callable[[nn.Module, Path], None]:
    save = (KERAS_FORMS | KERAS_WEIGHTS)[form][1]
    return lambda net, path: save(nn.Sequential(*net.layers), (28, 28), path)


WRITERS: dict[str, tuple[str, Callable[[nn.Module, Path], None]]] = {
    "safetensors": FORMS["safetensors"],
    "state dict": FORMS["state dict"],
    "state dict, torch before 1.6": FORMS["state dict, torch before 1.6"],
    "ONNX": FORMS["ONNX"],
    "Keras 3, .keras": (".keras", _keras("Keras 3, .keras")),
    "Keras 2, .h5": (".h5", _keras("Keras 2, .h5")),
    "Keras 3, weights alone": (".weights.h5", _keras("Keras 3, weights alone")),
    "model folder": ("", _folder),
    "model folder in a zip archive": (".zip", _zipped),
}


def size_of(path: Path) -> int:
    return sum(file.stat().st_size for file in (path.iterdir() if path.is_dir() else [path]))


def opened(path: Path) -> None:
    """Print what this process held before opening the file, its peak, and the seconds. All is imported before."""
    for name in ("h5py", "ti_core.loading.keras", "ti_core.loading.onnx"):
        import_module(name)
    # The first call of each operation of torch takes memory of its own.
    build("mlp", hidden=(8,))(torch.rand(1, 1, 28, 28))
    before, begun = held("self", "VmRSS"), time.process_time()
    load_model(path)
    print(before, held("self"), time.process_time() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--mb", type=int, default=200)
    parser.add_argument("--only", default="", help="formats whose name holds this")
    parser.add_argument("--open", type=Path, help="only open this file, in this process")
    options = parser.parse_args()
    if options.open is not None:
        opened(options.open)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    net = perceptron(options.mb)
    worst = slowest = 0.0
    print("| form | MB | peak beside the file | s for 100 MB |\n| --- | --- | --- | --- |")
    for number, (form, (ending, save)) in enumerate(WRITERS.items()):
        if options.only not in form:
            continue
        path = options.out / f"memory{number}{ending}"
        save(net, path)
        command = [sys.executable, "-m", "benchmarks.file_memory", "--open", str(path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        before, peak, seconds = map(float, done.stdout.split())
        megabytes = size_of(path) / 1e6
        share = (peak - before) * 1.048576 / megabytes
        worst, slowest = max(worst, share), max(slowest, seconds / megabytes * 100)
        print(f"| {form} | {megabytes:.0f} | {share:.2f} | {seconds / megabytes * 100:.2f} |", flush=True)
    if worst > MOST:
        raise SystemExit(f"A file took {worst:.2f} times its size; the limit is {MOST:.0f}.")
    if slowest > MOST_SECONDS:
        raise SystemExit(f"100 MB took {slowest:.2f} s; the limit is {MOST_SECONDS:.0f} s.")


if __name__ == "__main__":
    main()
