"""``zoo train`` and ``zoo samples``: argument values in, exit code out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ti_core.cli.options import _enough
from ti_core.cli.output import resolved
from ti_core.errors import SettingsError

if TYPE_CHECKING:
    from ti_core.zoo.plan.recipe import Recipe
    from ti_core.zoo.training.data import ImageData


def zoo(options: argparse.Namespace) -> int:
    """``zoo train`` and ``zoo samples``."""
    if options.verb == "samples":
        _samples(options)
    else:
        _train(options)
    return 0


def _samples(options: argparse.Namespace) -> None:
    """Train the demonstration models."""
    from ti_core.zoo.samples import SEED, train_samples

    for record in train_samples(
        options.data, options.out, SEED if options.seed is None else options.seed, bases=options.bases
    ):
        print(f"{record['id']}: clean accuracy {record['clean_accuracy']:.3f}")


def _train(options: argparse.Namespace) -> None:
    """Train reference models, and say what can enter a pack."""
    from ti_core.zoo.plan.colour import MENUS, SUCCESS
    from ti_core.zoo.training.admission import MINIMUM_SUCCESS, SUCCESS_OF_KINDS
    from ti_core.zoo.training.data import load_data
    from ti_core.zoo.training.members import train_zoo, zoo_text

    _enough(options.count)
    if options.engine != "batched" and (options.minutes is not None or options.device != "auto"):
        raise SettingsError("--minutes and --device are for --engine batched.")
    data = load_data(options.data, options.size)
    success = SUCCESS if data.name in MENUS else MINIMUM_SUCCESS
    if options.way == "kinds":
        success = SUCCESS_OF_KINDS
    recipes = _planned(options, data)
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


def _planned(options: argparse.Namespace, data: ImageData) -> list[Recipe]:
    """The recipes, with those of an earlier and smaller run; networks of other folders are copied to this one.

    What the plan keeps and adds is printed.
    """
    from ti_core.zoo.plan.colour import plan_for
    from ti_core.zoo.training.growth import (
        Plan,
        digest_of_images,
        growth_sentences,
        keep_plan,
        recipes_of,
        settled,
    )
    from ti_core.zoo.training.members import adopt_bases, adopt_starts, bases_in

    folder = _bases_folder(options)
    bases = bases_in(folder) if folder else []
    start = resolved(options.begin_with) if options.begin_with else None
    starts = {f"{start.name}/{base.id}": base for base in bases_in(start)} if start else None

    def draw(count: int, seed: int) -> list[Recipe]:
        return plan_for(
            *(data.name, count, data.image_shape, data.classes, seed, options.way),
            bases=bases,
            starts=starts,
            images=len(data.x_train),
            families=tuple(filter(None, (options.families or "").split(","))),
            named=options.seed,
        )

    given = tuple(base.id for base in bases), tuple(starts or ())
    wanted = Plan(digest_of_images(data), (), options.seed, (options.count,), options.way, *given)
    # Options that do not fit together are refused before the folder is looked at.
    draw(options.count, options.seed)
    plan = settled(options.out, wanted, draw)
    recipes = recipes_of(plan, draw)
    if folder:
        adopt_bases(bases, folder, options.out)
    if start:
        adopt_starts(recipes, start, options.out)
    keep_plan(options.out, plan)
    for sentence in growth_sentences(plan, wanted, recipes, options.out):
        print(sentence, flush=True)
    return recipes


def _bases_folder(options: argparse.Namespace) -> Path | None:
    """The folder of the trained bases. A pack's clean networks are written to a folder beside the results first."""
    if not options.bases:
        return None
    from_pack, _, name = options.bases.partition("pack:")
    if from_pack or not name:
        return Path(options.bases)
    from ti_core.cli.bar import opened
    from ti_core.reference.pack import load_pack
    from ti_core.zoo.packs.bases import write_bases

    folder: Path = options.out / f"bases-of-{name}"
    write_bases(opened(load_pack(name)), folder)
    return folder
