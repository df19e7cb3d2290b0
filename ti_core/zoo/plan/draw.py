"""Draws the recipes of a zoo from one seed, before any network is trained."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ti_core.architectures import ARCHITECTURES
from ti_core.paper.triggers import PatternKind, TriggerSpec, draw_blend, draw_patch
from ti_core.zoo.plan.menu import Menu, School, menu_for
from ti_core.zoo.plan.recipe import LABELS, Family, Label, Recipe

__all__ = [
    "LABELS",
    "STANDARD_PATTERNS",
    "Drawer",
    "Kinds",
    "Label",
    "Menu",
    "Recipe",
    "School",
    "hold_out",
    "menu_for",
    "plan",
]


STANDARD_PATTERNS: tuple[PatternKind, ...] = ("bernoulli", "uniform", "white", "checker", "colour")


def plan(
    count: int,
    image_shape: tuple[int, int, int],
    classes: int,
    seed: int,
    menu: Menu | None = None,
    held_out: float = 1 / 3,
) -> list[Recipe]:
    """Recipes of ``count`` members and of their bases. Half are clean, a quarter blends and a quarter patches.

    Half of the trojans are standard and half are the challenge's. A quarter of the clean members are fine-tuned twins,
    and about one in twelve is adversarially trained. ``count`` is rounded down to a multiple of 8.
    """
    rng = np.random.default_rng(seed)
    menu = menu or menu_for(image_shape)
    bases = count // 8
    drawer = Drawer(rng, menu, image_shape, classes)
    recipes: list[Recipe] = []
    for i, kinds in enumerate(drawer.spread(bases)):
        base = drawer.draw(f"base-{i:03d}", "clean", "base", kinds, None if i % 2 else "none")
        recipes.append(base)
        recipes += [drawer.fine_tuned(base, label, f"{label}-ft-{i:03d}") for label in LABELS]
    for label in ("blend", "patch"):
        recipes += [
            drawer.poisoned(f"{label}-{i:03d}", label, kinds) for i, kinds in enumerate(drawer.spread(bases))
        ]
    adversarial = max(1, count // 24)
    recipes += [
        replace(
            drawer.draw(f"adversarial-{i:03d}", "clean", "adversarial", kinds),
            epsilon=float(rng.uniform(0.05, 0.2) if image_shape[0] == 1 else rng.uniform(2, 8) / 255),
        )
        for i, kinds in enumerate(drawer.spread(adversarial))
    ]
    plain = count // 2 - bases - adversarial
    recipes += [
        drawer.draw(f"clean-{i:03d}", "clean", "standard", kinds)
        for i, kinds in enumerate(drawer.spread(plain))
    ]
    return hold_out(recipes, held_out, rng)


def hold_out(
    recipes: Sequence[Recipe], share: float, rng: np.random.Generator, before: Sequence[Recipe] = ()
) -> list[Recipe]:
    """Hold out a share of the groups of each label and family. A base is held out with all its members.

    Each architecture is held out in proportion, since groups are sorted by architecture and chosen at even distances.

    Parameters
    ----------
    before : recipes of an earlier part of the zoo, which count towards the share. Their groups stay on their side.
    """
    strata: dict[tuple[str, str], list[Recipe]] = {}
    for r in recipes:
        if r.base is None:
            strata.setdefault((r.label, r.family), []).append(r)
    chosen = {r.group for r in before if r.held_out}
    for kind, members in strata.items():
        order = sorted(rng.permutation(len(members)), key=lambda i: members[i].architecture)
        earlier = [r.held_out for r in before if r.base is None and (r.label, r.family) == kind]
        wanted = round(share * (len(earlier) + len(members))) - sum(earlier)
        wanted = min(max(wanted, 0), len(members))
        places = (np.arange(wanted) + rng.uniform()) * len(members) / max(1, wanted)
        chosen.update(members[order[int(p)]].group for p in places)
    return [replace(r, held_out=r.group in chosen) for r in recipes]


@dataclass(frozen=True)
class Kinds:
    """The index of one of the menu's networks, and an activation."""

    network: int
    activation: str


