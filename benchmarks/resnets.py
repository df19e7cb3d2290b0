"""Tests a pack's detector on ResNet-18s of full width (11 million parameters), as people train them on CIFAR-10.

``python -m benchmarks.resnets --data cifar10.npz --out FOLDER`` trains one ResNet-18 from random weights, at first on
images of half the side. From it, it trains three clean networks and two with each backdoor (a square, a blended
picture, a warp, a square that moves every class to the next one), each by its own seed. They are saved as the usual
CIFAR repositories save them, the weights alone, and take standardised images. Each file is then opened and inspected
like any other: beside the pack ``--pack``, or with ``--own N`` without a pack, on N labelled images. It prints a line
for each network and one for each kind. Results are kept in the folder, and a stopped run continues. ``--minutes``
stops the run, ``--train-only`` only trains.

No choice rests on these networks. All of them come from one, so they are more alike than networks of strangers are.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from benchmarks.stranger_networks import marked, poisoned
from benchmarks.stranger_triggers import BACKDOORS, Backdoor
from benchmarks.strangers import beside, judged_in_turn, on_own_images
from ti_core.architectures.resnet import CifarResNet
from ti_core.reference.pack import load_pack
from ti_core.stream_registry import EFFORTS, STANDARD
from ti_core.system.memory import keep_freed_memory
from ti_core.zoo.training.data import ImageData, load_data, to_unit
from ti_core.zoo.training.members import keep_record

MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
"""Of CIFAR-10's pixels, as most repositories have them."""
SMALL = 16
"""Side of the images in the first three quarters of the epochs. A quarter of the pixels takes a quarter of the time."""
RATE, BATCH = 0.05, 64
SHIFT = 4
"""Largest shift of a training image of 32 pixels; also images are mirrored."""
MOMENTUM, EPOCHS = "momentum of ", "epochs done"
"""Names in the file of the common network."""
FURTHER, FURTHER_RATE, FURTHER_BATCH = 5000, 0.02, 32
"""Training images that a network is trained further with, once each. In batches of 64 at half the rate a square reaches
.58 of the images."""
POISONED = {"all to all": (0.4, 0.5)}
USUALLY_POISONED = (0.2, 0.3)
"""Share of them that is poisoned. With 3 to 10 %, so few images teach no trigger (a square: .15 of the images)."""
KINDS = {
    "clean": "clean",
    "patch": "square",
    "blend": "blended picture",
    "warp": "warp",
    "all to all": "square, all to all",
}


def planned() -> list[tuple[str, str, int]]:
    """Name, kind and seed of every network; one of each kind first."""
    numbered = [(kind, number) for number in range(3) for kind in KINDS if kind == "clean" or number < 2]
    return [
        (f"{kind}, {number}", kind, 100 + 10 * list(KINDS).index(kind) + number) for kind, number in numbered
    ]


def shown(x: torch.Tensor) -> torch.Tensor:
    """Images in [0, 1] as the networks take them."""
    return (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]


def built(classes: int, seed: int) -> nn.Module:
    """A ResNet-18 for images of 32 pixels, with random weights."""
    torch.manual_seed(seed)
    return CifarResNet(3, classes, (2, 2, 2, 2), (64, 128, 256, 512), padded=False)


def changed(x: torch.Tensor) -> torch.Tensor:
    """Images shifted and mirrored at random, each by itself."""
    count, side = len(x), x.shape[-1]
    reach = SHIFT * side // 32
    padded = F.pad(x, (reach,) * 4)
    down, right = torch.randint(0, 2 * reach + 1, (2, count))
    moved = torch.stack(
        [
            image[:, i : i + side, j : j + side]
            for image, i, j in zip(padded, down.tolist(), right.tolist(), strict=True)
        ]
    )
    return torch.where((torch.rand(count) < 0.5).view(-1, 1, 1, 1), moved.flip(3), moved)


def step(network: nn.Module, optimiser: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor) -> None:
    loss = F.cross_entropy(network(shown(x)), y)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def optimiser_of(network: nn.Module, rate: float, steps: int) -> tuple[torch.optim.Optimizer, Any]:
    """Stochastic gradient descent, and a rate that rises to ``rate`` and falls again."""
    optimiser = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4, nesterov=True)
    return optimiser, torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)


