"""Tests the verdict without reference models on members of a pack, using only some of its clean images.

``python -m benchmarks.reference_free --out FOLDER`` inspects every network by ``ti_core.inspection.without_pack`` with
its own draw of ``--images`` images from the pack. The normalisation is found as for an unknown file. It prints, by kind
and family, the share of each verdict with its 95 % interval, and the AUC. Results are kept in the folder, and a stopped
run continues. ``--minutes`` stops the run.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ti_core.detector.own_classes import alone
from ti_core.evaluation.rates import auc, auc_interval
from ti_core.inspection.without_pack import inspect_alone
from ti_core.reconstruction.model import Model
from ti_core.reference.families import share_interval
from ti_core.reference.own_images import FEWEST, OwnImages
from ti_core.reference.pack import Member, Pack, load_pack
from ti_core.system.memory import keep_freed_memory
from ti_core.zoo.training.members import keep_record

VERDICTS = ("clean", "inconclusive", "backdoored")


def drawn(pack: Pack, count: int, held_out: bool) -> list[Member]:
    """``count`` clean and ``count`` trojaned members. Families alternate. A larger count begins with the same ones."""
    rng = np.random.default_rng(0)
    members = [m for m in pack.members if m.held_out == held_out]
    clean = [m for m in members if not m.trojaned]
    clean = [clean[i] for i in rng.permutation(len(clean))]
    families: dict[tuple[str, str], list[Member]] = {}
    for i in rng.permutation(len(members)):
        if members[i].trojaned:
            families.setdefault((members[i].label, members[i].family), []).append(members[i])
    by_turns = chain.from_iterable(zip_longest(*(families[k] for k in sorted(families))))
    trojaned = [m for m in by_turns if m is not None]
    return [m for pair in zip(clean[:count], trojaned[:count], strict=False) for m in pair]


def images_for(member: Member, pack: Pack, count: int, labelled: bool) -> OwnImages:
    """The member's own draw of the pack's images, with about the same number of each class."""
    rng = np.random.default_rng([0, list(pack.members).index(member)])
    labels = pack.labels.numpy()
    order = rng.permutation(len(labels))
    # A stable sort keeps the draw within a class and puts the first image of every class before all second ones.
    place = np.zeros(len(labels), dtype=int)
    for c in range(len(pack.class_names)):
        own = order[labels[order] == c]
        place[own] = np.arange(len(own))
    # Shuffled, since a user's images are in any order.
    chosen = rng.permutation(order[np.argsort(place[order], kind="stable")][:count])
    pixels = (255 * pack.images[chosen]).round().byte().numpy()
    return OwnImages("drawn", pixels, labels[chosen] if labelled else None)


def measured(member: Member, pack: Pack, own: OwnImages, path: Path) -> dict[str, Any]:
    """The member's verdict. It is read from the folder if it is there."""
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_text())
        return kept
    network = pack.scores(member).network
    parameters = sum(p.numel() for p in network.parameters())
    shape, classes = pack.input_shape, len(pack.class_names)
    model = Model(network, member.id, "0" * 64, "member", member.architecture, parameters, classes, shape)
    start = time.perf_counter()
    result = inspect_alone(model, own)
    report = result.report
    record = {
        "id": member.id,
        "label": member.label,
        "family": member.family,
        "verdict": report.verdict,
        "score": alone(result.evidence).score if result.evidence else None,
        "target": report.target_class,
        "true_target": member.target_class,
        "normalisation": report.model["preprocessing"]["normalisation"],
        "true_normalisation": member.normalisation,
        "flip_share": result.trigger.flip_share if result.trigger is not None else None,
        "seconds": time.perf_counter() - start,
    }
    return keep_record(record, path)


def says(title: str, records: list[dict[str, Any]], clean: list[dict[str, Any]]) -> str:
    """One line of the table."""
    parts = []
    for verdict in VERDICTS:
        share = float(np.mean([r["verdict"] == verdict for r in records]))
        low, high = share_interval(share, len(records))
        parts.append(f"{verdict} {share:.0%} ({low:.0%} to {high:.0%})")
    line = f"{title}: {len(records)} networks, " + ", ".join(parts)
    scored = [[r["score"] for r in group if r["score"] is not None] for group in (clean, records)]
    if records[0]["label"] == "clean" or not all(scored):
        return line
    area = auc(np.array(scored[0]), np.array(scored[1]))
    low, high = auc_interval(area, len(scored[0]), len(scored[1]))
    found = [r for r in records if r["verdict"] == "backdoored"]
    right = sum(r["target"] == r["true_target"] for r in found)
    return line + f", AUC {area:.3f} ({low:.3f} to {high:.3f}), target right in {right} of {len(found)}"


def tell(records: list[dict[str, Any]]) -> None:
    """The lines for clean networks, trojaned networks, and each kind and family."""
    clean = [r for r in records if r["label"] == "clean"]
    trojaned = [r for r in records if r["label"] != "clean"]
    for group, title in ((clean, "clean"), (trojaned, "trojaned")):
        if group:
            print("  " + says(title, group, clean))
        for label, family in sorted({(r["label"], r["family"]) for r in group}):
            own = [r for r in group if (r["label"], r["family"]) == (label, family)]
            print("    " + says(f"{label}, {family}", own, clean))
    right = sum(r["normalisation"] == r["true_normalisation"] for r in records)
    not_understood = sum(r["score"] is None for r in records)
    print(
        f"  pixels scaled as in training in {right} of {len(records)}, not understood {not_understood};"
        f" {np.median([r['seconds'] for r in records]):.1f} s a network (median)"
    )


def main(arguments: Iterable[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pack", default="mnist")
    options.add_argument("--images", type=int, default=60, help="clean images that each network is seen on")
    options.add_argument("--unlabelled", action="store_true", help="leave the images' labels out")
    options.add_argument("--count", type=int, default=24, help="clean members, and as many trojaned ones")
    options.add_argument("--held-out", action="store_true", help="members held out from the pack's fit")
    options.add_argument("--out", type=Path, required=True, help="folder where results are kept")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--minutes", type=float, default=float("inf"), help="stop after that long")
    given = options.parse_args(None if arguments is None else list(arguments))
    torch.set_num_threads(given.threads)
    keep_freed_memory()
    given.out.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + 60 * given.minutes
    pack = load_pack(given.pack)
    count = min(given.images, len(pack.labels))
    if count < FEWEST:
        options.error(f"--images is at least {FEWEST}, and the pack must have as many.")
    members = drawn(pack, given.count, given.held_out)
    records = []
    for member in members:
        if time.monotonic() > until:
            break
        own = images_for(member, pack, count, not given.unlabelled)
        path = given.out / f"{member.id}.{pack.sha256[:12]}.{own.sha256[:12]}.json"
        records.append(measured(member, pack, own, path))
    if len(records) < len(members):
        print(f"{len(records)} of {len(members)} members are done; run the same command again to go on.")
    which, labels = ("held-out" if given.held_out else "fitted", "without" if given.unlabelled else "with")
    print(f"{len(records)} {which} members of {pack.name} {pack.sha256[:12]}, {count} images {labels} labels")
    if records:
        tell(records)


if __name__ == "__main__":
    main()
