"""Compares the full search of all classes with class screening, which searches only a few classes in full.

``python -m benchmarks.screening --out FOLDER`` searches fitted members of a pack both ways, for any number of classes.
It prints how often a trojan's target class is searched in full, the processor seconds, and the AUC of the joint class
scores with 95 % intervals. The result of the full search is the pack's baseline, since the search for a class does not
depend on other classes. So only the short searches and the windows' second search are run. For the first ``--timed``
members, everything is run to measure the time.

``--zoo`` and ``--data`` replace the members by the finished networks in a folder of ``zoo train``. They have no
baseline, so the AUC of the full search needs ``--timed`` for all of them. Results are kept in ``--out``, and a stopped
run continues. ``--seconds`` stops the run. ``--work 43`` only counts the images that pass an untrained network with 43
classes in both searches.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.screening_networks import NEVER, Models, of_pack, of_zoo, sampled, streams_of
from ti_core.detector.joint import combined
from ti_core.evaluation.rates import auc, auc_interval
from ti_core.reference.families import share_interval
from ti_core.reference.pack import Member
from ti_core.settings import Settings
from ti_core.streams import Context, Stream, stack
from ti_core.streams.base import Array
from ti_core.streams.inversion import Inversion
from ti_core.streams.searches.screening import SEARCHED, Screening
from ti_core.streams.searches.shortlist import Shortlist, shortlist
from ti_core.streams.universal import Universal
from ti_core.streams.windowed import Windowed
from ti_core.system.memory import keep_freed_memory

SECONDS = "seconds"
Found = Mapping[str, Mapping[str, Array]]
"""Evidence of one network by stream, with its processor seconds."""


def measured(member: Member, models: Models, screening: Screening, out: Path) -> Found:
    """Evidence of one member by stream, with its processor seconds. It is kept in the folder."""
    way = "full" if screening is NEVER else f"{screening.kept}+{screening.others}"
    path = out / f"{models.name}.{member.id}.{way}.npz"
    if not path.exists():
        scores = models.scores(member)
        arrays: dict[str, Array] = {}
        for stream in streams_of(screening):
            start = time.process_time()
            evidence = stream.evidence(scores, models.context)
            arrays |= {f"{stream.name}/{key}": value for key, value in evidence.items()}
            arrays[f"{stream.name}/{SECONDS}"] = np.array(time.process_time() - start, dtype=np.float32)
        _keep(arrays, path)
    return _kept(path)


def of_baseline(member: Member, models: Models, screening: Screening, whole: Found, out: Path) -> Found:
    """A member's evidence with screening: the full search's rows for the shortlist, and the windows' second search.

    The searches are kept in the folder.
    """
    path = out / f"{models.name}.{member.id}.{screening.kept}+{screening.others}.short.npz"
    if not path.exists():
        scores = models.scores(member)
        found = shortlist(scores, models.context, screening)
        second = Windowed(screening=screening).evidence(scores, models.context)
        parts = {"universal": found.universal, "windowed": found.windowed, "second": second}
        arrays = {f"{part}/{k}": v for part, table in parts.items() for k, v in table.items()}
        arrays |= {"all/standing": found.standing, "all/chosen": found.chosen.astype(np.float32)}
        _keep(arrays, path)
    tables = _kept(path)
    standing, chosen = tables["all"]["standing"], tables["all"]["chosen"].astype(np.intp)
    short = Shortlist(tables["universal"], tables["windowed"], standing, chosen)
    universal = whole["universal"]
    own = {k: universal[k][..., chosen] for k in ("margins", "success", "blended")}
    masks = {k: v[chosen] for k, v in whole["inversion"].items()}
    return {
        "universal": Universal(screening=screening).complete(short, own) | {"scale": universal["scale"]},
        "windowed": tables["second"],
        "inversion": Inversion(screening=screening).complete(short, masks),
    }


def _keep(arrays: Mapping[str, Array], path: Path) -> None:
    """Write arrays with names such as ``windowed/margins`` atomically."""
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **arrays)  # type: ignore[arg-type]
    partial.replace(path)


def _kept(path: Path) -> dict[str, dict[str, Array]]:
    """The arrays that :func:`_keep` wrote, by the two parts of each name."""
    found: dict[str, dict[str, Array]] = {}
    with np.load(path, allow_pickle=False) as z:
        for name in z.files:
            part, key = name.split("/")
            found.setdefault(part, {})[key] = z[name]
    return found


def joint_scores(results: list[Found], clean: NDArray[np.bool_], streams: list[Stream]) -> Array:
    """Joint class scores ``R x K`` of all streams. A clean network is compared with the other clean ones."""
    parts = []
    for stream in streams:
        own = stack([{k: v for k, v in r[stream.name].items() if k != SECONDS} for r in results])
        scores = stream.class_scores(own, {k: v[clean] for k, v in own.items()}, clean)
        assert scores is not None
        parts.append(scores)
    return combined(parts)


def recall_lines(members: list[Member], few: list[Found]) -> list[str]:
    """How often any stream searches the target class of a trojan in full."""
    lines = []
    for kind in sorted({(m.label, m.family) for m in members if m.trojaned}):
        rows = [i for i, m in enumerate(members) if (m.label, m.family) == kind]
        hits = [
            any(found[SEARCHED][members[i].target_class or 0] > 0 for found in few[i].values()) for i in rows
        ]
        low, high = share_interval(float(np.mean(hits)), len(hits))
        lines.append(
            f"  target searched in full, {kind[0]} {kind[1]}: {sum(hits)} of {len(hits)} ({low:.0%} to {high:.0%})"
        )
    return lines


def auc_lines(members: list[Member], ways: Mapping[str, list[Found]]) -> list[str]:
    """AUC of the largest joint class score and number of right targets, for both ways."""
    clean = np.array([not m.trojaned for m in members])
    if not clean.any():
        return ["  no clean networks yet: no AUC"]
    lines = []
    for way, results in ways.items():
        if len(results) < len(members):
            continue
        scores = joint_scores(results, clean, streams_of(NEVER))
        for kind in sorted({(m.label, m.family) for m in members if m.trojaned}):
            own = np.array([(m.label, m.family) == kind for m in members])
            area = auc(scores.max(1)[clean], scores.max(1)[own])
            low, high = auc_interval(area, int(clean.sum()), int(own.sum()))
            right = [int(scores[i].argmax()) == members[i].target_class for i in np.flatnonzero(own)]
            lines.append(
                f"  {way}, {kind[0]} {kind[1]}: AUC {area:.3f} ({low:.3f} to {high:.3f}),"
                f" {own.sum()} and {clean.sum()} clean, target right in {sum(right)}"
            )
    return lines


def seconds_lines(ways: Mapping[str, list[Found]]) -> list[str]:
    """Median processor seconds of the timed networks, by stream, and the ratio of the two ways.

    The time of the first stream includes the short searches.
    """
    full, few = ways.values()
    lines = []
    for way, results in ways.items():
        timed = [_seconds(r) for r in results if all(SECONDS in found for found in r.values())]
        if timed:
            parts = (
                f"{name} {np.median(own):.1f}"
                for name, own in zip(few[0], zip(*timed, strict=True), strict=True)
            )
            total = np.median([sum(own) for own in timed])
            lines.append(f"  {way}, {len(timed)} timed: {total:.1f} s ({', '.join(parts)})")
    ratios = [
        sum(_seconds(a)) / sum(_seconds(b))
        for a, b in zip(full, few, strict=False)
        if all(SECONDS in found for r in (a, b) for found in r.values())
    ]
    if ratios:
        lines.append(
            f"  screened, {np.median(ratios):.1f} times as fast ({min(ratios):.1f} to {max(ratios):.1f})"
        )
    return lines


def _seconds(found: Found) -> list[float]:
    return [float(arrays[SECONDS]) for arrays in found.values()]


class Counting(torch.nn.Module):
    """A random linear network that counts images. An image without gradients counts 0.4."""

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.linear = torch.nn.Linear(int(np.prod(shape)), classes)
        self.linear.weight.data = 0.05 * torch.randn(self.linear.weight.shape, generator=generator)
        self.images = 0.0

    def __deepcopy__(self, memo: object) -> Counting:
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.images += len(x) * (1.0 if torch.is_grad_enabled() else 0.4)
        z: torch.Tensor = self.linear(x.flatten(1))
        return z - z.mean(1, keepdim=True)


def work_line(classes: int) -> str:
    """The number of 32 x 32 colour images that pass a network in both ways. It does not depend on the network."""
    count = max(256 // classes, 4) * classes
    images = torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    shown = Context(images, torch.arange(count) % classes, classes, Settings())
    done = []
    for screening in (NEVER, Screening()):
        network = Counting((3, 32, 32), classes)
        for stream in streams_of(screening):
            stream.evidence(network, shown)
        done.append(network.images)
    return f"{classes} classes: {done[0]:,.0f} images in full, {done[1]:,.0f} screened, {done[0] / done[1]:.1f} to 1"


def main(arguments: Iterable[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pack", default="mnist")
    options.add_argument("--zoo", type=Path, help="folder of finished networks, in the place of a pack")
    options.add_argument("--data", type=Path, help="the data set that those networks were trained on")
    options.add_argument("--out", type=Path, help="folder of what is finished")
    options.add_argument("--work", type=int, action="append", help="only count the work for so many classes")
    options.add_argument("--count", type=int, default=6, help="trojaned networks of every kind and family")
    options.add_argument("--kept", type=int, default=Screening().kept, help="classes that stand out most")
    options.add_argument("--others", type=int, default=Screening().others, help="classes of the rest")
    options.add_argument("--timed", type=int, default=4, help="networks to search in full for the time")
    options.add_argument("--seconds", type=float, default=float("inf"), help="begin no network after so long")
    given = options.parse_args(None if arguments is None else list(arguments))
    torch.set_num_threads(1)
    keep_freed_memory()
    if given.work:
        print("\n".join(map(work_line, given.work)))
        return
    if given.out is None:
        options.error("--out is needed: a folder of what is finished.")
    given.out.mkdir(parents=True, exist_ok=True)
    if given.zoo is not None and given.data is None:
        options.error("--zoo needs --data: the images come from the data set's test images.")
    models = of_zoo(given.zoo, given.data) if given.zoo is not None else of_pack(given.pack)
    few = Screening(above=1, windows_above=1, kept=given.kept, others=given.others)
    ways = {"in full": NEVER, "screened": few}
    begun = time.monotonic()
    done: list[Member] = []
    results: dict[str, list[Found]] = {way: [] for way in ways}
    for member in sampled(models.members, given.count):
        if time.monotonic() - begun > given.seconds:
            break
        if len(done) < given.timed or models.baseline is None:
            results["screened"].append(measured(member, models, few, given.out))
        if len(done) < given.timed:
            results["in full"].append(measured(member, models, NEVER, given.out))
        elif models.baseline is not None:
            at = models.members.index(member)
            whole = {name: {k: v[at] for k, v in found.items()} for name, found in models.baseline.items()}
            results["in full"].append(whole)
            results["screened"].append(of_baseline(member, models, few, whole, given.out))
        done.append(member)
    print(
        f"{models.name}: {len(done)} networks of {models.context.classes} classes,"
        f" {given.kept} + {given.others} of them searched in full"
    )
    lines = recall_lines(done, results["screened"]) + auc_lines(done, results) + seconds_lines(results)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
