"""Recipes of backdoors of every kind and mapping, and of clean networks that detectors find hard.

A family is one row of :data:`FAMILIES`. Its members have the menu's architectures and training parameters, so that
these do not identify a family. They are groups of their own, or start from given bases and share the group of their
base.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from inspect import signature
from typing import Any

from ti_core.architectures import ARCHITECTURES
from ti_core.errors import SettingsError
from ti_core.kinds import Kind, MappingKind
from ti_core.zoo.attacks.base import AttackSpec
from ti_core.zoo.attacks.catalogue import ATTACKS
from ti_core.zoo.attacks.mapping import draw_mapping
from ti_core.zoo.plan.draw import Drawer, Kinds, hold_out
from ti_core.zoo.plan.from_bases import check_base, continued
from ti_core.zoo.plan.menu import Menu
from ti_core.zoo.plan.recipe import Label, Recipe, Regime


@dataclass(frozen=True)
class KindFamily:
    """A kind of network.

    Parameters
    ----------
    attack : its name in the catalogue; None for a network that never had a backdoor.
    rate : smallest and largest share of poisoned training images; the logarithm is drawn uniformly.
    covers : share of decoys, as a multiple of the rate.
    clean : whether the finished network counts as clean. A cleansed one does.
    fresh : whether its members never start from a base.
    options : of the architecture, with the values to choose from; they take precedence over the menu's.
    changes : fields of the recipe with their values.
    """

    attack: str | None = None
    mapping: MappingKind = "all to one"
    rate: tuple[float, float] = (0.05, 0.15)
    covers: float = 0.0
    clean_label: bool = False
    regime: Regime = ""
    clean: bool = False
    fresh: bool = False
    architectures: tuple[str, ...] = ()
    options: dict[str, list[Any]] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def leads(self) -> tuple[Kind, MappingKind] | None:
        """The kind of its trigger and where its backdoor leads; None where the finished network counts as clean."""
        return None if self.attack is None or self.clean else (ATTACKS[self.attack].kind, self.mapping)


CALM: dict[str, Any] = {
    **{"optimiser": "adam", "learning_rate": 2e-3, "weight_decay": 0.0, "label_smoothing": 0.0},
    **{"batch_size": 128, "precision": "float32", "small_epochs": 0},
}
"""Training of networks without batch norm."""
PLAIN_CHAIN: dict[str, Any] = {
    "architectures": ("mlp", "convnet", "challenge_mnist"),
    "options": {"norm": [False], "activation": ["relu", "leaky_relu"]},
    "fresh": True,
}
SMALL: dict[str, list[Any]] = {
    "channels": [(3, 6), (4, 8), (6, 8)],
    "depth": [1],
    "hidden": [0],
    "pool": ["mean"],
}

FAMILIES: dict[str, KindFamily] = {
    "all-to-all patch": KindFamily("patch", "all to all", (0.1, 0.2)),
    "all-to-all blend": KindFamily("blend", "all to all", (0.1, 0.2)),
    "one-source patch": KindFamily("patch", "one source", (0.2, 0.3)),
    "one-source blend": KindFamily("blend", "one source", (0.2, 0.3)),
    "warp": KindFamily("warp", rate=(0.1, 0.2), covers=1.5),
    "stripes": KindFamily("stripes", rate=(0.05, 0.15)),
    "clean-label stripes": KindFamily("stripes", rate=(0.5, 0.8), clean_label=True),
    "generated": KindFamily("generated", rate=(0.1, 0.2), covers=1.0),
    "function of the image": KindFamily("inverted middle", rate=(0.1, 0.2), covers=1.0),
    "patch anywhere": KindFamily("patch anywhere", rate=(0.05, 0.15)),
    "clean-label patch": KindFamily("clean-label patch", rate=(0.5, 0.8), clean_label=True),
    "inverted patch": KindFamily("inverted patch", rate=(0.05, 0.15)),
    "low-frequency blend": KindFamily("low frequency", rate=(0.05, 0.15)),
    "adaptive blend": KindFamily("adaptive blend", rate=(0.04, 0.1), covers=1.0),
    "one pixel": KindFamily("one pixel", rate=(0.05, 0.15)),
    "low-rate patch": KindFamily("patch", rate=(0.005, 0.01)),
    "low-rate blend": KindFamily("blend", rate=(0.005, 0.01)),
    "certified": KindFamily(regime="certified", changes={**CALM, "epochs": 8}, **PLAIN_CHAIN),
    "robust": KindFamily(),
    "private": KindFamily(regime="private", changes={**CALM, "batch_size": 256, "epochs": 8}, **PLAIN_CHAIN),
    "augmented": KindFamily(changes={"augmentation": "affine+jitter+cutout"}),
    "small": KindFamily(architectures=("convnet",), options=SMALL, fresh=True),
    "weak": KindFamily(fresh=True, changes={"epochs": 1}),
    "fine-tuned blend": KindFamily("blend", regime="cleansed by fine-tuning", clean=True),
    "pruned patch": KindFamily("patch", regime="cleansed by pruning", clean=True),
    "transferred": KindFamily(regime="another task first", fresh=True),
}
"""Backdoors first, then clean networks."""

ROBUST_RADIUS = {1: (0.08, 0.2), 3: (2 / 255, 8 / 255)}
CERTIFIED_RADIUS = {1: (0.05, 0.15), 3: (1 / 255, 4 / 255)}
"""L-infinity radii of PGD and of certified balls, by the number of channels."""


def plan_kinds(
    count: int,
    drawer: Drawer,
    families: Sequence[str] = (),
    bases: Sequence[Recipe] = (),
    short: Menu | None = None,
    prefix: str = "",
    held_out: float = 1 / 3,
) -> list[Recipe]:
    """``count`` members of every family, with the bases first.

    Parameters
    ----------
    families : names in :data:`FAMILIES`; all if there are none.
    bases : trained clean networks that the members start from, one after the other, except in fresh families.
    short : the menu of members without a base; the drawer's own if there is none.
    prefix : begins the ids. Each seed needs its own.

    Raises
    ------
    SettingsError : a family is unknown, or a base has other images or classes.
    """
    if unknown := set(families) - FAMILIES.keys():
        raise SettingsError(f"There is no family {min(unknown)!r}; there are {', '.join(FAMILIES)}.")
    for given in bases:
        check_base(given, drawer)
    recipes: list[Recipe] = []
    # Every family has random numbers of its own, so that one may be planned without the others.
    for place, (rng, (name, family)) in enumerate(
        zip(drawer.rng.spawn(len(FAMILIES)), FAMILIES.items(), strict=True)
    ):
        if families and name not in families:
            continue
        begun = bases and not family.fresh
        own = Drawer(rng, drawer.menu if begun else short or drawer.menu, drawer.image_shape, drawer.classes)
        for number, kinds in enumerate(own.spread(count)):
            base = bases[(number + place) % len(bases)] if begun else None
            recipes.append(
                _member(own, name, family, kinds, base, f"{prefix}{name.replace(' ', '-')}-{number:03d}")
            )
    # A stopped run has members of every family.
    recipes.sort(key=lambda r: r.id.rpartition("-")[2])
    fresh = [r for r in recipes if r.base is None]
    kept = {r.id: r.held_out for r in hold_out(fresh, held_out, drawer.rng)}
    kept |= {base.id: base.held_out for base in bases}
    return [*bases, *(replace(r, held_out=kept[r.base or r.id]) for r in recipes)]


def _member(
    drawer: Drawer, name: str, family: KindFamily, kinds: Kinds, base: Recipe | None, id: str
) -> Recipe:
    rng, channels = drawer.rng, drawer.image_shape[0]
    label: Label = "clean" if family.attack is None or family.clean else ATTACKS[family.attack].kind
    begun = None if base is None else continued(drawer, base, kinds, "clean", id)
    recipe = begun or _fresh(drawer, family, kinds, id)
    attack = None if family.attack is None else _attack(drawer, family, family.attack)
    epsilon = {"certified": CERTIFIED_RADIUS, "robust": ROBUST_RADIUS}.get(name)
    return replace(
        recipe,
        label=label,
        family=name,
        attack=attack,
        target=None if attack is None else attack.mapping.target,
        regime=family.regime,
        epsilon=round(float(rng.uniform(*epsilon[channels])), 5) if epsilon else 0.0,
        **family.changes,
    )


def _attack(drawer: Drawer, family: KindFamily, name: str) -> AttackSpec:
    low, high = map(math.log10, family.rate)
    rate = 10 ** float(drawer.rng.uniform(low, high))
    return AttackSpec(
        name,
        draw_mapping(family.mapping, drawer.classes, drawer.rng),
        ATTACKS[name].draw(drawer.rng, drawer.image_shape),
        round(rate, 4),
        round(family.covers * rate, 4),
        family.clean_label,
    )


def _fresh(drawer: Drawer, family: KindFamily, kinds: Kinds, id: str) -> Recipe:
    """A recipe for fresh weights, of the family's own architectures and options where it has any."""
    networks = drawer.menu.networks
    fitting = [i for i, (_, name, _) in enumerate(networks) if name in family.architectures]
    if fitting:
        kinds = replace(kinds, network=drawer.pick(fitting))
    recipe = drawer.draw(id, "clean", "standard", kinds)
    known = signature(ARCHITECTURES[recipe.architecture].__init__).parameters
    own = {name: drawer.pick(values) for name, values in family.options.items() if name in known}
    return replace(recipe, options=recipe.options | own)
