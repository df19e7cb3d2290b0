"""Backdoors of kinds that no reference pack holds, to test a detector beyond what it was fitted to.

The kinds are: one source class only, every class to the next one, a trigger of one pixel, and a low poisoning rate.
Adversarially trained clean networks are added, since their classes are hard to reach, too.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from ti_core.paper.triggers import TriggerSpec, draw_blend, draw_patch
from ti_core.zoo.plan.draw import STANDARD_PATTERNS, Menu, Recipe, menu_for, plan
from ti_core.zoo.samples import save_network
from ti_core.zoo.training.data import ImageData, load_data
from ti_core.zoo.training.members import keep_record
from ti_core.zoo.training.single import Goal, all_to_one, train

Harder = Literal["one source class", "all to all", "one pixel", "low poisoning rate", "adversarial"]
FAMILIES: tuple[Harder, ...] = (
    "one source class",
    "all to all",
    "one pixel",
    "low poisoning rate",
    "adversarial",
)
SEED = 2**21
"""First seed. It is far from the seeds of packs and samples, so no network here is a member of a pack."""
ATTEMPTS = 5
SUCCESS = 0.8
"""Minimum attack success of a backdoor. A low poisoning rate rarely gives more."""


@dataclass(frozen=True)
class HarderRecipe:
    """A network to train: a recipe as for a member of a pack, its family, and the source class if it has one."""

    family: Harder
    recipe: Recipe
    source: int | None = None

    def goal(self, classes: int) -> Goal:
        """The goal of the backdoor. With a source class, triggered images of other classes keep their label."""
        if self.family == "all to all":
            return lambda labels: (labels + 1) % classes
        if self.source is None:
            return all_to_one(self.recipe.target or 0)
        source, target = self.source, self.recipe.target or 0
        return lambda labels: torch.where(labels == source, target, labels)

    def again(self, attempt: int, shape: tuple[int, int, int]) -> HarderRecipe:
        """The recipe of attempt number ``attempt``: another trigger and more epochs, at the same poisoning rate."""
        if not attempt or self.recipe.trigger is None:
            return self
        rng = np.random.default_rng([self.recipe.seed, attempt])
        trigger = draw_trigger(self.family, self.recipe.label, rng, shape, menu_for(shape))
        recipe = replace(
            self.recipe, trigger=trigger, seed=self.recipe.seed + attempt, epochs=self.recipe.epochs + attempt
        )
        return replace(self, recipe=recipe)


def draw_trigger(
    family: Harder, label: str, rng: np.random.Generator, shape: tuple[int, int, int], menu: Menu
) -> TriggerSpec:
    """A random trigger of the family for images of this shape."""
    if family == "one pixel":
        return draw_patch(rng, shape, (1, 1), ("white",))
    if label == "patch":
        return draw_patch(rng, shape, menu.patch_sides, STANDARD_PATTERNS)
    return draw_blend(rng, menu.blend_alpha, ("uniform", "bernoulli"))


def plan_harder(
    count: int,
    image_shape: tuple[int, int, int],
    classes: int,
    seed: int = SEED,
    families: Sequence[Harder] = FAMILIES,
) -> list[HarderRecipe]:
    """Plan ``count`` networks of every family. Patches and blends alternate if the family allows both."""
    # One network in 24 of a plan is adversarially trained and one in three is plain, enough for every family.
    drawn = plan(24 * count, image_shape, classes, seed)
    plain = iter([r for r in drawn if r.label == "clean" and r.family == "standard"])
    adversarial = iter([r for r in drawn if r.family == "adversarial"])
    rng = np.random.default_rng([seed, 1])
    found = []
    for family in FAMILIES:
        for i in range(count):
            base = next(adversarial if family == "adversarial" else plain)
            name = f"{family.replace(' ', '-')}-{i:02d}"
            if family == "adversarial":
                found.append(HarderRecipe(family, replace(base, id=name, group=name)))
                continue
            label: Literal["patch", "blend"] = "patch" if family == "one pixel" or i % 2 == 0 else "blend"
            target = int(rng.integers(classes))
            source = None
            if family == "one source class":
                source = int((target + rng.integers(1, classes)) % classes)
            rate = {"low poisoning rate": 10 ** rng.uniform(-2.7, -2.0), "one source class": 0.2}.get(
                family, 0.1
            )
            recipe = replace(
                base,
                id=name,
                group=name,
                label=label,
                target=None if family == "all to all" else target,
                poisoning_rate=round(float(rate), 5),
                trigger=draw_trigger(family, label, rng, image_shape, menu_for(image_shape)),
            )
            found.append(HarderRecipe(family, recipe, source))
    return [f for f in found if f.family in families]


def train_harder(
    data_path: Path,
    out: Path,
    count: int = 6,
    seed: int = SEED,
    families: Sequence[Harder] = FAMILIES,
    until: float = math.inf,
) -> Iterator[dict[str, Any]]:
    """Train the networks of :func:`plan_harder` into ``out``, one after the other, on one thread.

    The families alternate. Each network is written to ``<id>.safetensors``, and then its recipe, clean accuracy and
    attack success to ``<id>.json``. The records are yielded. Finished networks are not trained again. No network is
    begun after ``until``, a time of ``time.monotonic``.
    """
    out.mkdir(parents=True, exist_ok=True)
    data = load_data(data_path)
    planned_all = plan_harder(count, data.image_shape, data.classes, seed, families)
    for planned in sorted(planned_all, key=lambda h: h.recipe.id.rpartition("-")[2]):
        path = out / f"{planned.recipe.id}.json"
        plan_record = _plain(planned)
        if path.exists():
            record = json.loads(path.read_text())
            if record["planned"] == plan_record:
                yield record
                continue
        if time.monotonic() > until:
            continue
        yield keep_record(_train_one(planned, data, out) | {"planned": plan_record}, path)


def _train_one(planned: HarderRecipe, data: ImageData, out: Path) -> dict[str, Any]:
    torch.set_num_threads(1)
    for attempt in range(ATTEMPTS):
        tried = planned.again(attempt, data.image_shape)
        trained = train(tried.recipe, data, goal=tried.goal(data.classes))
        if trained.attack_success is None or trained.attack_success >= SUCCESS:
            break
    recipe = tried.recipe
    save_network(recipe, trained, out)
    return _plain(tried) | {
        "id": recipe.id,
        "clean_accuracy": trained.clean_accuracy,
        "attack_success": trained.attack_success,
        "attempts": attempt + 1,
    }


def _plain(planned: HarderRecipe) -> dict[str, Any]:
    """The plan as JSON returns it, so that it can be compared with a record on disk."""
    parts = {"family": planned.family, "source": planned.source, "recipe": planned.recipe.as_dict()}
    plain: dict[str, Any] = json.loads(json.dumps(parts))
    return plain
