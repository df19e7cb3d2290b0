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
from ti_core.text import few
from ti_core.zoo.plan.draw import hold_out
from ti_core.zoo.plan.recipe import Recipe
from ti_core.zoo.training.data import ImageData
from ti_core.zoo.training.members import is_trained, recipe_digest
from ti_core.zoo.training.records import read_record

STEP = 8
"""Smallest number of members that most plans grow by."""
HELD_OUT = 1 / 3
LARGEST_PLAN = 1 << 20
OWN = "own"
"""The way of ``pack build``, whose recipes are fitted to the images."""

Draw = Callable[[int, int], list[Recipe]]


@dataclass(frozen=True)
class Plan:
    """The plan that the networks of a zoo belong to.

    Parameters
    ----------
    images : SHA-256 of the images and labels to train with.
    architectures, seed : as asked for.
    counts : numbers of members that the plan was drawn with, one after the other.
    way : :data:`OWN`, or one of :data:`ti_core.zoo.plan.colour.WAYS`.
    bases, starts : ids of trained networks of other folders that members, and new bases, start from.
    """

    images: str
    architectures: tuple[str, ...]
    seed: int
    counts: tuple[int, ...]
    way: str = OWN
    bases: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()

    @property
    def step(self) -> int:
        """Smallest number of members that the plan grows by."""
        if self.way == "kinds":
            return 1
        return max(STEP, 4 * len(self.bases))

    @property
    def file(self) -> str:
        """Name of the plan's file. Plans whose networks may have the same names share a file.

        Records of networks end in ``.json``.
        """
        names = {"fresh": f"fresh{self.seed}", "kinds": f"kinds{self.seed}", "short": "short"}
        return f"{names.get(self.way, 'zoo')}.plan"


def digest_of_images(data: ImageData) -> str:
    """SHA-256 of the images and labels to train with."""
    digest = hashlib.sha256(json.dumps([list(data.x_train.shape), list(data.class_names)]).encode())
    digest.update(np.ascontiguousarray(data.x_train).data)
    digest.update(np.ascontiguousarray(data.y_train).data)
    return digest.hexdigest()


def settled(zoo: Path, wanted: Plan, draw: Draw) -> Plan:
    """The plan with at least ``wanted.counts[0]`` members, to which the networks in ``zoo`` belong.

    Raises
    ------
    SettingsError : the networks in ``zoo`` are of other images or architectures, of another seed or another way.
    """
    (count,) = wanted.counts
    known = _read(zoo / wanted.file)
    if known is None:
        before = _earlier(zoo, wanted, draw)
        return replace(wanted, counts=(before, count - before) if before else (count,))
    for name, says in (
        ("images", "other images"),
        ("architectures", "other architectures"),
        ("way", "another plan"),
        ("seed", "another seed"),
        ("bases", "other bases"),
        ("starts", "other networks to begin with"),
    ):
        if getattr(known, name) != getattr(wanted, name):
            option = "--zoo" if wanted.way == OWN else "--out"
            raise SettingsError(
                f"The networks in {zoo} were trained for {says}; give another folder with {option}, or remove this one."
            )
    more = count - sum(known.counts)
    return replace(known, counts=(*known.counts, more)) if more >= wanted.step else known


def grown(zoo: Path, wanted: Plan, draw: Draw) -> list[Recipe]:
    """The recipes of :func:`settled`."""
    return recipes_of(settled(zoo, wanted, draw), draw)


def recipes_of(plan: Plan, draw: Draw) -> list[Recipe]:
    """The recipes of a plan.

    The first part is drawn with the first count. Each further part is a plan of its own with other names. A network
    stays on its side of the split between fitting and testing when the plan grows.

    Parameters
    ----------
    draw : the recipes for a number of members and a seed.
    """
    recipes = draw(plan.counts[0], plan.seed)
    done = plan.counts[0]
    for count in plan.counts[1:]:
        seed = int(np.random.SeedSequence([plan.seed, done]).generate_state(1)[0] % 2**31)
        added = [
            _renamed(r, f"-after{done}", plan.bases) for r in draw(count, seed) if r.id not in plan.bases
        ]
        done += count
        recipes += hold_out(added, HELD_OUT, np.random.default_rng([plan.seed, done]), recipes)
    return recipes


