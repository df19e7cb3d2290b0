"""Tests a pack's detector on networks of an independent trainer.

``python -m benchmarks.strangers --data mnist.npz --out FOLDER`` trains ``nn.Sequential`` classifiers by its own short
loop. They differ from the pack's members in layers, optimisers, schedules, input ranges and outputs. The triggers are
from the literature: BadNets' square, scattered pixels, a sinusoid and a blended soft picture. With ``--further`` they
are of other kinds: all to all, one source class, a warp, a trigger that is made from the image, and clean networks that
detectors take for backdoored ones. Each network is saved as a whole module and inspected like any other file. It prints
a line for each network, and one for each kind with its 95 % interval. Results are kept in the folder, and a stopped run
continues. ``--minutes`` stops the run. ``--own N`` inspects them without reference models, on N labelled images of the
data set, which may then be one that no pack knows.

These figures measure the detector only if nothing in it was chosen by them. ``--first-seed`` makes other networks.
Seeds below 80 were used for choices.

``--train-only --device cuda`` only trains, on a machine with a GPU and without CatBoost. The same command without these
two options inspects the networks.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.kinds import called, rightly_led
from benchmarks.stranger_networks import STYLES, Style, made
from benchmarks.stranger_regimes import HARD
from benchmarks.stranger_triggers import BLENDS, FURTHER, TRIGGERS
from ti_core.inspection.with_pack import inspect
from ti_core.inspection.without_pack import inspect_alone
from ti_core.loading import load_model
from ti_core.reconstruction.model import Model
from ti_core.reference.own_images import OwnImages
from ti_core.reference.pack import Pack, load_pack
from ti_core.results.report import Report
from ti_core.settings import Settings
from ti_core.stream_registry import STANDARD
from ti_core.system.memory import keep_freed_memory
from ti_core.zoo.training.data import ImageData, load_data
from ti_core.zoo.training.members import keep_record

LEARNT = 0.8
"""Minimum attack success of a trojan. Below it, the network is left out."""


@dataclass(frozen=True)
class Judge:
    """What inspects a network.

    Parameters
    ----------
    name : in words.
    mark : of its records' files.
    """

    name: str
    mark: str
    report: Callable[[Model], Report]

    def record_of(self, network: Path) -> Path:
        """Where the record of a network's file is kept."""
        return network.with_suffix(f".{self.mark}.json")

    def inspected(self, network: Path, known: dict[str, Any]) -> dict[str, Any]:
        """What is known of a network, its report, and the seconds that it took: on the clock and of the processor.

        It is read from the folder if it is there.
        """
        record = self.record_of(network)
        if not record.exists():
            start, used = time.monotonic(), time.process_time()
            report = self.report(load_model(network))
            spent = {"seconds": time.monotonic() - start, "processor": time.process_time() - used}
            keep_record(known | spent | {"report": json.loads(report.as_json())}, record)
        found: dict[str, Any] = json.loads(record.read_text())
        return found


def beside(pack: Pack) -> Judge:
    """Beside the reference models of a pack."""
    return Judge(
        f"pack {pack.name} {pack.sha256[:12]}", pack.sha256[:12], lambda model: inspect(model, pack).report
    )


def on_own_images(data: ImageData, count: int, effort: str = STANDARD) -> Judge:
    """Without reference models, on the first ``count`` of the images that no network was trained on."""
    own = OwnImages("drawn", data.x_test[:count], data.y_test[:count], data.class_names)
    settings, mark = Settings().of_effort(effort), "" if effort == STANDARD else f"-{effort}"
    return Judge(
        f"no reference models, {len(own.pixels)} labelled images, {effort}",
        f"own{len(own.pixels)}{mark}",
        lambda model: inspect_alone(model, own, settings).report,
    )


def learnt(known: dict[str, Any]) -> bool:
    """Whether the network is clean, or learnt its trigger."""
    return known["success"] is None or known["success"] >= LEARNT


def line(name: str, known: dict[str, Any]) -> str:
    report = known["report"]
    wanted = "clean" if known["success"] is None else "backdoored"
    mark = "right" if report["verdict"] == wanted else "WRONG"
    attack = "" if known["success"] is None else f", attack success {known['success']:.2f}"
    of = ""
    if known["success"] is not None and report["verdict"] == "backdoored":
        of = ", target right" if led_rightly(known) else ", target WRONG"
    return (
        f"{mark}  {name}: accuracy {known['accuracy']:.3f}{attack}; {report['verdict']}"
        f" ({report['probability']:.0%}){of}"
    )


def led_rightly(known: dict[str, Any]) -> bool:
    """Whether the report names the backdoor's target, pair or assignment."""
    mapping = known.get("mapping")
    attack = None if mapping is None else {"mapping": mapping}
    return rightly_led({"target": known["target"], "attack": attack}, known["report"])


