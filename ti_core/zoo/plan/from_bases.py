"""Zoos whose members are fine-tuned from a few clean networks, the bases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ti_core.errors import SettingsError
from ti_core.zoo.plan.draw import LABELS, Drawer, Kinds, Label, Recipe, hold_out

MEMBERS_A_BASE = 8
"""Members of each base: four clean, two blends and two patches."""
BEGUN_SHARE = 0.4
"""Share of the epochs for a base that begins with the layers of another data set's network."""


def plan_from_bases(
    count: int, drawer: Drawer, held_out: float = 1 / 3, starts: Mapping[str, Recipe] | None = None
) -> list[Recipe]:
    """``count // 8`` bases and eight members of each: four clean, two blends and two patches.

    Half of each label is fine-tuned by standard training, the other half by the challenge's. One clean member of every
    third base is fine-tuned adversarially (PGD).

    Parameters
    ----------
    starts : clean networks of other data, by the value for :attr:`Recipe.begun_from`. A base begins with the layers of
        a start of the same architecture and size, if there is one, and is trained for :data:`BEGUN_SHARE` of the
        epochs. Starts that fit several bases are used in turn.

    Raises
    ------
    SettingsError : there are starts, but none fits a base.
    """
    recipes: list[Recipe] = []
    given = dict(starts or {})
    for i, kinds in enumerate(drawer.spread(count // MEMBERS_A_BASE)):
        base = drawer.draw(f"base-{i:03d}", "clean", "base", kinds, None if i % 2 else "none")
        base = _begun(base, given)
        recipes.append(base)
        for label in LABELS:
            twice = 2 if label == "clean" else 1
            for j in range(twice):
                number = f"{i * twice + j:03d}"
                recipes.append(drawer.fine_tuned(base, label, f"{label}-ft-{number}"))
                recipes.append(continued(drawer, base, kinds, label, f"{label}-on-{number}"))
        if i % 3 == 0:
            place = next(k for k, r in enumerate(recipes) if r.id == f"clean-on-{2 * i:03d}")
            recipes[place] = _adversarial(drawer, recipes[place], i // 3)
    if starts and not any(r.begun_from for r in recipes):
        raise SettingsError("None of the networks to begin with is like one of these bases.")
    return hold_out(recipes, held_out, drawer.rng)


def _begun(base: Recipe, starts: dict[str, Recipe]) -> Recipe:
    """The base that begins with the first start that fits it, if any. That start moves to the end of ``starts``."""
    for name, start in starts.items():
        if (start.architecture, _layers(start)) == (base.architecture, _layers(base)):
            starts[name] = starts.pop(name)
            return replace(
                base,
                begun_from=name,
                normalisation=start.normalisation,
                epochs=max(1, round(BEGUN_SHARE * base.epochs)),
                small_epochs=round(BEGUN_SHARE * base.small_epochs),
            )
    return base


def _layers(recipe: Recipe) -> dict[str, Any]:
    """The options of all layers except the last."""
    # Options that were drawn as tuples are lists in a record.
    options = recipe.options.items()
    return {k: tuple(v) if isinstance(v, list) else v for k, v in options if k != "classes"}


def plan_around(bases: Sequence[Recipe], count: int, drawer: Drawer, held_out: float = 1 / 3) -> list[Recipe]:
    """The given bases and the same number of members of each: half clean, a quarter blends, a quarter patches.

    The members of each label alternate, over all bases, between the challenge's fine-tuning and standard training. One
    clean member of every third base is fine-tuned adversarially.

    Raises
    ------
    SettingsError : there are fewer than four members per base, or a base has other images or classes or an
        architecture that the menu lacks.
    """
    quarter = count // (4 * len(bases))
    if not quarter:
        raise SettingsError(f"{len(bases)} bases need {4 * len(bases)} members at least, not {count}.")
    recipes: list[Recipe] = []
    for i, base in enumerate(bases):
        kinds = kinds_of(base, drawer)
        own: list[Recipe] = []
        for label in LABELS:
            each = 2 * quarter if label == "clean" else quarter
            for number in range(i * each, (i + 1) * each):
                if number % 2:
                    own.append(continued(drawer, base, kinds, label, f"{label}-on-{number:03d}"))
                else:
                    own.append(drawer.fine_tuned(base, label, f"{label}-ft-{number:03d}"))
        if i % 3 == 0:
            place = next(k for k, r in enumerate(own) if r.family == "standard" and r.label == "clean")
            own[place] = _adversarial(drawer, own[place], i // 3)
        recipes += [base, *own]
    return hold_out(recipes, held_out, drawer.rng)


def check_base(base: Recipe, drawer: Drawer) -> None:
    """Refuse a base for other images or classes.

    Raises
    ------
    SettingsError : it has another number of channels, another size, or another number of classes.
    """
    image_shape = drawer.image_shape
    shape = base.options.get("in_channels"), base.options.get("size", image_shape[1])
    if base.options.get("classes") != drawer.classes or shape != image_shape[:2]:
        raise SettingsError(f"{base.id} is not a network for these images and classes.")


def kinds_of(base: Recipe, drawer: Drawer) -> Kinds:
    """The place of the base's architecture in the drawer's menu.

    Raises
    ------
    SettingsError : the base has other images or classes, or an architecture that the menu lacks.
    """
    check_base(base, drawer)
    menu = drawer.menu
    for place, (_, architecture, _) in enumerate(menu.networks):
        if architecture == base.architecture:
            return Kinds(place, menu.activations[0])
    raise SettingsError(f"{base.id} is a {base.architecture}, which is not in this data set's menu.")


def _adversarial(drawer: Drawer, recipe: Recipe, number: int) -> Recipe:
    epsilon = round(float(drawer.rng.uniform(1, 4) / 255), 5)
    return replace(recipe, id=f"adversarial-{number:03d}", family="adversarial", epsilon=epsilon)


def continued(drawer: Drawer, base: Recipe, kinds: Kinds, label: Label, id: str) -> Recipe:
    """A member that continues the base's training at a lower rate, on clean or poisoned images."""
    drawn = (
        drawer.draw(id, label, "standard", kinds) if label == "clean" else drawer.poisoned(id, label, kinds)
    )
    # In few epochs, a trigger is learnt only at a high poisoning rate.
    rate = round(float(10 ** drawer.rng.uniform(-1.3, -1.0)), 4)
    return replace(
        drawn,
        group=base.group,
        base=base.id,
        architecture=base.architecture,
        options=base.options,
        normalisation=base.normalisation,
        optimiser=base.optimiser,
        precision=base.precision,
        learning_rate=round(drawer.menu.gentle * base.learning_rate, 6),
        weight_decay=base.weight_decay,
        batch_size=drawer.menu.fine_tune_batch_size,
        epochs=drawer.menu.fine_tune_epochs,
        small_epochs=0,
        poisoning_rate=rate if drawn.trigger else 0.0,
    )
