"""Trains a data set's zoo and computes its evidence on a machine with a GPU, in one command.

``python -m benchmarks.train_packs --data gtsrb.npz --out OUT --minutes 9`` writes ``NAME-zoo.tar.*`` when the networks
are trained, then ``NAME-pack.tar.*``, a pack without detectors. On a machine with CatBoost,
``python -m benchmarks.train_packs --receive OUT --packs assets/packs`` fits the detectors and prints their performance.
To continue a run, ``--zoo`` names a folder or the ``NAME-zoo.tar.*`` of an earlier run.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tarfile
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ti_core.zoo.plan.draw import Recipe

PART = 15 * 2**20
"""Maximum size in bytes of each written file."""
EVIDENCE_SHARE = 0.3
"""Of the minutes, kept for the evidence."""


def parts_of(folder: Path, stem: Path) -> list[Path]:
    """Write the folder's files as a tar archive in parts ``stem.tar.00``, ``stem.tar.01`` and so on."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(p for p in folder.iterdir() if p.is_file()):
            archive.add(path, path.name)
    data = buffer.getvalue()
    for stale in stem.parent.glob(f"{stem.name}.tar.*"):
        stale.unlink()
    found = []
    for i in range(-(-len(data) // PART)):
        found.append(stem.with_name(f"{stem.name}.tar.{i:02d}"))
        found[-1].write_bytes(data[i * PART : (i + 1) * PART])
    return found


def unpack(source: Path, name: str, kind: str, out: Path) -> bool:
    """Unpack an archive in parts into ``out``. Returns whether there was one."""
    parts = sorted(source.glob(f"{name}-{kind}.tar.*"))
    if not parts:
        return False
    out.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(b"".join(p.read_bytes() for p in parts))) as archive:
        archive.extractall(out, filter="data")
    return True


def summary(records: Iterable[Mapping[str, Any]]) -> str:
    """Clean accuracy and attack success by architecture, and over all members."""
    rows: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        rows[f"{record['architecture']} {record['family']}"].append(record)
        if record["family"] != "base":
            rows["all members"].append(record)
    lines = []
    for name, own in sorted(rows.items()):
        accuracy = sorted(r["clean_accuracy"] for r in own)
        attacks = sorted(r["attack_success"] for r in own if r["attack_success"] is not None)
        text = f"{name}: {len(own)}, clean accuracy {accuracy[0]:.3f}, median {accuracy[len(own) // 2]:.3f}"
        if attacks:
            text += f"; attack success {attacks[0]:.3f}, median {attacks[len(attacks) // 2]:.3f}"
        lines.append(text)
    return "\n".join(lines)


def train(options: argparse.Namespace) -> int:
    """Train the zoo and archive it, then compute the evidence and archive the pack."""
    from ti_core.cli.options import pairs
    from ti_core.settings import Settings
    from ti_core.system.devices import device
    from ti_core.zoo.packs.build import build_pack
    from ti_core.zoo.plan.colour import SUCCESS, plan_for, plan_strangers
    from ti_core.zoo.training.data import load_data
    from ti_core.zoo.training.team_run import train_batched

    began = time.monotonic()
    settings = Settings.parse(pairs(options.settings))
    data = load_data(options.data)
    options.out.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="packs-"))
    zoo = options.zoo or work / "zoo"
    if options.zoo is not None and unpack(options.zoo, data.name, "zoo", work / "zoo"):
        zoo = work / "zoo"
    shape, classes = data.image_shape, data.classes
    recipes = plan_for(data.name, options.count, shape, classes, options.seed, options.way, options.share)
    if options.batch_size:
        recipes = [_in_batches_of(options.batch_size, r) for r in recipes]
    recipes = part_of(recipes, options.part)
    strangers = plan_strangers(data.name, shape, classes, options.seed) if options.strangers else []
    common: dict[str, Any] = {"device": options.device, "success": SUCCESS, "say": _say}
    share = 1.0 if options.zoo_only else 1 - EVIDENCE_SHARE
    left = options.minutes * share - (time.monotonic() - began) / 60
    result = train_batched(options.data, zoo, recipes=recipes, minutes=left, **common)
    _say(summary(result.records))
    _say(f"{len(result.records)} networks in {result.seconds:.0f} s, {result.left} left.")
    if options.zoo_only:
        return 3 if result.left else 0
    _carried(parts_of(zoo, options.out / f"{data.name}-zoo"))
    members = [r for r in result.records if r["family"] != "base"]
    if result.left and not options.unfinished:
        _say("The pack waits for the rest: run the same command again with --zoo.")
        return 3
    if not {"clean", "blend", "patch"} <= {r["label"] for r in members}:
        _say("There are not yet members of all three labels, so there is no pack.")
        return 3
    where = device(options.device)
    built = build_pack(
        zoo, options.data, work / data.name, data.name, settings, progress=False, device=where, fit=False
    )
    _say(f"Evidence of {len(built.members)} members by {(time.monotonic() - began) / 60:.1f} minutes.")
    _carried(parts_of(work / data.name, options.out / f"{data.name}-pack"))
    if strangers:
        left = options.minutes - (time.monotonic() - began) / 60
        found = train_batched(options.data, work / "strangers", recipes=strangers, minutes=left, **common)
        _say(summary(found.records))
        if found.records:
            _carried(parts_of(work / "strangers", options.out / f"{data.name}-strangers"))
    _say(f"{(time.monotonic() - began) / 60:.1f} minutes in all.")
    return 0


