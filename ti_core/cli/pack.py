"""What ``pack``, ``zoo`` and ``evaluate`` do: argument values in, exit code out."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ti_core.cli.main import pairs
from ti_core.errors import PackError, SettingsError
from ti_core.settings import Settings
from ti_core.system.cache import Cache, default_folder

if TYPE_CHECKING:
    from ti_core.reference.pack import Pack

LEAST_MEMBERS = 8
"""Fewer members make no plan: one of each kind and family, and as many clean ones."""


def pack(options: argparse.Namespace) -> int:
    """``pack list``, ``info``, ``verify``, ``renew``, ``extend`` and ``build``."""
    from ti_core.reference.pack import load_pack, pack_names

    if options.verb == "list":
        for name in pack_names():
            found = load_pack(name)
            print(f"{name}: {found.record['data_set']}, {len(found.members)} members, {found.sha256[:12]}")
        return 0
    if options.verb == "info":
        from ti_core.cli.tables import pack_text

        print(pack_text(load_pack(options.name)))
        return 0
    if options.verb == "verify":
        from ti_core.reference.verify import verify_pack

        problems = verify_pack(load_pack(options.name), options.members or None, print)
        if problems:
            raise PackError(f"Pack {options.name!r} does not verify: {' '.join(problems)}")
        print(f"Pack {options.name!r} verifies.")
        return 0
    if options.verb == "renew":
        from ti_core.zoo.packs.build import renew_pack

        stale = renew_pack(load_pack(options.name), options.jobs, options.engine)
        print(f"Computed anew: {', '.join(stale)}." if stale else "Nothing has changed since it was made.")
        return 0
    if options.verb == "extend":
        from ti_core.zoo.packs.extend import extend_pack

        rest = options.without, options.jobs, options.engine
        _told(extend_pack(load_pack(options.name), options.zoo, options.out, *rest), options.out)
        return 0
    _build(options)
    return 0


def _told(made: Pack, out: Path) -> None:
    """Say what a pack that was just made holds and how well it detects."""
    from ti_core.cli.tables import evaluation_text
    from ti_core.evaluation import Row

    print(f"Pack {made.name!r}: {len(made.members)} members in {out}.")
    if made.record["table"]:
        print(evaluation_text(made, [Row(**row) for row in made.record["table"]]))


def _build(options: argparse.Namespace) -> None:
    """The three ways to a pack; each ends with what it holds and how well it detects."""
    from ti_core.zoo.packs.build import build_pack

    settings = pairs(options.settings)
    rest = options.jobs, options.size, True, options.engine
    if options.from_tdc:
        if options.architecture:
            raise SettingsError("--architecture says what to train; with --from-tdc nothing is trained.")
        settled = Settings.parse({**Settings.PAPER, **settings})
        _import(options)
        built = build_pack(_zoo_of(options), options.data, options.out, options.name, settled, *rest)
    elif options.zoo and not options.architecture:
        built = build_pack(
            options.zoo, options.data, options.out, options.name, Settings.parse(settings), *rest
        )
    else:
        from ti_core.zoo.packs.own import build_own_pack

        _enough(options.count)
        built = build_own_pack(
            options.data,
            options.out,
            options.architecture,
            options.zoo,
            options.name,
            options.count,
            options.seed,
            Settings.parse(settings),
            options.jobs,
            options.size,
            options.engine,
            say=lambda line: print(line, flush=True),
        )
    _told(built, options.out)


def _zoo_of(options: argparse.Namespace) -> Path:
    out: Path = options.out
    zoo: Path | None = options.zoo
    return zoo or out.with_name(f"{out.name}-zoo")


def _import(options: argparse.Namespace) -> None:
    from ti_core.cli.inspect import Bar
    from ti_core.cli.tables import zoo_text
    from ti_core.zoo.challenge.networks import import_challenge

    bar = Bar("opening networks")
    try:
        imported = import_challenge(
            options.from_tdc,
            options.data,
            _zoo_of(options),
            options.jobs,
            options.size,
            options.engine,
            options.seed,
            lambda done, count: bar(f"{done} of {count}", done / count),
        )
    finally:
        bar.close()
    for sentence in imported.passed_over:
        print(f"Passed over: {sentence}", file=sys.stderr)
    if not imported.records:
        raise PackError(f"No network below {options.from_tdc} classifies the images of {options.data.name}.")
    print(zoo_text(imported.records), flush=True)


def zoo(options: argparse.Namespace) -> int:
    """``zoo train`` and ``zoo samples``."""
    if options.verb == "samples":
        from ti_core.zoo.samples import SEED, train_samples

        for record in train_samples(
            options.data, options.out, SEED if options.seed is None else options.seed, bases=options.bases
        ):
            print(f"{record['id']}: clean accuracy {record['clean_accuracy']:.3f}")
        return 0
    from ti_core.cli.tables import zoo_text
    from ti_core.zoo.plan.colour import MENUS, SUCCESS, plan_for
    from ti_core.zoo.training.data import load_data
    from ti_core.zoo.training.members import MINIMUM_SUCCESS, adopt_bases, adopt_starts, bases_in, train_zoo

    _enough(options.count)
    if options.engine != "batched" and (options.minutes is not None or options.device != "auto"):
        raise SettingsError("--minutes and --device are for --engine batched.")
    data = load_data(options.data, options.size)
    success = SUCCESS if data.name in MENUS else MINIMUM_SUCCESS
    bases = bases_in(options.bases) if options.bases else []
    start = options.begin_with.resolve() if options.begin_with else None
    recipes = plan_for(
        *(data.name, options.count, data.image_shape, data.classes, options.seed, options.way),
        bases=bases,
        starts={f"{start.name}/{base.id}": base for base in bases_in(start)} if start else None,
        images=len(data.x_train),
    )
    if bases:
        adopt_bases(bases, options.bases, options.out)
    if start:
        adopt_starts(recipes, start, options.out)
    if options.engine == "batched":
        from ti_core.zoo.training.team_run import train_batched

        result = train_batched(
            options.data,
            options.out,
            recipes=recipes,
            size=options.size,
            device=options.device,
            minutes=options.minutes,
            success=success,
            say=lambda line: print(line, flush=True),
        )
        if result.left:
            print(f"{result.left} networks are left; the same command goes on with them.")
        records = list(result.records)
    else:
        records = train_zoo(
            options.data,
            options.out,
            jobs=options.jobs,
            recipes=recipes,
            size=options.size,
            engine=options.engine,
            success=success,
        )
    if any(r["family"] != "base" for r in records):
        print(zoo_text(records))
    return 0


def _enough(count: int) -> None:
    if count < LEAST_MEMBERS:
        raise SettingsError(f"--count is at least {LEAST_MEMBERS}, not {count}.")


def evaluate_pack(options: argparse.Namespace) -> int:
    """``evaluate --pack NAME``, at the pack's own settings but for those that ``--set`` turns."""
    from ti_core.cli.inspect import Bar
    from ti_core.reference.pack import load_pack
    from ti_core.system.memory import keep_freed_memory

    keep_freed_memory()
    found = load_pack(options.pack)
    settings = found.settings_with(pairs(options.settings))
    cache = Cache(default_folder())
    bar = Bar(found.name)
    rows: list[Any]
    try:
        if options.shift:
            from ti_core.cli.tables import shift_text
            from ti_core.evaluation.shift import shift

            shifted = shift(found, settings, options.members, cache, bar)
            rows, text = list(shifted.rows), shift_text(found, shifted)
        elif options.ablations:
            from ti_core.cli.tables import ablations_text
            from ti_core.evaluation.ablations import ablate

            ablated = ablate(found, settings, options.members, options.automl_budget, cache, bar)
            rows, text = list(ablated.rows), ablations_text(found, ablated)
        else:
            from ti_core.cli.tables import evaluation_text
            from ti_core.evaluation import evaluate

            rows = list(evaluate(found, settings, cache))
            text = evaluation_text(found, rows)
    finally:
        bar.close()
        cache.close()
    print(text)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps([r.as_dict() for r in rows], indent=2) + "\n", encoding="utf-8")
    return 0
