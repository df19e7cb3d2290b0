"""How long ``inspect`` takes on a bundled sample, from the start of the process to its end.

``python -m benchmarks.start``: with the pack's baseline and an empty cache, again from the cache, and at a seed that
the pack's baseline does not serve.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = sorted((ROOT / "assets" / "samples").glob("mnist-*.safetensors"))
SALIENCY = ("--set", "streams=saliency")


def run(sample: Path, cache: str, *extra: str) -> float:
    """Seconds for one process."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "ti_core", "inspect", str(sample), *extra],
        cwd=ROOT,
        env=os.environ | {"TROJANINTERPRET_CACHE": cache},
        capture_output=True,
        text=True,
    )
    if done.returncode == 2:
        raise SystemExit(done.stderr)
    return time.perf_counter() - start


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=1)
    rounds = options.parse_args().rounds
    figures: dict[str, list[float]] = {}
    for _ in range(rounds):
        for sample in SAMPLES:
            with tempfile.TemporaryDirectory() as cache:
                for name, extra in (
                    ("paper's stream, pack's baseline", SALIENCY),
                    ("all streams, pack's baseline", ()),
                    ("all streams, same model again", ()),
                    ("paper's stream, reference computed (another seed)", (*SALIENCY, "--set", "seed=1")),
                ):
                    figures.setdefault(name, []).append(run(sample, cache, *extra))
    print(
        f"seconds from process start to end, {len(SAMPLES)} samples, {rounds} rounds, {os.cpu_count()} cores"
    )
    for name, seconds in figures.items():
        print(f"  {name}: median {statistics.median(seconds):.1f}, longest {max(seconds):.1f}")


if __name__ == "__main__":
    main()