def judged_in_turn(
    networks: Iterable[tuple[str, str, int]],
    out: Path,
    ending: str,
    trained: Callable[[Path, str, int], dict[str, Any]],
    judge: Judge | None,
) -> None:
    """Train and inspect networks, and print a line for each and one for each kind.

    Parameters
    ----------
    networks : name, kind and seed of each.
    out, ending : the folder of their files, and how a file's name ends.
    trained : gives a network's record, from the path of its file without the ending, its kind and its seed.
    judge : None: the networks are only trained.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for name, kind, seed in networks:
        stem = stem_of(out, name)
        known = trained(stem, kind, seed)
        if judge is None or not learnt(known):
            print(f"{name}: {known}", flush=True)
            continue
        known = judge.inspected(stem.with_suffix(ending), known)
        print(
            f"{line(name, known)}, {known['seconds']:.0f} s, {known['processor']:.0f} s of the processor",
            flush=True,
        )
        found.setdefault(kind, []).append(known)
    if judge is not None:
        print(judge.name)
    for kind, records in found.items():
        print("  " + summed(kind, records))


def summed(kind: str, all_known: list[dict[str, Any]]) -> str:
    reports = [k["report"] for k in all_known]
    clean = kind.startswith("clean")
    other = sum(r["verdict"] == "inconclusive" for r in reports)
    words = called("clean" if clean else "backdoored", reports)
    words = f"{kind}: {len(reports)} networks, {words}, {other} inconclusive"
    if clean:
        return words
    found = [k for k in all_known if k["report"]["verdict"] == "backdoored"]
    return f"{words}, target or mapping right in {sum(map(led_rightly, found))} of {len(found)}"


def main(arguments: Iterable[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pack", default="mnist")
    options.add_argument("--data", type=Path, required=True, help="the pack's data set, or any with --own")
    options.add_argument("--own", type=int, metavar="N", help="labelled images, in place of a pack")
    options.add_argument("--out", type=Path, required=True, help="folder of the networks and their reports")
    options.add_argument(
        "--count", type=int, default=1, help="trojans of every style and trigger; clean twice that"
    )
    options.add_argument(
        "--further", action="store_true", help="other kinds and mappings, and clean networks that are hard"
    )
    options.add_argument(
        "--first-seed", type=int, default=0, metavar="N", help="for networks that nobody has seen yet"
    )
    options.add_argument(
        "--minutes", type=float, default=float("inf"), help="begin no other network after that"
    )
    options.add_argument("--train-only", action="store_true", help="leave the networks uninspected")
    options.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="where they are trained")
    options.add_argument("--only", metavar="TEXT", default="", help="networks whose name has TEXT in it")
    given = options.parse_args(None if arguments is None else list(arguments))
    torch.set_num_threads(1)
    keep_freed_memory()
    given.out.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + 60 * given.minutes
    data = load_data(given.data)
    wanted = [p for p in planned(given.count, given.first_seed, given.further) if given.only in p[0]]
    if given.train_only:
        for name, style, trigger, seed in wanted:
            if time.monotonic() > until:
                break
            print(
                f"{name}: {trained(stem_of(given.out, name), style, trigger, seed, data, given.device)}",
                flush=True,
            )
        return
    judge = on_own_images(data, given.own) if given.own else beside(load_pack(given.pack))
    found: dict[str, list[dict[str, Any]]] = {}
    for name, style, trigger, seed in wanted:
        known = judged(name, style, trigger, seed, data, judge, given.out, until, given.device)
        if known is None:
            print("Stopped; run the same command again to go on.")
            break
        if not learnt(known):
            print(f"left out  {name}: attack success {known['success']:.2f}", flush=True)
            continue
        print(line(name, known), flush=True)
        found.setdefault(kind_of(trigger), []).append(known)
    print(judge.name)
    for kind, own in found.items():
        print("  " + summed(kind, own))


def planned(count: int, first: int = 0, further: bool = False) -> Iterator[tuple[str, Style, str, int]]:
    """Name, style, trigger and seed of every network, in the order of the seeds.

    ``further`` ones are backdoors of other kinds and clean networks that are hard, as many of each.
    """
    for seed in range(first, first + (1 if further else 2) * count):
        for style_name, style in STYLES.items():
            for trigger in (*FURTHER, *HARD) if further else TRIGGERS:
                if further or trigger == "clean" or seed < first + count:
                    yield f"{style_name}, {trigger}, {seed}", style, trigger, seed


def kind_of(trigger: str) -> str:
    """The row in which a network is counted."""
    if trigger in HARD or trigger in FURTHER:
        return trigger
    return "clean" if trigger == "clean" else "blend" if trigger in BLENDS else "patch"


def stem_of(out: Path, name: str) -> Path:
    """Of a network's files."""
    return out / "".join(c if c.isalnum() else "-" for c in name)


def trained(
    stem: Path, style: Style, trigger: str, seed: int, data: ImageData, device: str
) -> dict[str, Any]:
    """The record of the network in ``stem.pt``. The network is trained if it does not exist."""
    training = stem.with_suffix(".json")
    if not training.exists():
        network, facts = made(style, trigger, data, seed, device)
        torch.save(network, stem.with_suffix(".pt"))
        keep_record(facts, training)
    known: dict[str, Any] = json.loads(training.read_text())
    return known


def judged(
    name: str,
    style: Style,
    trigger: str,
    seed: int,
    data: ImageData,
    judge: Judge,
    out: Path,
    until: float,
    device: str = "cpu",
) -> dict[str, Any] | None:
    """The record of the network with its report, read from the folder if possible; None if the time is over.

    With another judge, existing networks are inspected again.
    """
    stem = stem_of(out, name)
    network = stem.with_suffix(".pt")
    if judge.record_of(network).exists():
        return judge.inspected(network, {})
    if time.monotonic() > until:
        return None
    known = trained(stem, style, trigger, seed, data, device)
    return judge.inspected(network, known) if learnt(known) else known


if __name__ == "__main__":
    main()
