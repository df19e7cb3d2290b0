"""``pack``: argument values in, exit code out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ti_core.cli.options import _enough, pairs
from ti_core.cli.terminal import complain
from ti_core.errors import PackError, SettingsError
from ti_core.settings import Settings
from ti_core.text import shown

if TYPE_CHECKING:
    from ti_core.reference.pack import Pack


def pack(options: argparse.Namespace) -> int:
    """``pack list``, ``add``, ``wheel``, ``info``, ``verify``, ``renew``, ``learn``, ``extend`` and ``build``."""
    from ti_core.cli.bar import opened
    from ti_core.reference.known import added_packs
    from ti_core.reference.pack import load_pack, pack_names

    if options.verb == "add":
        from ti_core.cli.shell.pack_add import add_pack

        print(add_pack(options.source, options.name, options.sha256))
        return 0
    if options.verb == "wheel":
        from ti_core.cli.shell.pack_wheel import pack_wheel

        print(pack_wheel(load_pack(options.name), options.out))
        return 0
    if options.verb == "list":
        own = pack_names()
        for name in sorted({*own, *added_packs()}):
            found = load_pack(name)
            data_set = shown(str(found.record["data_set"]))
            other = "" if name in own else "; not this version's own, used only with --pack"
            print(f"{shown(name)}: {data_set}, {len(found.members)} members, {found.sha256[:12]}{other}")
        return 0
    if options.verb == "info":
        from ti_core.cli.tables import pack_text

        print(pack_text(load_pack(options.name)))
        return 0
    if options.verb == "verify":
        problems = _problems(load_pack(options.name), options.members)
        if problems:
            raise PackError(f"Pack {options.name!r} does not verify: {' '.join(problems)}")
        print(f"Pack {options.name!r} verifies.")
        return 0
    if options.verb == "renew":
        from ti_core.zoo.packs.build import renew_pack

        stale = renew_pack(opened(load_pack(options.name)), options.jobs, options.engine)
        print(f"Computed anew: {', '.join(stale)}." if stale else "Nothing has changed since it was made.")
        return 0
    if options.verb == "learn":
        from ti_core.cli.opinions.learning import learn_on

        return learn_on(opened(load_pack(options.name)), options.methods, options.out)
    if options.verb == "extend":
        from ti_core.zoo.packs.extend import extend_pack

        rest = options.without, options.jobs, options.engine, True, options.streams
        _told(extend_pack(opened(load_pack(options.name)), options.zoo, options.out, *rest), options.out)
        return 0
    _build(options)
    return 0


def _problems(found: Pack, members: int | None) -> list[str]:
    """What does not verify. Only a pack that comes with the program is opened in this process."""
    from ti_core.cli.bar import Bar
    from ti_core.reference.known import is_known

    if members is not None and members < 0:
        raise SettingsError(f"--members is at least 0, not {members}.")
    bar = Bar(found.name)
    try:
        if is_known(found):
            from ti_core.reference.verify import verify_pack

            return verify_pack(found, members, lambda line: print(line, flush=True), bar)
        from ti_core.worker.pack_jobs import verify_apart

        return verify_apart(found, members, print, bar)
    finally:
        bar.close()


def _told(made: Pack, out: Path) -> None:
    """Print what a new pack holds and how well it detects."""
    from ti_core.cli.tables import evaluation_text, few_networks
    from ti_core.evaluation import Row

    print(f"Pack {made.name!r}: {len(made.members)} members in {shown(str(out))}.")
    if not made.record["table"]:
        print("No member is held out from fitting, so how well it detects was not measured; raise --count.")
    else:
        rows = [Row(**row) for row in made.record["table"]]
        print(evaluation_text(made, rows))
        if note := few_networks(rows):
            complain(note)


def _build(options: argparse.Namespace) -> None:
    """Build a pack in one of three ways, and print what it holds and how well it detects."""
    from ti_core.zoo.packs.build import build_pack

    settings = pairs(options.settings)
    if options.estimate:
        _estimate(options, Settings.parse(settings))
        return
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
            warn=complain,
        )
    _told(built, options.out)


def _estimate(options: argparse.Namespace, settings: Settings) -> None:
    """Say how long a pack of the user's own images would take."""
    from ti_core.cli.shell.pack_estimate import estimated

    if options.from_tdc or (options.zoo and not options.architecture):
        raise SettingsError(
            "--estimate is for images alone; with --from-tdc or --zoo the networks are there."
        )
    _enough(options.count)
    plan = options.data, options.architecture, _zoo_of(options), options.count, options.seed
    estimated(*plan, settings, options.jobs, options.size, print, complain)


def _zoo_of(options: argparse.Namespace) -> Path:
    out: Path = options.out
    zoo: Path | None = options.zoo
    return zoo or out.with_name(f"{out.name}-zoo")


def _import(options: argparse.Namespace) -> None:
    from ti_core.cli.bar import Bar
    from ti_core.zoo.challenge.networks import import_challenge
    from ti_core.zoo.training.members import zoo_text

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
        complain(f"Passed over: {sentence}")
    if not imported.records:
        raise PackError(f"No network below {options.from_tdc} classifies the images of {options.data.name}.")
    print(zoo_text(imported.records), flush=True)