def keep_plan(zoo: Path, plan: Plan) -> None:
    """Write down the plan in the zoo's folder, before its training begins."""
    zoo.mkdir(parents=True, exist_ok=True)
    partial = zoo / f"{plan.file}.partial"
    partial.write_text(json.dumps(asdict(plan), indent=1) + "\n")
    partial.replace(zoo / plan.file)


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
            record.get("way", OWN),
            tuple(record.get("bases", ())),
            tuple(record.get("starts", ())),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"{path} is not the plan of a zoo; remove it to train anew.") from error
    if not found.counts or min(found.counts) < 1:
        raise SettingsError(f"{path} is not the plan of a zoo; remove it to train anew.")
    return found


def _earlier(zoo: Path, wanted: Plan, draw: Draw) -> int:
    """The smaller number of members that a zoo without a written plan was begun with; 0 if there is none."""
    if not zoo.is_dir() or not any(zoo.glob("*.json")):
        return 0
    (count,) = wanted.counts
    all_of = {r.id for r in draw(count, wanted.seed)} - set(wanted.bases)
    names = {path.stem for path in zoo.glob("*.json")} & all_of
    digests = {name: found for name in sorted(names) if (found := _digest(zoo, name))}
    best, most = 0, 0
    for number in (count, *range(wanted.step, count, wanted.step)):
        matching = sum(
            digests.get(r.id) == recipe_digest(r) for r in draw(number, wanted.seed) if r.id in digests
        )
        if matching > most:
            best, most = number, matching
        if most == len(digests):
            break
    return best if best < count else 0


def _digest(zoo: Path, name: str) -> str | None:
    """The digest of the recipe that the network was trained by; None if the record is damaged."""
    try:
        return str(read_record(zoo / f"{name}.json").get("plan_digest"))
    except SettingsError:
        return None


def _renamed(recipe: Recipe, ending: str, bases: Sequence[str]) -> Recipe:
    """The recipe under another name. What it shares with a base that was given stays as it is."""
    if recipe.base in bases:
        return replace(recipe, id=recipe.id + ending)
    base = recipe.base and recipe.base + ending
    return replace(recipe, id=recipe.id + ending, group=recipe.group + ending, base=base)


def reused(recipes: Sequence[Recipe], zoo: Path) -> set[str]:
    """The ids of those that are trained already."""
    return {r.id for r in recipes if is_trained(r, zoo)}


def replaced(recipes: Sequence[Recipe], zoo: Path) -> set[str]:
    """The ids of recipes whose network in ``zoo`` was trained by another recipe of the same name."""
    return {r.id for r in recipes if _digest(zoo, r.id) not in (None, recipe_digest(r))}


def growth_sentences(plan: Plan, wanted: Plan, recipes: Sequence[Recipe], zoo: Path) -> list[str]:
    """Say how the plan differs from the one that was asked for, what is used again, and what is trained again."""
    (asked,), now = wanted.counts, sum(plan.counts)
    members = "members of each family" if plan.way == "kinds" else "members"
    said = []
    if asked < now:
        said.append(f"The plan in {zoo} has {now} {members} already; --count {asked} takes none away.")
    elif asked > now:
        said.append(
            f"The plan in {zoo} has {now} {members} and grows by at least {wanted.step}; it stays as it is."
        )
    elif len(plan.counts) > 1:
        parts = " + ".join(map(str, plan.counts))
        said.append(f"The plan grew to {parts} = {now} {members}; what is trained is kept.")
    if known := len(reused(recipes, zoo)):
        said.append(f"{known} of {len(recipes)} networks are trained already and are used again.")
    if others := sorted(replaced(recipes, zoo)):
        said.append(f"Trained by other recipes before, and trained again: {few(others)}.")
    return said