class Drawer:
    """Draws recipes from a menu. Every zoo depends on the order of the draws."""

    def __init__(
        self, rng: np.random.Generator, menu: Menu, image_shape: tuple[int, int, int], classes: int
    ) -> None:
        self.rng, self.menu, self.image_shape, self.classes = rng, menu, image_shape, classes

    def pick(self, options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def spread(self, count: int) -> list[Kinds]:
        """Architectures and activations of ``count`` networks, in proportion to their weights and in random order.

        With independent draws, the labels would by chance get different kinds, and a detector would learn that.
        """
        weights = np.array([w for w, _, _ in self.menu.networks])
        shares = np.cumsum(weights / weights.sum())
        networks = np.searchsorted(shares, (np.arange(count) + self.rng.uniform()) / max(1, count))
        activations = (np.arange(count) + int(self.rng.integers(12))) % len(self.menu.activations)
        return [
            Kinds(int(n), self.menu.activations[a])
            for n, a in zip(
                self.rng.permutation(networks.clip(max=len(weights) - 1)),
                self.rng.permutation(activations),
                strict=True,
            )
        ]

    def draw(
        self, id: str, label: Label, family: Family, kinds: Kinds, normalisation: str | None = None
    ) -> Recipe:
        rng, menu = self.rng, self.menu
        _, architecture, choices = menu.networks[kinds.network]
        options = {k: self.pick(v) for k, v in choices.items()}
        options |= {
            "in_channels": self.image_shape[0],
            "classes": self.classes,
            "activation": options.get("activation", kinds.activation),
            "size": self.image_shape[1],
        }
        known = inspect.signature(ARCHITECTURES[architecture].__init__).parameters
        options = {k: v for k, v in options.items() if k in known}
        school = menu.schools.get(architecture)
        if school is not None:
            return self._schooled(id, label, family, architecture, options, normalisation, school)
        # Without batch norm, training with large steps diverges for some activations.
        calm = 1.0 if options.get("norm", False) else 0.4
        optimiser = self.pick(("adam", "adam", "adamw", "sgd"))
        rate = float(
            10 ** rng.uniform(-2.8, -2.3) if optimiser != "sgd" else 10 ** rng.uniform(-1.5, -1.0) * calm
        )
        return Recipe(
            id=id,
            label=label,
            family=family,
            group=id,
            architecture=architecture,
            options=options,
            normalisation=normalisation or self.pick(menu.normalisations),
            optimiser=optimiser,
            learning_rate=round(rate, 6),
            weight_decay=self.pick((0.0, 1e-5, 1e-4)),
            epochs=int(rng.integers(menu.epochs[0], menu.epochs[1] + 1)),
            batch_size=self.pick((64, 128, 128)) if optimiser != "sgd" else 64,
            augmentation=self.pick(menu.augmentations),
            label_smoothing=self.pick((0.0, 0.0, 0.05, 0.1)),
            seed=int(rng.integers(2**31)),
        )

    def _schooled(
        self,
        id: str,
        label: Label,
        family: Family,
        architecture: str,
        options: dict[str, Any],
        normalisation: str | None,
        school: School,
    ) -> Recipe:
        low, high = np.log(school.rates)
        return Recipe(
            id=id,
            label=label,
            family=family,
            group=id,
            architecture=architecture,
            options=options,
            normalisation=normalisation or self.pick(self.menu.normalisations),
            optimiser=school.optimiser,
            learning_rate=round(float(np.exp(self.rng.uniform(low, high))), 6),
            weight_decay=self.pick(school.weight_decays),
            epochs=school.epochs,
            batch_size=school.batch_size,
            augmentation=self.pick(self.menu.augmentations),
            label_smoothing=self.pick(school.smoothings),
            seed=int(self.rng.integers(2**31)),
            precision=school.precision,
            small_epochs=round(school.small_share * school.epochs),
        )

    def poisoned(self, id: str, label: Label, kinds: Kinds) -> Recipe:
        trigger = self.poison(label)
        return replace(
            self.draw(id, label, "standard", kinds),
            trigger=trigger,
            target=int(self.rng.integers(self.classes)),
            poisoning_rate=round(float(10 ** self.rng.uniform(-2, -1)), 4),
        )

    def poison(self, label: Label) -> TriggerSpec:
        """A random trigger for standard poisoning."""
        if label == "patch":
            return draw_patch(self.rng, self.image_shape, self.menu.patch_sides, STANDARD_PATTERNS)
        return draw_blend(self.rng, self.menu.blend_alpha, ("uniform", "bernoulli"))

    def fine_tuned(self, base: Recipe, label: Label, id: str) -> Recipe:
        rng = self.rng
        common = replace(
            base,
            id=id,
            label=label,
            base=base.id,
            begun_from=None,
            optimiser="adam",
            learning_rate=self.menu.fine_tune_rate,
            weight_decay=0.0,
            epochs=self.menu.fine_tune_epochs,
            small_epochs=0,
            batch_size=self.menu.fine_tune_batch_size,
            augmentation="none",
            label_smoothing=0.0,
            seed=int(rng.integers(2**31)),
        )
        if label == "clean":
            return replace(common, family="fine-tuned")
        trigger = draw_patch(rng, self.image_shape) if label == "patch" else draw_blend(rng)
        return replace(common, family="challenge", trigger=trigger, target=int(rng.integers(self.classes)))