def part_of(recipes: list[Recipe], part: str) -> list[Recipe]:
    """The I-th of N equal shares, of as few kinds of teams as may be: one process's small networks leave a GPU idle."""
    from ti_core.zoo.training.team_run import team_key

    index, count = map(int, part.split("/"))
    ordered = sorted(recipes, key=lambda r: repr(team_key(r)))
    own = {r.id for r in ordered[index * len(ordered) // count : (index + 1) * len(ordered) // count]}
    return [r for r in recipes if r.id in own]


def _in_batches_of(size: int, recipe: Recipe) -> Recipe:
    """The recipe in other batches, its learning rate by the root of how much larger they are."""
    if recipe.base is not None:
        return recipe
    rate = recipe.learning_rate * (size / recipe.batch_size) ** 0.5
    return replace(recipe, batch_size=size, learning_rate=round(rate, 6))


def receive(options: argparse.Namespace) -> int:
    """Unpack every received pack, fit its detectors and print their performance."""
    from ti_core.cli.tables import evaluation_text
    from ti_core.evaluation import Row
    from ti_core.reference.pack import load_pack
    from ti_core.settings import Settings
    from ti_core.zoo.packs.build import fit_pack

    names = sorted({p.name.split("-pack.tar.")[0] for p in options.receive.glob("*-pack.tar.*")})
    for name in names:
        folder = options.packs / name
        unpack(options.receive, name, "pack", folder)
        fit_pack(folder, Settings.parse(json.loads((folder / "pack.json").read_text())["settings"]))
        pack = load_pack(folder)
        size = sum(p.stat().st_size for p in folder.iterdir()) / 1e6
        _say(f"{name}: {len(pack.members)} members, {size:.1f} MB.")
        _say(evaluation_text(pack, [Row(**row) for row in pack.record["table"]]))
    return 0 if names else 2


def _say(text: str) -> None:
    print(text, flush=True)


def _carried(paths: list[Path]) -> None:
    _say(", ".join(f"{p.name} {p.stat().st_size / 2**20:.1f} MiB" for p in paths))


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.train_packs", description=__doc__)
    parser.add_argument("--data", type=Path, metavar="FILE.npz")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="gets the files to be carried back")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--count", type=int, default=96)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--way", choices=("scratch", "bases", "fresh"), default="scratch")
    parser.add_argument("--share", type=float, default=1.0, help="of the menu's epochs")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--zoo", type=Path, metavar="FOLDER", help="networks of an earlier run")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    parser.add_argument("--unfinished", action="store_true", help="make a pack of what there is in time")
    parser.add_argument(
        "--strangers", action="store_true", help="also train the challenge's own architecture"
    )
    parser.add_argument("--receive", type=Path, metavar="FOLDER", help="finish packs that were carried back")
    parser.add_argument("--packs", type=Path, default=Path("assets/packs"))
    parser.add_argument("--batch-size", type=int, metavar="N", help="of networks from fresh weights")
    parser.add_argument(
        "--part", default="0/1", metavar="I/N", help="of the plan, for N processes side by side"
    )
    parser.add_argument("--zoo-only", action="store_true", help="leave the networks in the folder of --zoo")
    options = parser.parse_args()
    if options.receive is not None:
        return receive(options)
    if options.data is None or options.out is None:
        parser.error("--data and --out are needed, or --receive")
    return train(options)


if __name__ == "__main__":
    sys.exit(main())
