"""Fits a power law to the cost of evidence, for growing numbers of probes, classes, parameters and pixels.

``python -m benchmarks.costs`` measures processor seconds of one thread on untrained networks, since the time does not
depend on the predictions. The exponent is the slope of the line through the logarithms.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from benchmarks.table import Row, count, told
from ti_core.architectures import build
from ti_core.classifier.scores import Scores
from ti_core.paper.saliency import saliency_maps
from ti_core.settings import Settings
from ti_core.streams import Context, Stream, make_streams
from ti_core.system.memory import keep_freed_memory


def network(side: int = 28, classes: int = 10, widths: tuple[int, ...] = (16, 32)) -> Scores:
    """A plain convolutional network. Its head gets the mean of each channel, so images may have any size."""
    torch.manual_seed(0)
    options = {"channels": widths, "classes": classes, "size": side, "pool": "mean"}
    return Scores(build("convnet", **options), "none")


def least(work: Callable[[], object], rounds: int) -> float:
    """The shortest of several runs, since disturbances only add time. A run is long enough without a warm-up."""
    if rounds > 1:
        work()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """``b`` of ``seconds = a * sizes ** b`` by least squares on the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def grown(
    what: str, sizes: Sequence[int], works: Sequence[Callable[[], object]], rounds: int, of: str
) -> Row:
    """The row of one measurement, with one function of ``works`` per size."""
    seconds = [least(work, rounds) for work in works]
    figures = ", ".join(f"{1000 * s:.0f}" for s in seconds)
    return Row(
        f"{what}: {', '.join(f'{size:,}' for size in sizes)}",
        f"power {exponent(sizes, seconds):.2f} ({figures} ms)",
        of,
    )


def deep(stream: Stream, classes: int) -> Callable[[], object]:
    """The evidence of one deep stream for a network with this number of classes."""
    images, labels = torch.rand(200, 1, 28, 28), torch.arange(200) % classes
    context = Context(images, labels, classes, Settings())
    return lambda: stream.evidence(network(classes=classes), context)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=2)
    rounds = options.parse_args().rounds
    torch.set_num_threads(1)
    keep_freed_memory()
    of = f"shortest of {count(rounds, 'round')}, one thread"
    groups = len(Settings().trigger_kinds)

    def maps(count: int, scores: Scores, side: int = 28) -> Callable[[], object]:
        images = torch.rand(3 * groups * count, 1, side, side)
        return lambda: saliency_maps(scores, images)

    counts, sides, widths = (16, 32, 64, 128, 256), (28, 42, 56, 84, 112), (8, 16, 32, 64)
    fixed = network()
    sized = [network(widths=(w, 2 * w)) for w in widths]
    parameters = [sum(p.numel() for p in n.parameters()) for n in sized]
    rows = [
        grown("saliency, images N", counts, [maps(n, fixed) for n in counts], rounds, of),
        grown(
            "saliency, side of the image, N 16", sides, [maps(16, network(s), s) for s in sides], rounds, of
        ),
        grown("saliency, parameters (widths), N 16", parameters, [maps(16, n) for n in sized], rounds, of),
    ]
    classes = (5, 10, 20, 40)
    for stream in make_streams(Settings()):
        if stream.name != "saliency":
            works = [deep(stream, k) for k in classes]
            rows.append(grown(f"{stream.name} stream, classes", classes, works, 1, "one round, one thread"))
    told("costs", rows)


if __name__ == "__main__":
    main()
