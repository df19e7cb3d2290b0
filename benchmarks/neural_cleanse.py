"""Neural Cleanse, one class at a time at its published settings, against the deep streams, on the same networks.

``python -m benchmarks.neural_cleanse --out FOLDER``: both inspect the same held-out members of a pack in one run, in
turn; what counts is the ratio of the times and the areas under the ROC curve. Results are kept in ``--out`` class by
class as they are made, so that a run that was stopped goes on; ``--minutes`` stops it by itself.

Times are of the clock and of the processor. On a machine that does other work too the second is the fairer one.

Settings of its authors' code (B. Wang et al., IEEE S&P 2019): Adam at 0.1 with moments 0.5 and 0.9 on mask and pattern
behind a tanh, batches of 32 images, mask's weight 1e-3 once 0.99 of the images flip, times 2 after 5 steps of enough
success and divided by 2 to the power of 1.5 after 5 of too little, early stop once the best mask has not become smaller
for 25 steps and the weight went both up and down, at most 1,000 steps; a step goes through 31 batches (1,000 images).
``--batches 1`` makes a step one batch, an abridged Neural Cleanse that takes a twentieth of the time. The anomaly index
is the smallest mask's distance below the median in median absolute deviations.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ti_core.detector.joint import combined
from ti_core.evaluation.rates import auc, auc_interval
from ti_core.reference.pack import Member, Pack, load_pack
from ti_core.reference.reference import Reference
from ti_core.settings import Settings
from ti_core.streams import Stream, make_streams
from ti_core.system.cache import Cache
from ti_core.system.memory import keep_freed_memory
from ti_core.zoo.training.members import keep_record

STEPS, RATE, BATCH, BATCHES = 1000, 0.1, 32, 31
WEIGHT, FACTOR, PATIENCE, SUCCESS = 1e-3, 2.0, 5, 0.99
EARLY_PATIENCE = 25
LABELS = ("clean", "blend", "patch")


def smallest_mask(
    scores: torch.nn.Module, images: torch.Tensor, target: int, batches: int, generator: torch.Generator
) -> tuple[float, int]:
    """L1 norm in pixels of the smallest mask that flips enough images to the class, and the steps it took."""
    shape = images.shape[1:]
    raw_mask = torch.rand(1, *shape[1:], generator=generator).sub_(0.5).requires_grad_(True)
    raw_pattern = torch.rand(shape, generator=generator).sub_(0.5).requires_grad_(True)
    adam = torch.optim.Adam([raw_mask, raw_pattern], lr=RATE, betas=(0.5, 0.9))
    goal = torch.full((BATCH,), target)
    weight, best, stopping_at = 0.0, float("inf"), float("inf")
    armed = up = down = stalled = 0
    went_up = went_down = False
    for step in range(STEPS):
        hits, sizes = [], []
        for _ in range(batches):
            x = images[torch.randint(len(images), (BATCH,), generator=generator)]
            mask, pattern = raw_mask.tanh() / 2 + 0.5, raw_pattern.tanh() / 2 + 0.5
            z = scores((1 - mask) * x + mask * pattern)
            norm = mask.sum()
            adam.zero_grad()
            (F.cross_entropy(z, goal) + weight * norm).backward()
            adam.step()
            hits.append(float((z.argmax(1) == goal).float().mean()))
            sizes.append(float(norm.detach()))
        success, size = statistics.fmean(hits), statistics.fmean(sizes)
        if success >= SUCCESS:
            best = min(best, size)
        if best < float("inf"):
            stalled = 0 if best < stopping_at else stalled + 1
            stopping_at = best
        if stalled >= EARLY_PATIENCE and went_up and went_down:
            return best, step + 1
        if weight == 0.0:
            armed = armed + 1 if success >= SUCCESS else 0
            if armed >= PATIENCE:
                weight, up, down, went_up, went_down = WEIGHT, 0, 0, False, False
            continue
        up, down = (up + 1, 0) if success >= SUCCESS else (0, down + 1)
        if up >= PATIENCE:
            weight, up, went_up = weight * FACTOR, 0, True
        elif down >= PATIENCE:
            weight, down, went_down = weight / FACTOR**1.5, 0, True
    return best, STEPS


def neural_cleanse(
    scores: torch.nn.Module, images: torch.Tensor, classes: int, batches: int = BATCHES
) -> tuple[list[float], int]:
    """Norms of every class, one after the other, and all steps together."""
    found = [class_norm(scores, images, c, batches) for c in range(classes)]
    return [norm for norm, _ in found], sum(steps for _, steps in found)


def class_norm(scores: torch.nn.Module, images: torch.Tensor, target: int, batches: int) -> tuple[float, int]:
    """The norm and the steps of one class, drawn by a seed of its own. One that nothing flips to has the most."""
    norm, steps = smallest_mask(scores, images, target, batches, torch.Generator().manual_seed(target))
    return min(norm, float(images[0, 0].numel())), steps


def anomaly_index(norms: list[float]) -> float:
    """How many median absolute deviations the smallest mask lies below the median."""
    values = np.array(norms)
    middle = np.median(values)
    deviation = 1.4826 * np.median(np.abs(values - middle))
    return float((middle - values.min()) / max(float(deviation), 1e-9))


def measured(
    member: Member, pack: Pack, streams: list[Stream], batches: int, out: Path, until: float
) -> dict[str, Any]:
    """Both methods on one member: times and scores, of fewer "classes" where time was up before the last.

    What was made before is taken from the folder.
    """
    path = out / f"{member.id}.{pack.sha256[:12]}.{batches}.json"
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    context = Reference(pack, Settings(), Cache(None)).context(None)
    if len(record.get("classes", ())) == context.classes:
        return record
    scores = pack.scores(member)
    if not record:
        ours = Watch()
        evidence = {s.name: s.evidence(scores, context) for s in streams}
        record = {
            "id": member.id,
            "label": member.label,
            "ours": ours.times(),
            "evidence": {
                name: {k: np.asarray(v).tolist() for k, v in e.items()} for name, e in evidence.items()
            },
            "classes": [],
        }
        keep_record(record, path)
    while len(record["classes"]) < context.classes:
        if time.monotonic() > until:
            break
        theirs = Watch()
        norm, steps = class_norm(scores, context.images, len(record["classes"]), batches)
        record["classes"].append({"norm": norm, "steps": steps} | theirs.times())
        keep_record(record, path)
    return record


class Watch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter(), time.process_time()

    def times(self) -> dict[str, float]:
        """Of the clock ("wall") and of the processor ("cpu")."""
        return {"wall": time.perf_counter() - self._start[0], "cpu": time.process_time() - self._start[1]}


def theirs(record: dict[str, Any], which: str) -> float:
    """Neural Cleanse's seconds for all classes, or its "steps"."""
    return float(sum(c[which] for c in record["classes"]))


