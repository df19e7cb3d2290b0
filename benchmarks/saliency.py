"""Saliency of the probes against one bare forward and backward pass over the same probes.

``python -m benchmarks.saliency``: both are timed in turn in one run; what counts is the ratio.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from ti_core.cache import Cache
from ti_core.memory import keep_freed_memory
from ti_core.pack import load_pack
from ti_core.reference import Reference
from ti_core.saliency import saliency_maps
from ti_core.settings import Settings


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pack", default="mnist")
    options.add_argument("--rounds", type=int, default=40)
    given = options.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    pack = load_pack(given.pack)
    probes = Reference(pack, Settings(), Cache(None)).probes().flat
    print(f"{len(probes)} probes of {tuple(probes.shape[1:])}, {given.rounds} rounds, one thread")
    everything: list[float] = []
    for name in sorted({m.architecture for m in pack.members}):
        scores = pack.scores(next(m for m in pack.members if m.architecture == name))

        def bare(scores: torch.nn.Module = scores) -> None:
            for batch in probes.split(256):
                x = batch.clone().requires_grad_(True)
                torch.autograd.grad(scores(x).amax(1).sum(), x)

        def maps(scores: torch.nn.Module = scores) -> None:
            saliency_maps(scores, probes)

        bare(), maps()
        ratios = [seconds(maps) / seconds(bare) for _ in range(given.rounds)]
        everything.append(statistics.median(ratios))
        print(f"  {name}: {everything[-1]:.3f} times a bare pass")
    print(f"largest ratio: {max(everything):.3f}")


if __name__ == "__main__":
    main()
