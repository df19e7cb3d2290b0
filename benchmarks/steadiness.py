"""How far verdicts depend on the processor: the same members under other vector instructions and numbers of threads.

``python -m benchmarks.steadiness --pack mnist --members 10 --out FOLDER`` computes the evidence of held-out members
anew under each of :data:`WAYS`, in a process of its own, and judges it with the pack's detector. It compares the
results with those of the evidence that the pack holds, and prints the largest changes and every verdict that changed.
Results are kept in the folder, and a stopped run continues. ``--minutes`` stops the run and prints its results.

``ATEN_CPU_CAPABILITY`` chooses PyTorch's own kernels. The libraries behind it (oneDNN, MKL) are told the same by
variables of their own.

``--rounded`` computes gradients in bfloat16 instead, with one thread and the processor's own instructions.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ti_core.reference.pack import load_pack
from ti_core.reference.reference import Reference
from ti_core.reference.verify import Verdicts
from ti_core.streams import make_streams
from ti_core.system.cache import Cache

LIBRARIES = {
    "default": {"ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    "avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "avx512": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "MKL_ENABLE_INSTRUCTIONS": "AVX512"},
}
"""By the value of ``ATEN_CPU_CAPABILITY``, what the other libraries are told."""
WAYS = tuple((capability, threads) for capability in LIBRARIES for threads in (1, 2))
"""Vector instructions and number of threads."""


ROUNDED = "rounded-1"


def judged(name: str, chosen: int, out: Path, until: float, rounded: bool) -> None:
    """Write a line of JSON for each of the chosen held-out members, with the evidence computed in this process."""
    pack = load_pack(name)
    reference = Reference(pack, pack.settings, Cache(None))
    verdicts = Verdicts(reference)
    known = {json.loads(line)["id"] for line in out.read_text().splitlines()} if out.exists() else set()
    context = replace(reference.context(reference.probes()), rounded=rounded)
    for index in members(len(pack.where(fitted=False)), chosen, pack.where(fitted=False)):
        member = pack.members[index]
        if member.id in known or time.monotonic() > until:
            continue
        fresh = {s.name: s.evidence(pack.scores(member), context) for s in make_streams(pack.settings)}
        with out.open("a") as file:
            file.write(json.dumps({"id": member.id, **verdicts.of(fresh, member)}) + "\n")


def members(count: int, chosen: int, of: Any) -> list[int]:
    """So many places, evenly spread, of those in ``of``."""
    return [int(of[i]) for i in np.unique(np.linspace(0, count - 1, min(chosen, count)).round().astype(int))]


def compared(name: str, folder: Path) -> list[str]:
    """One line for each way of computing."""
    pack = load_pack(name)
    verdicts = Verdicts(Reference(pack, pack.settings, Cache(None)))
    index = {m.id: i for i, m in enumerate(pack.members)}
    lines = []
    for capability, threads in (*WAYS, ("rounded", 1)):
        path = folder / f"{name}-{capability}-{threads}.jsonl"
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        changes, scores, turned = [], [], []
        for own in found:
            recorded = verdicts.recorded(index[own["id"]])
            changes.append(abs(own["probability"] - recorded["probability"]))
            scores.append(abs(own["score"] - recorded["score"]))
            if own["verdict"] != recorded["verdict"]:
                turned.append(f"{own['id']} {recorded['verdict']} to {own['verdict']}")
        if found:
            lines.append(
                f"{name}, {capability}, {threads} thread{'s' * (threads > 1)}: {len(found)} members; the probability"
                f" changes by at most {max(changes):.3f} (median {np.median(changes):.4f}), the joint score by at most"
                f" {max(scores):.2f} deviations; verdicts that change: {', '.join(turned) or 'none'}"
            )
    return lines


def main(arguments: Iterable[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pack", default="mnist")
    options.add_argument("--members", type=int, default=10, help="held-out members, evenly spread")
    options.add_argument("--out", type=Path, required=True, help="folder of the results")
    options.add_argument(
        "--minutes", type=float, default=float("inf"), help="begin no other member after that"
    )
    options.add_argument("--way", default=None, help=argparse.SUPPRESS)
    options.add_argument("--rounded", action="store_true", help="gradients in bfloat16")
    given = options.parse_args(None if arguments is None else list(arguments))
    given.out.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + 60 * given.minutes
    way = ROUNDED if given.rounded else given.way
    if way:
        torch.set_num_threads(int(way.split("-")[1]))
        judged(given.pack, given.members, given.out / f"{given.pack}-{way}.jsonl", until, given.rounded)
    if given.rounded:
        print("\n".join(compared(given.pack, given.out)))
    if way:
        return
    for capability, threads in WAYS:
        environment = os.environ | {"ATEN_CPU_CAPABILITY": capability, "OMP_NUM_THREADS": str(threads)}
        environment |= LIBRARIES[capability]
        left = max(0.0, (until - time.monotonic()) / 60)
        command = [
            sys.executable,
            "-m",
            "benchmarks.steadiness",
            "--pack",
            given.pack,
            "--out",
            str(given.out),
        ]
        command += [
            "--members",
            str(given.members),
            "--way",
            f"{capability}-{threads}",
            "--minutes",
            str(left),
        ]
        subprocess.run(command, env=environment, check=True)
    print("\n".join(compared(given.pack, given.out)))


if __name__ == "__main__":
    main()
