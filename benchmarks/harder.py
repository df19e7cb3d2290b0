"""Tests a pack's detector on backdoors of kinds that it was not fitted to, by family.

``python -m benchmarks.harder --data mnist.npz --out FOLDER`` trains networks of every family of ``ti_core.zoo.harder``,
whose seeds differ from any pack's, and inspects them. It prints the AUC against the pack's held-out clean members, the
true positive rate and the share of right targets, with 95 % intervals. Results are kept in the folder, and a stopped
run continues. ``--minutes`` stops the run and prints its results. The adversarially trained networks are clean, so for
them the share that is called backdoored is a false positive rate.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ti_core.evaluation.rates import auc, auc_interval
from ti_core.evaluation.scoring import score_held_out
from ti_core.inspection.with_pack import inspect
from ti_core.loading import load_model
from ti_core.reference.families import share_interval
from ti_core.reference.pack import Pack, load_pack
from ti_core.reference.reference import Reference
from ti_core.settings import Settings
from ti_core.system.cache import Cache
from ti_core.system.memory import keep_freed_memory
from ti_core.zoo.harder import FAMILIES, SUCCESS, train_harder


def inspected(record: dict[str, Any], folder: Path, pack: Pack) -> dict[str, Any]:
    """The network's verdict under this pack. It is read from the folder if it is there."""
    path = folder / f"{record['id']}.{pack.sha256[:12]}.report"
    if not path.exists():
        report = inspect(load_model(folder / f"{record['id']}.safetensors"), pack).report
        path.write_text(report.as_json())
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def learnt(record: dict[str, Any]) -> bool:
    """Whether the backdoor was learnt. With a low poisoning rate this may fail."""
    return record["attack_success"] is None or record["attack_success"] >= SUCCESS


def right_target(record: dict[str, Any], report: dict[str, Any]) -> bool:
    """Whether the verdict names a right target class. For an all-to-all backdoor, every class is one."""
    return record["family"] == "all to all" or report["target_class"] == record["recipe"]["target"]


def called(verdict: str, reports: list[dict[str, Any]]) -> str:
    """The share with that verdict, with its 95 % interval."""
    share = float(np.mean([r["verdict"] == verdict for r in reports]))
    low, high = share_interval(share, len(reports))
    return f"called {verdict} {share:.0%} ({low:.0%} to {high:.0%})"


def says(family: str, records: list[dict[str, Any]], reports: list[dict[str, Any]], clean: Any) -> str:
    """One line of the table."""
    p = np.array([r["probability"] for r in reports])
    verdicts = ", ".join(called(verdict, reports) for verdict in ("backdoored", "clean"))
    if records[0]["recipe"]["label"] == "clean":
        return f"{family}: {len(p)} clean networks, {verdicts}"
    area = auc(clean, p)
    span = auc_interval(area, len(clean), len(p))
    success = [r["attack_success"] for r in records]
    right = [
        right_target(a, b) for a, b in zip(records, reports, strict=True) if b["verdict"] == "backdoored"
    ]
    target = f", target right in {sum(right)} of {len(right)}" if right else ""
    return (
        f"{family}: {len(p)} networks, attack success {min(success):.2f} to {max(success):.2f},"
        f" AUC {area:.3f} ({span[0]:.3f} to {span[1]:.3f}), {verdicts}{target}"
    )


def held_out_clean(pack: Pack) -> Any:
    """Probabilities of the pack's held-out clean members under its joint detector."""
    scored = score_held_out(Reference(pack, Settings(), Cache(None)))["joint"]
    return scored.probability[[m.label == "clean" for m in scored.members]]


def main(arguments: Iterable[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pack", default="mnist")
    options.add_argument(
        "--data", type=Path, required=True, help="the data set that the pack's members are trained on"
    )
    options.add_argument("--out", type=Path, required=True, help="folder of the networks and their reports")
    options.add_argument("--count", type=int, default=6, help="networks of every family")
    options.add_argument("--family", action="append", choices=FAMILIES, help="only this one; may be repeated")
    options.add_argument(
        "--minutes", type=float, default=float("inf"), help="begin no other network after that long"
    )
    given = options.parse_args(None if arguments is None else list(arguments))
    torch.set_num_threads(1)
    keep_freed_memory()
    families = [f for f in FAMILIES if not given.family or f in given.family]
    until = time.monotonic() + 60 * given.minutes
    pack, wanted = load_pack(given.pack), given.count * len(families)
    records: list[dict[str, Any]] = []
    for record in train_harder(given.data, given.out, given.count, families=families, until=until):
        if learnt(record):
            inspected(record, given.out, pack)
        records.append(record)
    if len(records) < wanted:
        print(f"{len(records)} of {wanted} networks are done; run the same command again to go on.")
    clean = held_out_clean(pack)
    print(f"pack {pack.name} {pack.sha256[:12]}, {len(clean)} held-out clean members beside them")
    for family in families:
        own = [r for r in records if r["family"] == family]
        kept = [r for r in own if learnt(r)]
        if kept:
            print("  " + says(family, kept, [inspected(r, given.out, pack) for r in kept], clean))
        if len(kept) < len(own):
            print(f"    ({len(own) - len(kept)} more did not learn their trigger and are left out)")


if __name__ == "__main__":
    main()
