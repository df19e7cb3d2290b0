"""Compares patterns that are free on a grid with patterns that are free in every pixel, on large images.

The networks that choices rest on are trained by ``python -m benchmarks.transfer --data cifar10.npz --out FOLDER
--side 112 --first 100 --train-only``. ``python -m benchmarks.grids --data cifar10.npz --out FOLDER --side 112`` asks
streams about each of them, without reference models. It prints how far the target stands out in both searches, how far
the next class does (of a clean network: the two first classes), in units of the usual, and the processor time.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.strangers import stem_of
from benchmarks.transfer import DEVELOPED, GIVEN, SIDE, enlarged, planned
from ti_core.classifier.scores import Scores
from ti_core.detector.own_classes import standing_out
from ti_core.loading import load_model
from ti_core.settings import Settings
from ti_core.streams import Context, stream_class
from ti_core.streams.searches import search
from ti_core.streams.searches.sparing import Sparing
from ti_core.system.memory import keep_freed_memory
from ti_core.zoo.training.data import load_data

LEVEL = 1
"""How far the searches are shortened: as for a network of this kind at 224 pixels."""
SEARCHES = {"grid": search.GRID, "every pixel": 10**6}
"""By name, the free pixels of a pattern along the image's side."""


def compared(stream: str, scores: Scores, context: Context, target: int | None) -> list[str]:
    """By search, how far the target and the next class stand out, and the seconds."""
    told = []
    for name, grid in SEARCHES.items():
        with patch.object(search, "GRID", grid):
            asked = stream_class(stream)(context.settings)
            asked.sparing = Sparing(alone=True, level=LEVEL, large=name == "grid")
            start = time.process_time()
            own = standing_out(asked, asked.evidence(scores, context))
            seconds = time.process_time() - start
        order = np.argsort(-own)
        first = int(order[0]) if target is None else target
        following = own[next(c for c in order if c != first)]
        told.append(f"{name} {own[first]:.2f} and {following:.2f} ({seconds:.0f} s)")
    return told


def main(arguments: Iterable[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True, help="the data set of the networks")
    options.add_argument("--out", type=Path, required=True, help="folder of the networks")
    options.add_argument("--side", type=int, default=SIDE, help="of the images, in pixels")
    options.add_argument("--first", type=int, default=DEVELOPED, help="first seed of the networks")
    options.add_argument("--streams", nargs="+", default=["windowed", "universal", "inversion"])
    options.add_argument("--only", metavar="TEXT", default="", help="networks whose name has TEXT in it")
    options.add_argument("--minutes", type=float, default=math.inf, help="begin no other network after that")
    given = options.parse_args(None if arguments is None else list(arguments))
    torch.set_num_threads(1)
    keep_freed_memory()
    until, data = time.monotonic() + 60 * given.minutes, load_data(given.data)
    images, labels = enlarged(data.x_test[:GIVEN], given.side), torch.from_numpy(data.y_test[:GIVEN])
    for name, _, _ in planned(given.first):
        stem = stem_of(given.out, name)
        if given.only not in name or not stem.with_suffix(".json").exists() or time.monotonic() > until:
            continue
        known = json.loads(stem.with_suffix(".json").read_text())
        scores = Scores(load_model(stem.with_suffix(".onnx")).module, "none")
        context = Context(images, labels, data.classes, Settings(normalisation="none"), rounded=True)
        for stream in given.streams:
            print(name, stream, *compared(stream, scores, context, known["target"]), sep=", ", flush=True)


if __name__ == "__main__":
    main()
