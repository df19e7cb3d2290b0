"""Times ``inspect`` on a bundled sample, from the start of the process to its end.

``python -m benchmarks.start`` measures it with the pack's baseline and an empty cache, with a filled cache, and at a
seed without a baseline. For comparison it also times a bare forward and backward pass of the same network over the same
probes.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.table import ROOT, Row, Times, count, middle, told

SAMPLES = sorted((ROOT / "assets" / "samples").glob("mnist-*.safetensors"))
SALIENCY = ("--set", "streams=saliency")


def run(times: Times, sample: Path, cache: str, *extra: str) -> None:
    """Run one inspection in a process of its own, and add its times."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "ti_core", "inspect", str(sample), *extra],
        cwd=ROOT,
        env=os.environ | {"TROJANINTERPRET_CACHE": cache},
        capture_output=True,
        text=True,
    )
    if done.returncode == 2:
        raise SystemExit(done.stderr)
    times.clock.append(time.perf_counter() - start)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    times.processor.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def bare_passes(sample: Path, rounds: int = 5) -> float:
    """Processor seconds of a bare forward and backward pass of the sample over the pack's probes."""
    import torch

    from benchmarks.saliency import bare_pass, seconds
    from ti_core.classifier.understand import understand
    from ti_core.loading import load_model
    from ti_core.reference.choosing import choose_pack_for
    from ti_core.reference.reference import Reference
    from ti_core.settings import Settings
    from ti_core.system.cache import Cache

    torch.set_num_threads(1)
    model = load_model(sample)
    pack = choose_pack_for(model)
    scores = understand(model, pack.images, pack.labels, len(pack.class_names)).scores
    probes = Reference(pack, Settings(), Cache(None)).probes().flat
    bare_pass(scores, probes)
    return statistics.median(seconds(lambda: bare_pass(scores, probes)) for _ in range(rounds))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=2)
    rounds = options.parse_args().rounds
    paper, everything, again, other = Times(), Times(), Times(), Times()
    bare, beyond = [], []
    for _ in range(rounds):
        for sample in SAMPLES:
            with tempfile.TemporaryDirectory() as cache:
                run(paper, sample, cache, *SALIENCY)
            bare.append(bare_passes(sample))
            beyond.append(paper.processor[-1] - 1.25 * bare[-1])
    with tempfile.TemporaryDirectory() as cache:
        run(everything, SAMPLES[-1], cache)
        run(again, SAMPLES[-1], cache)
        run(other, SAMPLES[-1], cache, *SALIENCY, "--set", "seed=1")
    runs, once = f"{len(SAMPLES)} samples, {count(rounds, 'round')}", "one sample"
    rows = [
        paper.row(
            "the paper's stream, empty cache, the pack's baseline, from the process's start to its end", runs
        ),
        Row(
            "a bare forward and backward pass of the same networks over the probes",
            middle(bare, "s", 3),
            runs,
        ),
        Row("the paper's stream beyond 1.25 bare passes", f"{middle(beyond, 's')} of the processor", runs),
        everything.row("all streams, empty cache, the pack's baseline", once),
        again.row("all streams, the same model again", once),
        other.row("the paper's stream, the reference models' evidence computed (another seed)", once),
    ]
    told("start", rows)


if __name__ == "__main__":
    main()