def norms(record: dict[str, Any]) -> list[float]:
    return [float(c["norm"]) for c in record["classes"]]


def drawn(pack: Pack, count: int) -> list[Member]:
    """That many held-out members of each label, by turns; of a larger count, the first are those of a smaller one."""
    rng = np.random.default_rng(0)
    columns = []
    for label in LABELS:
        own = [m for m in pack.members if m.held_out and m.label == label]
        columns.append([own[i] for i in rng.permutation(len(own))][:count])
    return [column[i] for i in range(count) for column in columns if i < len(column)]


def our_scores(records: list[dict[str, Any]], pack: Pack, streams: list[Stream]) -> NDArray[np.floating]:
    """The largest class of each network, all deep streams together, beside the pack's fitted clean members."""
    reference = Reference(pack, Settings(), Cache(None))
    parts = []
    for stream in streams:
        clean = reference.clean(reference.evidence(stream, None))
        own = {
            key: np.array([r["evidence"][stream.name][key] for r in records], dtype=np.float32)
            for key in clean
        }
        scores = stream.class_scores(own, clean)
        assert scores is not None
        parts.append(scores)
    return combined(parts).max(axis=1)


def main(arguments: Iterable[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pack", default="mnist")
    options.add_argument(
        "--count", type=int, default=6, help="held-out members of each of clean, blend and patch"
    )
    options.add_argument(
        "--out", type=Path, required=True, help="folder where results are kept as they are made"
    )
    options.add_argument("--threads", type=int, default=1)
    options.add_argument(
        "--batches", type=int, default=BATCHES, help="batches that a step of Neural Cleanse goes through"
    )
    options.add_argument(
        "--minutes", type=float, default=float("inf"), help="stop after that long; run again to go on"
    )
    given = options.parse_args(None if arguments is None else list(arguments))
    torch.set_num_threads(given.threads)
    keep_freed_memory()
    given.out.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + 60 * given.minutes
    pack = load_pack(given.pack)
    streams = [s for s in make_streams(Settings()) if s.name != "saliency"]
    members = drawn(pack, given.count)
    records = []
    for member in members:
        record = measured(member, pack, streams, given.batches, given.out, until)
        if len(record["classes"]) < len(pack.class_names):
            begun(record, len(pack.class_names))
            break
        records.append(record)
        print(
            f"  {member.id}: {theirs(record, 'wall'):.1f} s ({theirs(record, 'steps'):.0f} steps) against"
            f" {record['ours']['wall']:.1f} s",
            flush=True,
        )
    if len(records) < len(members):
        print(f"{len(records)} of {len(members)} members are done; run the same command again to go on.")
    if records:
        tell(records, pack, streams, given.threads)


def begun(record: dict[str, Any], classes: int) -> None:
    """How far a member is that is not finished, and what the classes so far say of the time for all."""
    done = len(record["classes"])
    if done:
        ratio = theirs(record, "cpu") / done * classes / record["ours"]["cpu"]
        print(
            f"  {record['id']}: {done} of {classes} classes so far, at a pace at which the deep streams are"
            f" {ratio:.0f} times as fast by processor time"
        )


def tell(records: list[dict[str, Any]], pack: Pack, streams: list[Stream], threads: int) -> None:
    """The ratios of the times, and the areas for each kind of trigger of which there are members."""
    print(f"{len(records)} held-out members of {pack.name} {pack.sha256[:12]}, {threads} thread(s)")
    for which, words in (("wall", "by the clock"), ("cpu", "of the processor's time")):
        ratios = [theirs(r, which) / r["ours"][which] for r in records]
        ours, other = (
            statistics.median(x)
            for x in ([r["ours"][which] for r in records], [theirs(r, which) for r in records])
        )
        print(
            f"  {words}: the deep streams are {statistics.median(ratios):.1f} times as fast (median;"
            f" {min(ratios):.1f} to {max(ratios):.1f}), {ours:.1f} s against {other:.0f} s"
        )
    labels = np.array([r["label"] for r in records])
    for name, values in (
        ("Neural Cleanse, anomaly index", np.array([anomaly_index(norms(r)) for r in records])),
        ("Neural Cleanse, smallest mask", -np.array([min(norms(r)) for r in records])),
        ("deep streams", our_scores(records, pack, streams)),
    ):
        for label in LABELS[1:]:
            clean, own = values[labels == "clean"], values[labels == label]
            if not len(clean) or not len(own):
                continue
            area = auc(clean, own)
            low, high = auc_interval(area, len(clean), len(own))
            print(
                f"  {name}, {label}/clean: AUC {area:.3f} ({low:.3f} to {high:.3f}), {len(own)} and {len(clean)}"
            )


if __name__ == "__main__":
    main()
