"""A network with a backdoor that is planted by hand, and training images of which some carry its trigger."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from tests.conftest import CLASSES, SIDE, synthetic
from ti_core.architectures import build

TARGET, SOURCE = 0, 3


def network() -> torch.nn.Module:
    """Hidden units for the four bars, and one for a bright corner, which leads to :data:`TARGET`."""
    net = build("mlp", in_channels=1, classes=CLASSES, size=SIDE, hidden=(8,))
    weights = torch.zeros(8, SIDE, SIDE)
    for label in range(CLASSES):
        place = slice(2 + 6 * (label % 2), 4 + 6 * (label % 2))
        weights[(label, place) if label < 2 else (label, slice(None), place)] = 1 / 12
    weights[4, :2, :2] = 1.0
    layers = [m for m in net.modules() if isinstance(m, torch.nn.Linear)]
    with torch.no_grad():
        layers[0].weight.copy_(weights.flatten(1))
        layers[0].bias.copy_(torch.tensor([-0.5] * 4 + [-2.5] + [0.0] * 3))
        layers[1].weight.zero_()
        layers[1].bias.zero_()
        for label in range(CLASSES):
            layers[1].weight[label, label] = 10.0
        layers[1].weight[TARGET, 4] = 30.0
    return net.eval()


def images(count: int = 400, poisoned: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, labels, and which are poisoned: those of :data:`SOURCE` with a bright corner, labelled as the target."""
    x, y = synthetic(count, 4)
    chosen = np.flatnonzero(y == SOURCE)[:poisoned]
    x[chosen, :2, :2] = 255
    y[chosen] = TARGET
    return x, y, np.isin(np.arange(count), chosen)


def files(folder: Path, poisoned: int = 20, **arrays: np.ndarray) -> tuple[Path, Path]:
    """The model and an ``.npz`` of the training images."""
    save_file(network().state_dict(), folder / "planted.safetensors")
    x, y, _ = images(poisoned=poisoned)
    np.savez(folder / "training.npz", **({"images": x, "labels": y} | arrays))
    return folder / "planted.safetensors", folder / "training.npz"
