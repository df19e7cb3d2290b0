"""Compares the time of the probes' saliency with one bare forward and backward pass over the same probes.

``python -m benchmarks.saliency`` times both in turn. The result is the ratio.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from benchmarks.table import Row, count, told
from ti_core.paper.saliency import BATCH_VALUES, SMALLEST_BATCH, saliency_maps
from ti_core.reference.pack import load_pack
from ti_core.reference.reference import Reference
from ti_core.settings import Settings
from ti_core.system.cache import Cache
from ti_core.system.memory import keep_freed_memory


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds. With one thread they equal the elapsed seconds on an idle core."""
    start = time.process_time()
    work()
    return time.process_time() - start


def bare_pass(scores: torch.nn.Module, probes: torch.Tensor) -> None:
    """Only the forward and backward pass over the probes, in the same batches."""
    for batch in probes.split(max(SMALLEST_BATCH, BATCH_VALUES // probes[:1].numel())):
        x = batch.clone().requires_grad_(True)
        torch.autograd.grad(scores(x).amax(1).sum(), x)


def ratios(scores: torch.nn.Module, probes: torch.Tensor, rounds: int) -> list[float]:
    """The ratios of the saliency's time to a bare pass's. Their order alternates from round to round."""
    works = (lambda: saliency_maps(scores, probes), lambda: bare_pass(scores, probes))
    for work in works:
        work()
    found = []
    for i in range(rounds):
        taken = {k: seconds(works[k]) for k in ((0, 1), (1, 0))[i % 2]}
        found.append(taken[0] / taken[1])
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pack", default="mnist")
    options.add_argument("--rounds", type=int, default=12)
    given = options.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    pack = load_pack(given.pack)
    probes = Reference(pack, Settings(), Cache(None)).probes().flat
    print(f"{len(probes)} probes of {tuple(probes.shape[1:])}, {given.rounds} rounds, one thread")
    medians = {}
    for name in sorted({m.architecture for m in pack.members}):
        scores = pack.scores(next(m for m in pack.members if m.architecture == name))
        medians[name] = statistics.median(ratios(scores, probes, given.rounds))
        print(f"  {name}: {medians[name]:.3f} times a bare pass", flush=True)
    slowest = max(medians, key=medians.__getitem__)
    rows = [
        Row(
            f"saliency maps of {len(probes)} probes, against a bare forward and backward pass over them",
            f"{statistics.median(medians.values()):.2f} times; largest {medians[slowest]:.2f} ({slowest})",
            f"{len(medians)} architectures, {count(given.rounds, 'round')} of each, one thread",
        )
    ]
    told("saliency", rows)


if __name__ == "__main__":
    main()
