"""Asks how far clean networks go in the streams that judge by themselves, and how far those with a backdoor do.

``python -m benchmarks.by_itself --stream warp --out FILE`` runs the stream on the fitted members of the bundled packs
that are clean or of a kind that it looks for, and on the fitted networks of a folder of ``zoo train --way kinds`` that
is given with ``--zoo PACK=FOLDER``. Evidence that a pack holds is taken from there. It prints, by pack and family, the
number of networks, and the smallest and largest value of what the stream judges by: for "assignment" the share of
images that were moved, for "warp" the lead of the first class. The results are kept in the file, and a stopped run
continues. ``--count`` limits the clean networks of a pack that holds no evidence, ``--minutes`` stops the run.
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
from ti_core.reference.pack import Member, Pack, load_pack, pack_names
from ti_core.reference.reference import Reference
from ti_core.streams import Evidence, Stream, stream_class
from ti_core.streams.assignment import strongest
from ti_core.streams.base import Array, as_stack
from ti_core.streams.warp import leads
from ti_core.system.cache import Cache
from ti_core.system.memory import keep_freed_memory
from ti_core.zoo.training.records import read_weights, records_in

STATISTICS: dict[str, Callable[[Evidence], Array]] = {"assignment": strongest, "warp": leads}
"""What each of the streams judges by, of stacked evidence."""

Network = tuple[str, str, Callable[[], Evidence]]
"""A network's name, its family, and how its evidence is had."""


def of_pack(pack: Pack, stream: Stream, count: int) -> Iterator[Network]:
    """The fitted members that are clean (``count`` at most if the pack lacks their evidence), or of its kinds."""
    reference = Reference(pack, pack.settings, Cache(None))
    context, held = reference.context(None), reference.serves_baseline(stream)
    clean = 0
    for place, member in enumerate(pack.members):
        wanted = not member.trojaned or (member.label in stream.kinds and member.mapping in stream.mappings)
        if member.held_out or not wanted or (not member.trojaned and clean >= count and not held):
            continue
        clean += not member.trojaned

        def evidence(place: int = place, member: Member = member) -> Evidence:
            if held:
                return {key: values[place] for key, values in pack.evidence_of(stream.name).items()}
            return stream.evidence(pack.scores(member).eval().requires_grad_(False), context)

        yield member.id, member.family if member.trojaned else "clean", evidence


def of_zoo(folder: Path, pack: Pack, stream: Stream) -> Iterator[Network]:
    """The fitted networks of a folder of trained ones, on the pack's images."""
    context = Reference(pack, pack.settings, Cache(None)).context(None)
    for record in records_in(folder):
        if record["held_out"]:
            continue

        def evidence(record: dict[str, object] = record) -> Evidence:
            network = build(str(record["architecture"]), **record["options"])  # type: ignore[arg-type]
            network.load_state_dict(
                {
                    k: v.float() if v.is_floating_point() else v
                    for k, v in read_weights(folder, str(record["id"])).items()
                }
            )
            scores = Scores(network.eval().requires_grad_(False), str(record["normalisation"]))
            return stream.evidence(scores, context)

        yield record["id"], record["family"], evidence


def summary(lines: Iterable[dict[str, object]]) -> Iterator[str]:
    """A line for every pack and family."""
    groups: dict[tuple[str, str], list[float]] = {}
    for line in lines:
        groups.setdefault((str(line["pack"]), str(line["family"])), []).append(float(str(line["value"])))
    for (pack, family), values in sorted(groups.items()):
        yield f"{pack}, {family}: {len(values)} networks, {min(values):.2f} to {max(values):.2f}"


def main(arguments: Iterable[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--stream", choices=STATISTICS, required=True)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--count", type=int, default=60)
    options.add_argument("--zoo", action="append", default=[], metavar="PACK=FOLDER")
    options.add_argument("--minutes", type=float, default=float("inf"))
    asked = options.parse_args(None if arguments is None else list(arguments))
    asked.out.touch()
    known = [json.loads(line) for line in asked.out.read_text().splitlines()]
    end = time.monotonic() + 60 * asked.minutes
    keep_freed_memory()
    torch.set_num_threads(1)
    stream = stream_class(asked.stream)()
    zoos = dict(pair.split("=", 1) for pair in asked.zoo)
    done = {(line["pack"], line["name"]) for line in known}
    for name in pack_names():
        pack = load_pack(name)
        further = of_zoo(Path(zoos[name]), pack, stream) if name in zoos else ()
        for network, family, evidence in [*of_pack(pack, stream, asked.count), *further]:
            if (name, network) in done or time.monotonic() > end:
                continue
            value = float(STATISTICS[asked.stream](as_stack(evidence()))[0])
            known.append({"pack": name, "name": network, "family": family, "value": round(value, 4)})
            with asked.out.open("a") as file:
                file.write(json.dumps(known[-1]) + "\n")
    print(*summary(known), sep="\n")


if __name__ == "__main__":
    main()
