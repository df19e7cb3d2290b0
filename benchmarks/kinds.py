"""Inspects networks of every kind with a pack, and counts the verdicts by family.

``python -m ti_core zoo train --way kinds --data mnist.npz --out FOLDER --seed 7`` trains the networks
(:mod:`ti_core.zoo.plan.kinds`). ``python -m benchmarks.kinds --pack mnist --zoo FOLDER`` inspects each as a file that
somebody hands in. It prints the verdicts with their 95 % intervals, and in how many of those found the target, the pair
or the assignment is right. Backdoors that were not learnt and cleansed networks with much success left are left out.
Reports are kept in the folder, and a stopped run continues. ``--minutes`` stops the run and prints its results.

The figures measure a detector only if no network took part in its making: use a seed that no pack was trained with.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ti_core.evaluation.table import MOST
from ti_core.inspection.with_pack import inspect
from ti_core.loading import load_model
from ti_core.reference.families import share_interval
from ti_core.reference.pack import Pack, load_pack
from ti_core.system.memory import keep_freed_memory
from ti_core.zoo.training.admission import fit_for_a_pack
from ti_core.zoo.training.records import records_in


def inspected(record: dict[str, Any], folder: Path, pack: Pack) -> dict[str, Any]:
    """The network's report under this pack. It is read from the folder if it is there."""
    path = folder / f"{record['id']}.{pack.sha256[:12]}.report"
    if not path.exists():
        report = inspect(load_model(folder / f"{record['id']}.safetensors"), pack).report
        path.write_text(report.as_json())
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def rightly_led(record: dict[str, Any], report: dict[str, Any]) -> bool:
    """Whether the report says where the backdoor leads: the target, the pair, or most of the assignment."""
    plain = {"kind": "all to one", "source": None, "target": record["target"]}
    true, found = record["attack"]["mapping"] if record.get("attack") else plain, report["mapping"]
    if found is None:
        return False
    if found["kind"] != true["kind"]:
        # The target of a backdoor of one source class is right, too, where the source is not told.
        return bool(true["kind"] == "one source" and found["target"] == true["target"])
    if true["kind"] == "all to all":
        led = {pair["source"]: pair["target"] for pair in found["assignment"]}
        return bool(np.mean([led.get(k) == t for k, t in enumerate(true["assignment"])]) >= MOST)
    return bool(found["target"] == true["target"] and found["source"] == true["source"])


def called(verdict: str, reports: Sequence[dict[str, Any]]) -> str:
    """The share with that verdict, with its 95 % interval."""
    share = float(np.mean([r["verdict"] == verdict for r in reports]))
    low, high = share_interval(share, len(reports))
    return f"called {verdict} {share:.0%} ({low:.0%} to {high:.0%})"


def says(family: str, records: Sequence[dict[str, Any]], reports: Sequence[dict[str, Any]]) -> str:
    """One line of the table."""
    words = f"{family}: {len(records)} networks, " + ", ".join(
        called(verdict, reports) for verdict in ("backdoored", "clean")
    )
    if records[0]["label"] == "clean":
        return words
    found = [(a, b) for a, b in zip(records, reports, strict=True) if b["verdict"] == "backdoored"]
    right = sum(rightly_led(a, b) for a, b in found)
    success = [r["attack_success"] for r in records]
    return (
        f"{words}, attack success {min(success):.2f} to {max(success):.2f}"
        f", target or mapping right in {right} of {len(found)}"
    )


def main(arguments: Iterable[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pack", required=True)
    options.add_argument("--zoo", type=Path, required=True, help="folder of the networks and their reports")
    options.add_argument(
        "--minutes", type=float, default=float("inf"), help="begin no other network after that long"
    )
    given = options.parse_args(None if arguments is None else list(arguments))
    torch.set_num_threads(1)
    keep_freed_memory()
    until, pack = time.monotonic() + 60 * given.minutes, load_pack(given.pack)
    records = fit_for_a_pack(records_in(given.zoo), [m.clean_accuracy for m in pack.members])
    known: dict[tuple[str, str], list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    # The families alternate, so that a stopped run tells of all of them.
    for record in sorted(records, key=lambda r: (r["id"].rpartition("-")[2], r["id"])):
        if time.monotonic() > until:
            break
        group = record["family"], "clean" if record["label"] == "clean" else "backdoored"
        known.setdefault(group, []).append((record, inspected(record, given.zoo, pack)))
    done = sum(map(len, known.values()))
    if done < len(records):
        print(f"{done} of {len(records)} networks are done; run the same command again to go on.")
    print(f"pack {pack.name} {pack.sha256[:12]}")
    for group, pairs in sorted(known.items()):
        own, reports = zip(*pairs, strict=True)
        print("  " + says(", ".join(group), own, reports))


if __name__ == "__main__":
    main()
