"""Compares inspections without a pack whose searches compute gradients in bfloat16 with those in single precision.

``python -m benchmarks.rounding`` inspects fitted members of packs both ways. It prints by how much the probability
changes, which verdicts change, and the ratio of the processor times. ``--gradients`` compares only the gradients of a
ResNet-18 of full width with random weights. Where the processor has no bfloat16, nothing is compared.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.reference_free import drawn, images_for
from ti_core.architectures import ARCHITECTURES
from ti_core.classifier.fast.copying import fast_copy
from ti_core.classifier.fast.rounding import has_bfloat16
from ti_core.inspection.without_pack import inspect_alone
from ti_core.reconstruction.model import Model
from ti_core.reference.pack import Member, Pack, load_pack
from ti_core.streams.searches.search import ascent

ROUNDING = "ti_core.classifier.fast.rounding"
IMAGES = 60


@dataclass(frozen=True)
class Outcome:
    verdict: str
    probability: float
    target: int | None
    seconds: float


def outcome(member: Member, pack: Pack, rounded: bool) -> Outcome:
    """One inspection without the pack, on a draw of its images."""
    network, shape = pack.scores(member).network, pack.input_shape
    count = sum(p.numel() for p in network.parameters())
    model = Model(
        network, member.id, "0" * 64, "member", member.architecture, count, len(pack.class_names), shape
    )
    own = images_for(member, pack, IMAGES, True)
    with in_bfloat16(rounded):
        start = time.process_time()
        report = inspect_alone(model, own).report
        seconds = time.process_time() - start
    return Outcome(report.verdict, report.probability, report.target_class, seconds)


@contextmanager
def in_bfloat16(rounded: bool) -> Iterator[None]:
    """All gradients in bfloat16, whether it is quicker or not, or none."""
    with patch(f"{ROUNDING}.has_bfloat16", lambda: rounded), patch(f"{ROUNDING}.QUICKER", math.inf):
        yield


def told(pack: str, found: list[tuple[str, Outcome, Outcome]]) -> str:
    """One line on a pack's members."""
    changes = [abs(a.probability - b.probability) for _, a, b in found]
    turned = [f"{name} {a.verdict} to {b.verdict}" for name, a, b in found if a.verdict != b.verdict]
    targets = sum(a.target != b.target for _, a, b in found if "backdoored" == a.verdict == b.verdict)
    ratio = sum(a.seconds for _, a, _ in found) / sum(b.seconds for _, _, b in found)
    return (
        f"{pack}: {len(found)} networks; the probability changes by at most {max(changes):.3f} (median"
        f" {np.median(changes):.4f}); verdicts that change: {', '.join(turned) or 'none'}; targets that change:"
        f" {targets}; bfloat16 takes 1/{ratio:.2f} of the time"
    )


def gradients(rounds: int = 5) -> str:
    """The times of a gradient of a ResNet-18 (width 64) on 16 images of 32 x 32 pixels, in both precisions."""
    torch.manual_seed(0)
    images = torch.rand(16, 1, 3, 32, 32)
    network = ARCHITECTURES["preact_resnet"](3, 10).eval()
    seconds: dict[bool, list[float]] = {False: [], True: []}
    copies = {}
    for rounded in seconds:
        with in_bfloat16(rounded):
            copies[rounded] = fast_copy(network, images[:, 0], rounded)
    for _ in range(rounds):
        for rounded, copy in copies.items():
            start = time.process_time()
            ascent(copy, images, torch.arange(16) % 10)
            seconds[rounded].append(time.process_time() - start)
    exact, fast = (float(np.median(seconds[rounded])) for rounded in (False, True))
    return f"ResNet-18, 16 images: a gradient in bfloat16 takes 1/{exact / fast:.2f} of the time in single precision"


def main(arguments: Iterable[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--packs", nargs="+", default=["mnist", "cifar10"])
    options.add_argument("--members", type=int, default=10, help="as many clean and as many trojaned ones")
    options.add_argument("--gradients", action="store_true", help="compare gradients only")
    given = options.parse_args(None if arguments is None else list(arguments))
    if not has_bfloat16():
        print("This processor has no bfloat16.")
        return
    torch.set_num_threads(1)
    print(gradients(), flush=True)
    for name in () if given.gradients else given.packs:
        pack, found = load_pack(name), []
        for member in drawn(pack, given.members, held_out=False):
            found.append((member.id, outcome(member, pack, False), outcome(member, pack, True)))
            print(member.id, *found[-1][1:], flush=True)
        print(told(name, found), flush=True)


if __name__ == "__main__":
    main()
