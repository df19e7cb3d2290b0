"""Times Neural Cleanse at its published settings for one class, and the deep streams for all classes.

``python -m benchmarks.cleansing`` is the short form for ``make bench``. It measures processor seconds of one thread on
one held-out member of each label. ``python -m benchmarks.neural_cleanse`` searches every class of many members and also
compares the areas under the ROC curve.
"""

from __future__ import annotations

import argparse
import statistics

import torch

from benchmarks.neural_cleanse import BATCHES, smallest_mask
from benchmarks.saliency import seconds
from benchmarks.table import Row, middle, told
from ti_core.reference.pack import load_pack
from ti_core.reference.reference import Reference
from ti_core.settings import Settings
from ti_core.streams import make_streams
from ti_core.system.cache import Cache
from ti_core.system.memory import keep_freed_memory


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pack", default="mnist")
    options.add_argument("--batches", type=int, default=BATCHES, help="batches that a step goes through")
    given = options.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    pack = load_pack(given.pack)
    context = Reference(pack, Settings(), Cache(None)).context(None)
    streams = [s for s in make_streams(Settings()) if s.name != "saliency"]
    ours, theirs = [], []
    for label in ("clean", "blend", "patch"):
        member = next(m for m in pack.members if m.held_out and m.label == label)
        scores, target = pack.scores(member), member.target_class or 0
        generator = torch.Generator().manual_seed(0)
        ours.append(seconds(lambda s=scores: [stream.evidence(s, context) for stream in streams]))
        theirs.append(
            seconds(
                lambda s=scores, t=target, g=generator: smallest_mask(s, context.images, t, given.batches, g)
            )
        )
        print(f"  {member.id}: {theirs[-1]:.1f} s for one class, {ours[-1]:.1f} s for all", flush=True)
    of = f"{len(ours)} held-out members of {pack.name}, one thread, seconds of the processor"
    ratio = statistics.median(a / b for a, b in zip(theirs, ours, strict=True))
    rows = [
        Row(f"the deep streams, all {context.classes} classes", middle(ours, "s", 1), of),
        Row("Neural Cleanse at its published settings, one class", middle(theirs, "s", 1), of),
        Row("one class of Neural Cleanse over all classes of the deep streams", f"{ratio:.1f} times", of),
    ]
    told("cleansing", rows)


if __name__ == "__main__":
    main()
