"""Asks how far one pattern moves every class of clean networks to another one, and of all-to-all backdoors.

``python -m benchmarks.assignments --out FILE`` runs the stream ``assignment`` on fitted clean members of the bundled
packs, and on the fitted networks of a folder of ``zoo train --way kinds`` that is given with ``--zoo PACK=FOLDER``. It
prints, by pack and family, the number of networks and the smallest and largest share of images that were moved. The
results are kept in the file, and a stopped run continues. ``--minutes`` stops the run.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch

from ti_core.architectures import build
from ti_core.classifier.scores import Scores
from ti_core.reference.pack import Pack, load_pack, pack_names
from ti_core.reference.reference import Reference
from ti_core.streams.assignment import Assignment, strongest
from ti_core.streams.base import as_stack
from ti_core.system.cache import Cache
from ti_core.system.memory import keep_freed_memory
from ti_core.zoo.training.records import read_weights, records_in

Network = tuple[str, str, Callable[[], Scores]]
"""A network's name, its family, and how it is opened."""


def of_pack(pack: Pack) -> Iterator[Network]:
    for member in pack.members:
        if not member.held_out and not member.trojaned:
            yield member.id, "clean", lambda member=member: pack.scores(member)  # type: ignore[misc]


def of_zoo(folder: Path) -> Iterator[Network]:
    for record in records_in(folder):
        if record["held_out"]:
            continue

        def opened(record: dict[str, object] = record) -> Scores:
            network = build(str(record["architecture"]), **record["options"])  # type: ignore[arg-type]
            network.load_state_dict(
                {
                    k: v.float() if v.is_floating_point() else v
                    for k, v in read_weights(folder, str(record["id"])).items()
                }
            )
            return Scores(network.eval().requires_grad_(False), str(record["normalisation"]))

        yield record["id"], record["family"], opened


def summary(lines: Iterable[dict[str, object]]) -> Iterator[str]:
    """A line for every pack and family."""
    groups: dict[tuple[str, str], list[float]] = {}
    for line in lines:
        groups.setdefault((str(line["pack"]), str(line["family"])), []).append(float(str(line["share"])))
    for (pack, family), shares in sorted(groups.items()):
        yield f"{pack}, {family}: {len(shares)} networks, share moved {min(shares):.2f} to {max(shares):.2f}"


def main(arguments: Iterable[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--zoo", action="append", default=[], metavar="PACK=FOLDER")
    options.add_argument("--minutes", type=float, default=float("inf"))
    asked = options.parse_args(None if arguments is None else list(arguments))
    asked.out.touch()
    known = [json.loads(line) for line in asked.out.read_text().splitlines()]
    end = time.monotonic() + 60 * asked.minutes
    keep_freed_memory()
    torch.set_num_threads(1)
    zoos = dict(pair.split("=", 1) for pair in asked.zoo)
    done = {(line["pack"], line["name"]) for line in known}
    for name in pack_names():
        pack = load_pack(name)
        context = Reference(pack, pack.settings, Cache(None)).context(None)
        further = of_zoo(Path(zoos[name])) if name in zoos else ()
        for network, family, opened in [*of_pack(pack), *further]:
            if (name, network) in done or time.monotonic() > end:
                continue
            share = float(strongest(as_stack(Assignment().evidence(opened(), context)))[0])
            known.append({"pack": name, "name": network, "family": family, "share": round(share, 4)})
            with asked.out.open("a") as file:
                file.write(json.dumps(known[-1]) + "\n")
    print(*summary(known), sep="\n")


if __name__ == "__main__":
    main()
