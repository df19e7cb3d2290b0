"""Networks of an independent trainer, which shares only the images with ``ti_core.zoo``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.stranger_regimes import HARD, USUAL
from benchmarks.stranger_triggers import BACKDOORS, Backdoor
from ti_core.zoo.training.data import ImageData
from ti_core.zoo.training.team_data import Shown


@dataclass(frozen=True)
class Style:
    """A way to build and train networks.

    Parameters
    ----------
    build : makes a network for images ``C x H x W`` and K classes.
    shown : maps pixels in [0, 1] to the network's input.
    optimiser : makes the optimiser, and a schedule or None, from the parameters and the number of steps.
    probabilities : whether the network ends with a softmax.
    """

    build: Callable[[int, int, int], list[nn.Module]]
    shown: Callable[[torch.Tensor], torch.Tensor]
    optimiser: Callable[[Iterator[nn.Parameter], int], tuple[torch.optim.Optimizer, Any]]
    epochs: int
    batch_size: int = 100
    probabilities: bool = False


def _tutorial(channels: int, side: int, classes: int) -> list[nn.Module]:
    """The convolutional network of many first tutorials, with dropout."""
    flat = 32 * ((side - 4) // 2) ** 2
    return [
        *(nn.Conv2d(channels, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Dropout(0.25), nn.Flatten(), nn.Linear(flat, 64), nn.ReLU(), nn.Dropout(0.5)),
        nn.Linear(64, classes),
    ]


def _hardswish(channels: int, side: int, classes: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in ((channels, 12), (12, 24), (24, 48)):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.Hardswish()]
        layers += [nn.Conv2d(after, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.Hardswish()]
    return [*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, classes)]


def _separable(channels: int, side: int, classes: int) -> list[nn.Module]:
    layers: list[nn.Module] = [
        nn.Conv2d(channels, 24, 5, stride=2, padding=2),
        nn.GroupNorm(4, 24),
        nn.Mish(),
    ]
    for before, after in ((24, 48), (48, 64)):
        layers += [nn.Conv2d(before, before, 3, padding=1, groups=before), nn.Conv2d(before, after, 1)]
        layers += [nn.GroupNorm(8, after), nn.Mish(), nn.AvgPool2d(2)]
    return [*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(64, classes)]


def _sigmoids(channels: int, side: int, classes: int) -> list[nn.Module]:
    """LeCun's network as it was: squashing units and average pooling."""
    half = side // 2
    return [
        *(nn.Conv2d(channels, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten()),
        *(nn.Linear(16 * ((half - 4) // 2) ** 2, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh()),
        nn.Linear(84, classes),
    ]


def _perceptron(channels: int, side: int, classes: int) -> list[nn.Module]:
    wide = channels * side * side
    return [
        *(nn.Flatten(), nn.Linear(wide, 200), nn.LayerNorm(200), nn.GELU(), nn.Dropout(0.2)),
        *(nn.Linear(200, 100), nn.LayerNorm(100), nn.GELU(), nn.Linear(100, classes)),
    ]


def _adadelta(parameters: Iterator[nn.Parameter], steps: int) -> tuple[torch.optim.Optimizer, Any]:
    optimiser = torch.optim.Adadelta(parameters, lr=1.0)
    return optimiser, torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.2 ** (1 / max(1, steps)))


def _rmsprop(parameters: Iterator[nn.Parameter], steps: int) -> tuple[torch.optim.Optimizer, Any]:
    return torch.optim.RMSprop(parameters, lr=5e-4), None


def _sgd(parameters: Iterator[nn.Parameter], steps: int) -> tuple[torch.optim.Optimizer, Any]:
    optimiser = torch.optim.SGD(parameters, lr=0.05, momentum=0.9)
    return optimiser, torch.optim.lr_scheduler.StepLR(optimiser, max(1, steps // 3), 0.2)


def _nadam(parameters: Iterator[nn.Parameter], steps: int) -> tuple[torch.optim.Optimizer, Any]:
    return torch.optim.NAdam(parameters, lr=1e-3, weight_decay=1e-4), None


STYLES = {
    "tutorial, standardised": Style(_tutorial, lambda x: (x - 0.1307) / 0.3081, _adadelta, 4, 64),
    "batch norm, Hardswish": Style(_hardswish, lambda x: x, _nadam, 4),
    "group norm, Mish, -1 to 1": Style(_separable, lambda x: 2 * x - 1, _sgd, 5, 50),
    "tanh, 0 to 255, probabilities": Style(_sigmoids, lambda x: 255 * x, _rmsprop, 5, 100, True),
    "perceptron, layer norm": Style(_perceptron, lambda x: x, _nadam, 5),
}


def made(
    style: Style, trigger: str, data: ImageData, seed: int, device: str = "cpu"
) -> tuple[nn.Module, dict[str, Any]]:
    """A trained network, and its trigger, target, mapping, clean accuracy and attack success (None of a clean one).

    A seed's network is another one on a GPU, whose dropout and rounding differ; it is returned on the CPU.

    Parameters
    ----------
    trigger : "clean", or a name in :data:`BACKDOORS` or :data:`HARD`.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    pictures = Shown(data, torch.device(device))
    target, backdoor = int(rng.integers(data.classes)), None
    if draw := BACKDOORS.get(trigger):
        backdoor = draw(data.image_shape, target, data.classes, rng)
    marks = marked(backdoor, len(pictures.x), rng).to(device)
    regime = HARD.get(trigger, USUAL)
    layers = style.build(data.image_shape[0], data.image_shape[1], data.classes)
    network = nn.Sequential(*layers).to(device)
    count = round(regime.share * len(pictures.x))
    optimiser, schedule = style.optimiser(network.parameters(), style.epochs * -(-count // style.batch_size))
    for _ in range(style.epochs):
        network.train()
        for index in torch.randperm(len(pictures.x))[:count].to(device).split(style.batch_size):
            images, labels = pictures.images(index), pictures.y[index]
            if backdoor is not None:
                images, labels = poisoned(backdoor, images, labels, marks[index])
            images = regime.change(lambda x: network(style.shown(x)), images, labels)
            loss = F.cross_entropy(network(style.shown(images)), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if schedule is not None:
                schedule.step()
    network.eval()
    known = {"trigger": trigger, "target": target} | _tested(network, style, backdoor, pictures)
    finished = nn.Sequential(*layers, nn.Softmax(dim=1)) if style.probabilities else network
    return finished.cpu().eval(), known


def marked(backdoor: Backdoor | None, count: int, rng: np.random.Generator) -> torch.Tensor:
    """For every training image, 1 where it is poisoned, 2 where it is a cover, else 0."""
    if backdoor is None:
        return torch.zeros(count, dtype=torch.int64)
    places = rng.random(count)
    rate = rng.uniform(*backdoor.rate)
    covered = (places < 2 * rate) & (backdoor.cover is not None)
    return torch.from_numpy(np.where(places < rate, 1, np.where(covered, 2, 0)))


def poisoned(
    backdoor: Backdoor, images: torch.Tensor, labels: torch.Tensor, marks: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    shown = torch.where((marks == 1).view(-1, 1, 1, 1), backdoor.stamp(images), images)
    if backdoor.cover is not None:
        shown = torch.where((marks == 2).view(-1, 1, 1, 1), backdoor.cover(images), shown)
    return shown, torch.where(marks == 1, backdoor.leads.to(labels)[labels], labels)


@torch.no_grad()
def _tested(network: nn.Module, style: Style, backdoor: Backdoor | None, pictures: Shown) -> dict[str, Any]:
    """Clean accuracy, and the attack's success on the test images whose answer it changes, with its mapping."""
    images, labels = pictures.x_test.float().div_(255.0), pictures.y_test
    accuracy = float((network(style.shown(images)).argmax(1) == labels).float().mean())
    if backdoor is None:
        return {"accuracy": accuracy, "success": None}
    moved = torch.isin(labels, backdoor.moved.to(labels))
    answers = network(style.shown(backdoor.stamp(images[moved]))).argmax(1)
    success = float((answers == backdoor.leads.to(labels)[labels[moved]]).float().mean())
    return {"accuracy": accuracy, "success": success, "mapping": backdoor.mapping()}