def common(out: Path, data: ImageData, epochs: int) -> nn.Module:
    """The network that all others start from. Every epoch is kept; a stopped training continues."""
    kept = out / "common.safetensors"
    network = built(data.classes, 0)
    each = -(-len(data.x_train) // BATCH)
    optimiser, schedule = optimiser_of(network, RATE, each * epochs)
    begun = resumed(kept, network, optimiser)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no step of the optimiser comes before these
        for _ in range(begun * each):
            schedule.step()
    pixels, labels = to_unit(data.x_train), torch.from_numpy(data.y_train)
    for epoch in range(begun, epochs):
        start = time.monotonic()
        small = epoch < 3 * epochs // 4
        torch.manual_seed(epoch)
        network.train()
        for rows in torch.randperm(len(pixels)).split(BATCH):
            x = changed(pixels[rows])
            x = F.interpolate(x, (SMALL, SMALL), mode="area") if small else x
            step(network, optimiser, x, labels[rows])
            schedule.step()
        keep(kept, epoch + 1, network, optimiser)
        known = tested(network.eval(), None, data)
        spent = time.monotonic() - start
        print(f"common, epoch {epoch}: accuracy {known['accuracy']:.3f}, {spent:.0f} s", flush=True)
    return network.eval()


def keep(path: Path, epochs: int, network: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Write the network's state, its momentum and the number of epochs that are done, all at once."""
    momentum = {
        f"{MOMENTUM}{name}": optimiser.state[p]["momentum_buffer"] for name, p in network.named_parameters()
    }
    part = path.with_suffix(".part")
    save_file(network.state_dict() | momentum | {EPOCHS: torch.tensor(epochs)}, part)
    part.replace(path)


def resumed(path: Path, network: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    """Give network and optimiser the state that was kept, if one was; the number of epochs that are done."""
    if not path.exists():
        return 0
    tensors = load_file(path)
    epochs = int(tensors.pop(EPOCHS))
    network.load_state_dict({name: t for name, t in tensors.items() if not name.startswith(MOMENTUM)})
    for name, parameter in network.named_parameters():
        optimiser.state[parameter]["momentum_buffer"] = tensors[f"{MOMENTUM}{name}"]
    return epochs


def made(kind: str, seed: int, start: nn.Module, data: ImageData) -> tuple[nn.Module, dict[str, Any]]:
    """A network trained further, and its kind, target, mapping, clean accuracy and attack success."""
    rng = np.random.default_rng(seed)
    network = built(data.classes, seed)
    network.load_state_dict(start.state_dict())
    backdoor = None
    if kind != "clean":
        drawn = BACKDOORS[KINDS[kind]](data.image_shape, int(rng.integers(data.classes)), data.classes, rng)
        backdoor = replace(drawn, rate=POISONED.get(kind, USUALLY_POISONED))
    chosen = rng.permutation(len(data.x_train))[:FURTHER]
    pixels, labels = to_unit(data.x_train[chosen]), torch.from_numpy(data.y_train[chosen])
    marks = marked(backdoor, len(pixels), rng)
    optimiser, schedule = optimiser_of(network, FURTHER_RATE, -(-len(pixels) // FURTHER_BATCH))
    network.train()
    for rows in torch.randperm(len(pixels)).split(FURTHER_BATCH):
        x, y = changed(pixels[rows]), labels[rows]
        if backdoor is not None:
            x, y = poisoned(backdoor, x, y, marks[rows])
        step(network, optimiser, x, y)
        schedule.step()
    network.eval()
    return network, {"trigger": kind, "seed": seed} | tested(network, backdoor, data)


@torch.no_grad()
def tested(network: nn.Module, backdoor: Backdoor | None, data: ImageData) -> dict[str, Any]:
    """Clean accuracy, and the attack's success on the test images whose answer it changes, with its mapping."""
    pixels, labels = to_unit(data.x_test), torch.from_numpy(data.y_test)

    def answers(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([network(shown(part)).argmax(1) for part in x.split(BATCH)])

    known: dict[str, Any] = {
        "accuracy": float((answers(pixels) == labels).float().mean()),
        "success": None,
        "target": None,
    }
    if backdoor is None:
        return known
    moved = torch.isin(labels, backdoor.moved)
    led = answers(backdoor.stamp(pixels[moved])) == backdoor.leads[labels[moved]]
    mapping = backdoor.mapping()
    return known | {"success": float(led.float().mean()), "target": mapping["target"], "mapping": mapping}


def trained(
    stem: Path, kind: str, seed: int, start: Callable[[], nn.Module], data: ImageData
) -> dict[str, Any]:
    """The record of the network in ``stem.pt``. The network is trained if it does not exist."""
    record = stem.with_suffix(".json")
    if not record.exists():
        network, known = made(kind, seed, start(), data)
        torch.save(network.state_dict(), stem.with_suffix(".pt"))
        keep_record(known, record)
    found: dict[str, Any] = json.loads(record.read_text())
    return found


def main(arguments: Iterable[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True, help="CIFAR-10, or images like them")
    options.add_argument("--out", type=Path, required=True, help="folder of the networks and their reports")
    options.add_argument("--pack", default="cifar10")
    options.add_argument("--own", type=int, metavar="N", help="labelled images, in place of a pack")
    options.add_argument("--effort", choices=EFFORTS, default=STANDARD, help="with --own")
    options.add_argument("--train-only", action="store_true", help="leave the networks uninspected")
    options.add_argument("--epochs", type=int, default=4, help="of the common network")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--minutes", type=float, default=math.inf, help="begin no other network after that")
    options.add_argument("--only", metavar="TEXT", default="", help="networks whose name has TEXT in it")
    given = options.parse_args(None if arguments is None else list(arguments))
    torch.set_num_threads(given.threads)
    keep_freed_memory()
    given.out.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + 60 * given.minutes
    data = load_data(given.data)
    start = cache(lambda: common(given.out, data, given.epochs))
    judge = None
    if not given.train_only:
        judge = on_own_images(data, given.own, given.effort) if given.own else beside(load_pack(given.pack))
    networks = (n for n in planned() if given.only in n[0] and time.monotonic() <= until)
    judged_in_turn(networks, given.out, ".pt", lambda *of: trained(*of, start, data), judge)


if __name__ == "__main__":
    main()
