"""Compares detectors of backdoors on the same networks: AUC and cross-entropy, each with its 95 % interval.

``python -m benchmarks.leaderboard --detector my_module:MyDetector --pack mnist`` asks a detector of yours about the
pack's held-out members. It is a class with one method, ``probability(subject)`` (:mod:`ti_core.evaluation.benchmark`).
Without ``--detector`` the program itself is entered, and the methods of other publications that were measured on the
pack. ``--strangers FOLDER`` takes the networks that ``benchmarks.strangers`` trained there instead of the members.
``--file FILE`` adds the entries to a leaderboard file; an earlier entry of the same detector and networks is replaced.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from benchmarks.strangers import kind_of as kind_of_trigger
from benchmarks.strangers import learnt
from ti_core.errors import ModelBehaviourError, SettingsError
from ti_core.evaluation.benchmark import (
    CLEAN,
    OURS,
    Detector,
    Entry,
    Network,
    entry,
    held_out,
    measure,
    name_of_held_out,
    ours,
    ranked,
)
from ti_core.loading import load_model
from ti_core.methods import method_class
from ti_core.methods.ask import subject_of
from ti_core.methods.beside import measured
from ti_core.reference.pack import Pack, load_pack, pack_names
from ti_core.system.cache import Cache, default_folder
from ti_core.system.memory import keep_freed_memory

LEADERBOARD = Path(__file__).resolve().parent.parent / "docs" / "leaderboard.json"
ENTRIES = TypeAdapter(tuple[Entry, ...])


def detector_named(name: str) -> Detector:
    """A detector made from ``MODULE:CLASS``.

    Raises
    ------
    SettingsError : there is no such class, or it lacks the method.
    """
    module, _, attribute = name.partition(":")
    try:
        made: Detector = getattr(import_module(module), attribute)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise SettingsError(
            f"There is no detector {name!r}; give MODULE:CLASS of a class that is made without arguments. ({error})"
        ) from error
    if not callable(getattr(made, "probability", None)):
        raise SettingsError(f"{name} has no method probability(subject); add one.")
    return made


def published(pack: Pack) -> Iterator[Entry]:
    """The methods that were measured on all held-out members. Some give no probability, and get an AUC only."""
    record = measured(pack) or {"versions": (), "members": ()}
    kinds = {m["id"]: m["kind"] for m in record["members"]}
    for name in record["versions"]:
        said = {m["id"]: m["statistics"][name] for m in record["members"] if name in m["statistics"]}
        if len(said) < len(kinds):
            continue
        method = method_class(name)
        is_probability = method.measures.startswith("probability")
        yield entry(method.title, name_of_held_out(pack), pack, kinds, said, probabilities=is_probability)


def strangers(folder: Path, pack: Pack) -> Iterator[Network]:
    """The networks of ``benchmarks.strangers`` in a folder. Those that did not learn their trigger are left out."""
    for path, record in _records(folder):
        try:
            subject = subject_of(load_model(path), pack)
        except ModelBehaviourError as error:
            print(f"left out  {path.stem}: {error}")
            continue
        yield Network(path.stem, _kind(record), subject)


def ours_on_strangers(folder: Path, pack: Pack) -> Entry:
    """This program's entry, from the reports that ``benchmarks.strangers`` left in the folder."""
    kinds, said = {}, {}
    for path, record in _records(folder):
        report = path.with_suffix(f".{pack.sha256[:12]}.json")
        if not report.is_file():
            raise SettingsError(f"{path.name} has no report; run python -m benchmarks.strangers first.")
        kinds[path.stem] = _kind(record)
        said[path.stem] = json.loads(report.read_text())["report"]["probability"]
    return entry(OURS, name_of_strangers(pack), pack, kinds, said)


def name_of_strangers(pack: Pack) -> str:
    """What a leaderboard calls them."""
    return f"networks of another trainer, with {pack.name}"


def _records(folder: Path) -> Iterator[tuple[Path, dict[str, object]]]:
    for path in sorted(folder.glob("*.pt")):
        record = json.loads(path.with_suffix(".json").read_text())
        if learnt(record):
            yield path, record


def _kind(record: dict[str, object]) -> str:
    return CLEAN if record["success"] is None else kind_of_trigger(str(record["trigger"]))


def read(path: Path) -> tuple[Entry, ...]:
    """The entries of a leaderboard file; none if there is no such file.

    Raises
    ------
    SettingsError : it is no leaderboard file.
    """
    try:
        return ENTRIES.validate_json(path.read_bytes()) if path.exists() else ()
    except ValidationError as error:
        raise SettingsError(f"{path} is no leaderboard file; name another one with --file.") from error


def kept(path: Path, entries: Iterable[Entry]) -> None:
    """Add entries to a leaderboard file."""
    together = {one.key: one for one in (*read(path), *entries)}
    path.write_text(json.dumps([one.as_dict() for one in ranked(together.values())], indent=1) + "\n")


def table(entries: Iterable[Entry]) -> str:
    """The leaderboard over all kinds, as a table of Markdown."""
    lines = [
        "| networks | pack | detector | clean, backdoored | cross-entropy (95 % interval) | AUC (95 % interval) |",
        "| --- " * 6 + "|",
    ]
    for one in ranked(entries):
        whole = one.rows[0]
        loss = "-"
        if whole.cross_entropy is not None:
            loss = (
                f"{whole.cross_entropy:.3f} ({whole.cross_entropy_low:.3f} to {whole.cross_entropy_high:.3f})"
            )
        lines.append(
            f"| {one.networks} | {one.pack_sha256[:8]} | {one.detector} | {whole.clean}, {whole.trojaned} | {loss} |"
            f" {whole.auc:.3f} ({whole.auc_low:.3f} to {whole.auc_high:.3f}) |"
        )
    return "\n".join(lines)


def entries_of(pack: Pack, detector: str | None, folder: Path | None) -> list[Entry]:
    """The entries that the options ask for."""
    if detector is None:
        if folder is not None:
            return [ours_on_strangers(folder, pack)]
        return [ours(pack, Cache(default_folder())), *published(pack)]
    asked = detector_named(detector)
    if folder is not None:
        return [measure(asked, strangers(folder, pack), name_of_strangers(pack), pack)]
    return [measure(asked, held_out(pack), name_of_held_out(pack), pack)]


def main(arguments: Iterable[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pack", action="append", metavar="NAME", help="default: all bundled packs")
    options.add_argument("--detector", metavar="MODULE:CLASS", help="default: the program itself")
    options.add_argument("--strangers", type=Path, metavar="FOLDER", help="networks of another trainer")
    options.add_argument("--file", type=Path, metavar="FILE", help="the leaderboard that the entries go to")
    given = options.parse_args(None if arguments is None else list(arguments))
    keep_freed_memory()
    found: list[Entry] = []
    for name in given.pack or pack_names():
        found += entries_of(load_pack(name), given.detector, given.strangers)
    if given.file is not None:
        kept(given.file, found)
    print(table(found))


if __name__ == "__main__":
    main()
