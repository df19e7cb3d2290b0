"""The plan of a zoo that grows: with a larger ``--count``, what was trained before stays a part of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ti_core.errors import SettingsError
from ti_core.system.plain_files import read_plain
from ti_core.system.strict_json import parse
from ti_core.zoo.plan.draw import hold_out
from ti_core.zoo.plan.recipe import Recipe
from ti_core.zoo.training.data import ImageData
from ti_core.zoo.training.members import is_trained

PLAN = "zoo.plan"
"""File in a zoo's folder that says which plan its networks are of. Records of networks end in ``.json``."""
STEP = 8
"""A plan's number of members is a multiple of it."""
HELD_OUT = 1 / 3
LARGEST_PLAN = 1 << 20

Draw = Callable[[int, int], list[Recipe]]


@dataclass(frozen=True)
class Plan:
    """What the networks of a zoo are of.

    Parameters
    ----------
    images : SHA-256 of the images and labels to train with.
    architectures, seed : as asked for.
    counts : numbers of members that the plan was drawn with, one after the other.
    """

    images: str
    architectures: tuple[str, ...]
    seed: int
    counts: tuple[int, ...]


def digest_of_images(data: ImageData) -> str:
    """SHA-256 of the images and labels to train with."""
    digest = hashlib.sha256(json.dumps([list(data.x_train.shape), list(data.class_names)]).encode())
    digest.update(np.ascontiguousarray(data.x_train).data)
    digest.update(np.ascontiguousarray(data.y_train).data)
    return digest.hexdigest()


def grown(zoo: Path, wanted: Plan, draw: Draw) -> list[Recipe]:
    """The recipes of a plan with at least ``wanted.counts[0]`` members, to which those in ``zoo`` belong.

    The first part is the plan of the first count. Each further part is a plan of its own with other names. Which
    members are held out from fitting is drawn over all parts.

    Parameters
    ----------
    draw : the recipes for a number of members and a seed.

    Raises
    ------
    SettingsError : the networks in ``zoo`` are of other images or architectures, or of another seed.
    """
    counts = _counts(zoo, wanted, draw)
    recipes = draw(counts[0], wanted.seed)
    done = counts[0]
    for count in counts[1:]:
        seed = int(np.random.SeedSequence([wanted.seed, done]).generate_state(1)[0] % 2**31)
        recipes += [_renamed(r, f"-after{done}") for r in draw(count, seed)]
        done += count
    if len(counts) > 1:
        recipes = hold_out(recipes, HELD_OUT, np.random.default_rng([wanted.seed, done]))
    return recipes


def keep_plan(zoo: Path, wanted: Plan, draw: Draw) -> None:
    """Write down the plan of :func:`grown` in the zoo's folder, before its training begins."""
    kept = asdict(replace(wanted, counts=_counts(zoo, wanted, draw)))
    zoo.mkdir(parents=True, exist_ok=True)
    partial = zoo / f"{PLAN}.partial"
    partial.write_text(json.dumps(kept, indent=1) + "\n")
    partial.replace(zoo / PLAN)


def _counts(zoo: Path, wanted: Plan, draw: Draw) -> tuple[int, ...]:
    count = max(STEP, wanted.counts[0] // STEP * STEP)
    known = _read(zoo / PLAN)
    if known is None:
        before = _earlier(zoo, count, wanted.seed, draw)
        return (before, count - before) if before else (count,)
    for name, says in (
        ("images", "other images"),
        ("architectures", "other architectures"),
        ("seed", "another seed"),
    ):
        if getattr(known, name) != getattr(wanted, name):
            raise SettingsError(
                f"The networks in {zoo} were trained for {says}; give another folder with --zoo, or remove this one."
            )
    more = count - sum(known.counts)
    return (*known.counts, more) if more >= STEP else known.counts


def _read(path: Path) -> Plan | None:
    if not path.exists():
        return None
    try:
        record: dict[str, Any] = parse(read_plain(path, LARGEST_PLAN, SettingsError))
        found = Plan(
            record["images"],
            tuple(record["architectures"]),
            record["seed"],
            tuple(map(int, record["counts"])),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{path} is not the plan of a zoo; remove it to train anew.") from error
    if not found.counts or min(found.counts) < STEP:
        raise SettingsError(f"{path} is not the plan of a zoo; remove it to train anew.")
    return found


def _earlier(zoo: Path, count: int, seed: int, draw: Draw) -> int:
    """The smaller number of members that a zoo without a written plan was begun with; 0 if there is none."""
    if not zoo.is_dir() or not any(zoo.glob("*.json")):
        return 0
    trained = {n: sum(is_trained(r, zoo) for r in draw(n, seed)) for n in range(STEP, count + 1, STEP)}
    best = max(trained, key=lambda n: (trained[n], n))
    return best if best < count and trained[best] else 0


def _renamed(recipe: Recipe, ending: str) -> Recipe:
    base = recipe.base and recipe.base + ending
    return replace(recipe, id=recipe.id + ending, group=recipe.group + ending, base=base)


def reused(recipes: Sequence[Recipe], zoo: Path) -> set[str]:
    """The ids of those that are trained already."""
    return {r.id for r in recipes if is_trained(r, zoo)}
