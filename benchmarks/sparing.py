"""Compares inspections without a pack whose searches are shortened with those that search in full.

``python -m benchmarks.sparing --out FOLDER`` inspects fitted members of a pack, each on its own draw of 60 images, at
every level of :mod:`ti_core.streams.searches.sparing`. It prints, for each level, the verdicts of clean and of trojaned
networks, how many targets are right, the verdicts that differ from those of a full search, and the ratio of the
processor times. An inspection that is certain of its verdict ends early; with ``--to-the-end`` none does. ``--effort``
asks the streams of a quick or thorough inspection. Results are kept in the folder, and a stopped run continues.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.reference_free import drawn, images_for
from ti_core.detector.own_classes import alone
from ti_core.inspection.budget import look_alone
from ti_core.inspection.without_pack import inspect_alone
from ti_core.reconstruction.model import Model
from ti_core.reference.pack import Member, Pack, load_pack
from ti_core.settings import Settings
from ti_core.stream_registry import EFFORTS, QUICK, STANDARD
from ti_core.streams.searches.sparing import LEVELS, Sparing
from ti_core.zoo.training.members import keep_record

IMAGES = 60
NEVER = 2.0
"""A share of images that no trigger turns."""


def record(
    member: Member, pack: Pack, level: int, settings: Settings, to_the_end: bool, path: Path
) -> dict[str, Any]:
    """What one inspection said, read from the folder if it is there."""
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_text())
        return kept
    network, shape = pack.scores(member).network, pack.input_shape
    count = sum(p.numel() for p in network.parameters())
    model = Model(
        network, member.id, "0" * 64, "member", member.architecture, count, len(pack.class_names), shape
    )
    own = images_for(member, pack, IMAGES, True)
    quick = set(settings.streams) == set(QUICK)
    certain = NEVER if to_the_end else look_alone.CERTAIN
    with (
        patch.object(Sparing, "of", lambda *given, **more: Sparing(True, level, hurried=quick)),
        patch.object(look_alone, "CERTAIN", certain),
    ):
        start = time.process_time()
        result = inspect_alone(model, own, settings)
        seconds = time.process_time() - start
    return keep_record(
        {
            "id": member.id,
            "trojaned": member.trojaned,
            "verdict": result.report.verdict,
            "score": alone(result.evidence).score if result.evidence else None,
            "target": result.report.target_class,
            "right": member.target_class,
            "not needed": result.not_needed,
            "seconds": seconds,
        },
        path,
    )


def told(level: int, found: list[dict[str, Any]], full: list[dict[str, Any]]) -> str:
    """One line on a level."""
    verdicts = [Counter(r["verdict"] for r in found if r["trojaned"] == bad) for bad in (False, True)]
    named = [r for r in found if r["trojaned"] and r["target"] is not None]
    right = sum(r["target"] == r["right"] for r in named)
    turned = [
        f"{a['id']} {a['verdict']} to {b['verdict']}"
        for a, b in zip(full, found, strict=True)
        if a["verdict"] != b["verdict"]
    ]
    ended = sum(bool(r["not needed"]) for r in found)
    ratio = sum(r["seconds"] for r in full) / sum(r["seconds"] for r in found)
    clean, bad = (", ".join(f"{name} {n}" for name, n in sorted(v.items())) for v in verdicts)
    return (
        f"level {level}: clean networks: {clean}; trojaned: {bad}, target right in {right} of {len(named)}; verdicts"
        f" that change: {', '.join(turned) or 'none'}; {ended} ended early; 1/{ratio:.1f} of the processor time"
    )


def main(arguments: Iterable[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pack", default="mnist")
    options.add_argument("--members", type=int, default=9, help="as many clean and as many trojaned ones")
    options.add_argument("--effort", choices=EFFORTS, default=STANDARD)
    options.add_argument("--to-the-end", action="store_true", help="search on where the verdict is certain")
    options.add_argument("--out", type=Path, required=True, help="folder where results are kept")
    given = options.parse_args(None if arguments is None else list(arguments))
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    pack, settings = load_pack(given.pack), Settings().of_effort(given.effort)
    members = drawn(pack, given.members, held_out=False)
    every: list[list[dict[str, Any]]] = [[] for _ in LEVELS]
    for member in members:
        for level in range(len(LEVELS)):
            mark = ("" if given.effort == STANDARD else f".{given.effort}") + (
                ".end" if given.to_the_end else ""
            )
            path = given.out / f"{given.pack}.{member.id}.{level}{mark}.json"
            every[level].append(record(member, pack, level, settings, given.to_the_end, path))
            print(member.id, level, every[level][-1]["verdict"], flush=True)
    for level, found in enumerate(every):
        print(told(level, found, every[0]), flush=True)


if __name__ == "__main__":
    main()
