"""Check that a change of the code leaves evidence, scores and verdicts the same to the last bit.

``python -m benchmarks.unchanged record FILE`` inspects the bundled samples and every held-out member of every pack.
It writes one line of JSON per model. A second run with the same file continues where the first one stopped.
``--part I/N`` inspects every N-th model only, so that several processes can share the work.
``python -m benchmarks.unchanged compare OLD NEW`` names the models that differ and exits with 1 if there is any.

Run ``record`` at the commit before the change and at the commit after it, on the same machine. The script uses only
public names and the pack's file format, so that it runs at both commits.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np

ASSETS = Path(__file__).resolve().parent.parent / "assets"
PACKS = ("mnist", "cifar10", "gtsrb", "cifar100")


def samples(assets: Path) -> Iterator[tuple[str, str, Path]]:
    """Name, pack and file of every bundled sample."""
    for path in sorted((assets / "samples").glob("*.safetensors")):
        yield f"sample/{path.stem}", path.stem.split("-")[0], path


def held_out(assets: Path, pack: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Name, pack and record of every held-out member of the pack."""
    for member in json.loads((assets / "packs" / pack / "pack.json").read_bytes())["members"]:
        if member["held_out"]:
            yield f"{pack}/{member['id']}", pack, member


def write_member(assets: Path, pack: str, member: Mapping[str, Any], path: Path) -> None:
    """Write a member's weights as a model file that declares architecture, options and normalisation."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    before = f"{member['id']}/"
    with safe_open(assets / "packs" / pack / "zoo.safetensors", framework="pt") as zoo:
        state = {k.removeprefix(before): zoo.get_tensor(k) for k in zoo.keys() if k.startswith(before)}  # noqa: SIM118
    state = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    metadata = {"architecture": member["architecture"], "normalisation": member["normalisation"]}
    save_file(state, path, {**metadata, "options": json.dumps(member["options"])})


def digests(arrays: Mapping[str, Any]) -> dict[str, str]:
    """The first 32 hexadecimal digits of the SHA-256 of each array's type, shape and bytes."""
    found = {}
    for key, value in sorted(arrays.items()):
        array = np.ascontiguousarray(value)
        head = f"{array.dtype}{array.shape}".encode()
        found[key] = hashlib.sha256(head + array.tobytes()).hexdigest()[:32]
    return found


def inspected(path: Path, pack: str) -> dict[str, Any]:
    """The results of an inspection of the file: digests of its arrays, its figures and its sentences."""
    from ti_core import inspect, load_model, load_pack

    start = time.perf_counter()
    found = inspect(load_model(path), load_pack(pack))
    report = found.report.as_dict()
    trigger = found.trigger
    return {
        "evidence": {name: digests(arrays) for name, arrays in found.evidence.items()},
        "scores": digests({**found.rows, **{f"class {k}": v for k, v in found.class_scores.items()}}),
        "trigger": digests({"mask": trigger.mask, "pattern": trigger.pattern}) if trigger else None,
        "flip_share": trigger.flip_share if trigger else None,
        "verdict": {
            k: report[k]
            for k in ("verdict", "probability", "trigger_kind", "target_class", "target_class_name")
        },
        "streams": {
            name: {k: stream.get(k) for k in ("score", "clean_share", "target_class", "figures")}
            for name, stream in report["streams"].items()
        },
        "sentences": [report["reasons"], [s.get("sentence") for s in report["streams"].values()]],
        "seconds": round(time.perf_counter() - start, 2),
    }


def record(out: Path, assets: Path, part: tuple[int, int]) -> None:
    """Append a line for every model that the file does not hold yet.

    Parameters
    ----------
    part : (I, N) for the models I, I + N, I + 2 N, ...
    """
    import torch

    torch.set_num_threads(1)
    known = {json.loads(line)["model"] for line in out.read_text().splitlines()} if out.exists() else set()
    members = chain.from_iterable(zip_longest(*(held_out(assets, pack) for pack in PACKS)))
    models = [*samples(assets), *(member for member in members if member is not None)]
    for name, pack, source in models[part[0] :: part[1]]:
        if name in known:
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = source if isinstance(source, Path) else Path(folder) / "member.safetensors"
            if not isinstance(source, Path):
                write_member(assets, pack, source, path)
            line = {"model": name, **inspected(path, pack)}
        with out.open("a") as file:
            file.write(json.dumps(line) + "\n")


def compare(old: Path, new: Path) -> int:
    """Print the models that differ and the number compared.

    Other sentences alone are counted and are no difference.

    Returns
    -------
    The exit code: 1 if a model differs or if the files have no model in common, else 0.
    """
    before, after = (
        {line["model"]: line for line in map(json.loads, path.read_text().splitlines())}
        for path in (old, new)
    )
    both = sorted(before.keys() & after.keys())
    keys = ("evidence", "scores", "trigger", "flip_share", "verdict", "streams")
    differing = 0
    for model in both:
        found = [key for key in keys if before[model][key] != after[model][key]]
        if found:
            differing += 1
            print(f"{model}: {', '.join(found)}")
    words = sum(before[m]["sentences"] != after[m]["sentences"] for m in both)
    print(f"{len(both)} models compared ({len(before)} and {len(after)} recorded), {differing} differ.")
    print(f"Sentences differ in {words}.")
    return 1 if differing or not both else 0


def main() -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("record")
    one.add_argument("file", type=Path)
    one.add_argument("--assets", type=Path, default=ASSETS)
    one.add_argument("--part", default="0/1", help="I/N: the models I, I + N, I + 2 N, ...")
    two = commands.add_parser("compare")
    two.add_argument("old", type=Path)
    two.add_argument("new", type=Path)
    options = parser.parse_args()
    if options.command == "compare":
        return compare(options.old, options.new)
    index, count = map(int, options.part.split("/"))
    record(options.file, options.assets, (index, count))
    return 0


if __name__ == "__main__":
    sys.exit(main())
