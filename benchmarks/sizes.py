"""Forecasts what networks of real size cost at each effort, from one measured pass of each.

``python -m benchmarks.sizes`` measures a pass of each network, as an inspection does. It prints the expected seconds of
each effort. Small networks are compared with their pack, the others with their own classes. The last rows multiply them
for a hub of a million models of that size, in days of a hundred such machines. ``--threads 1`` is for a busy machine.

A forecast is no measurement: ``python -m benchmarks.forecasts`` says how far forecasts are right.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import torch
from torch import nn

from benchmarks.forecasts import as_model
from benchmarks.table import Row, told
from ti_core.architectures.resnet import ResNet
from ti_core.classifier.first_pass import Ahead, FirstLook
from ti_core.classifier.normalisation import fitting
from ti_core.classifier.scores import LARGE
from ti_core.classifier.search import FINALISTS, LARGE_SAMPLE
from ti_core.inspection.budget.costs import MeasuredError, Scales
from ti_core.reference.choosing import understand_with
from ti_core.reference.pack import Member, Pack, load_pack
from ti_core.settings import Settings
from ti_core.stream_registry import EFFORTS

MODELS, MACHINES = 1_000_000, 100
GIVEN = 60
"""Images that the user of a network without a pack gives."""

NETWORKS: dict[str, tuple[Callable[[], nn.Module], int, int]] = {
    "ResNet-18, 32 x 32, 10 classes": (lambda: ResNet(kernel=3), 32, 10),
    "ResNet-50, 224 x 224, 10 classes": (lambda: ResNet(3, 10, (3, 4, 6, 3), bottleneck=True), 224, 10),
    "ResNet-50, 224 x 224, 1,000 classes": (
        lambda: ResNet(3, 1000, (3, 4, 6, 3), bottleneck=True),
        224,
        1000,
    ),
}
"""Makes the network, and the side of its images and the number of its classes."""
PACKS = ("mnist", "cifar10")
"""Packs of which the held-out member of middle size is asked."""


def _size(pack: Pack, member: Member) -> int:
    return sum(p.numel() for p in pack.scores(member).parameters())


def with_pack(name: str) -> dict[str, float]:
    """Expected seconds by effort of a held-out member of a pack, that of middle size."""
    pack = load_pack(name)
    scales = Scales(pack.settings.for_inspection())
    members = sorted((m for m in pack.members if m.held_out), key=lambda m: _size(pack, m))
    with suppress(MeasuredError):
        understand_with(as_model(pack, members[len(members) // 2]), pack, gauge=scales)
    return scales.costs()


def by_itself(network: nn.Module, side: int, classes: int) -> dict[str, float]:
    """Expected seconds by effort of a network without a pack. Random weights take the same time as learnt ones."""
    images = torch.rand(16, 3, side, side)
    scales = Scales(Settings(), alone=True)
    look, ahead = FirstLook(scales), Ahead.of(searched(side), classes, images, side)
    with suppress(MeasuredError), torch.no_grad():
        look.at_one(network.eval(), images[:1], ahead)
        look.at_batch(network, images, ahead)
    return scales.costs()


def searched(side: int) -> int:
    """Images that the search for the preprocessing sends through a network, with every order of colours."""
    sample = LARGE_SAMPLE if side >= LARGE else GIVEN
    return 2 * len(fitting(3)) * sample + FINALISTS * GIVEN


def costs() -> Iterator[tuple[str, dict[str, float]]]:
    """Name of each network and its expected seconds by effort."""
    for name in PACKS:
        yield f"a member of the pack {name}", with_pack(name)
    torch.manual_seed(0)
    for name, (make, side, classes) in NETWORKS.items():
        yield name, by_itself(make(), side, classes)


def days(seconds: float) -> float:
    """Days of :data:`MACHINES` machines for :data:`MODELS` models of that many seconds each."""
    return seconds * MODELS / MACHINES / 86_400


def figure(value: float) -> str:
    """Two digits, or all before the point."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def rows() -> Iterator[Row]:
    found = list(costs())
    of = f"forecast from one pass, {torch.get_num_threads()} threads"
    for name, seconds in found:
        yield Row(name, ", ".join(f"{effort} {figure(seconds[effort])} s" for effort in EFFORTS), of)
    for name, seconds in found:
        said = ", ".join(f"{effort} {figure(days(seconds[effort]))} days" for effort in EFFORTS)
        yield Row(f"a million like it on {MACHINES} such machines: {name}", said, "the same, multiplied")


def main(arguments: Iterable[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--threads", type=int, default=0, help="of torch; by default one a core")
    given = options.parse_args(None if arguments is None else list(arguments))
    if given.threads:
        torch.set_num_threads(given.threads)
    told("sizes", rows())


if __name__ == "__main__":
    main()
