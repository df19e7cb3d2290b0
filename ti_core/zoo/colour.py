"""Recipes for the paper's colour data sets: networks that reach its clean accuracy and fit a pack of 25 MB.

Two ways to a zoo. *From scratch*, every network has fresh weights but for the challenge's, as in
:func:`ti_core.zoo.recipes.plan`. *From bases*, a few clean networks are trained well, and every member, clean or
trojaned, is fine-tuned from one of them, which takes a tenth of the time. Clean members are fine-tuned in the same two
ways as the trojaned, so that "was fine-tuned" is not what a detector learns; members of one base are one group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from ti_core.errors import SettingsError
from ti_core.zoo.recipes import LABELS, Drawer, Kinds, Label, Menu, Recipe, School, hold_out, menu_for, plan

_Network = tuple[str, dict[str, list[Any]]]
"""An architecture, and for each option what it may be."""

Way = Literal["scratch", "bases"]
WAYS: tuple[Way, ...] = ("scratch", "bases")

MEMBERS_A_BASE = 8
"""Of each base four clean members, two blends and two patches."""
SUCCESS = 0.97
"""Attack success rate that trojans on these data sets are tried for."""

_RELU = {"activation": ["relu"]}
_RELU_OR_SILU = {"activation": ["relu", "silu"]}
_WIDE = School("sgd", (0.05, 0.15), (2e-4, 5e-4), 128, 0, "bfloat16")
_WIDE_SHORT = School("sgd", (0.05, 0.1), (5e-4,), 64, 0, "bfloat16", 0.7)
"""Of smaller steps, and most epochs on smaller images, which reach as far in less time."""
_VIT = School("adamw", (8e-4, 2e-3), (0.03, 0.05), 128, 0, "bfloat16")


def _schools(epochs: int, wide: School = _WIDE) -> dict[str, School]:
    convolutional = ("resnet", "wide_resnet", "small_resnet", "convnet")
    return dict.fromkeys(convolutional, replace(wide, epochs=epochs)) | {
        "simple_vit": replace(_VIT, epochs=3 * epochs // 2)
    }


_SMALL_RESNET: _Network = (
    "small_resnet",
    {"channels": [(16, 32, 64)], "blocks": [1], "stem_stride": [1], **_RELU_OR_SILU},
)
_CONVNET: _Network = (
    "convnet",
    {"channels": [(16, 32, 64)], "depth": [2], "pool": ["mean"], "norm": [True], **_RELU},
)
_SMALL_VIT: _Network = (
    "simple_vit",
    {"dim": [48], "depth": [4], "mlp_dim": [96], "inner": [48], "dim_head": [16]},
)

GTSRB_MENU = Menu(
    networks=(
        (0.30, *_SMALL_RESNET),
        (0.25, *_CONVNET),
        (0.25, "wide_resnet", {"blocks": [1], "channels": [(16, 16, 32, 64)]}),
        (0.20, *_SMALL_VIT),
    ),
    normalisations=("none", "gtsrb", "gtsrb", "half"),
    # Signs have a left and a right: no mirror.
    augmentations=("affine+jitter", "affine+jitter+cutout", "shift4+jitter"),
    epochs=(50, 50),
    patch_sides=(3, 8),
    fine_tune_epochs=7,
    fine_tune_batch_size=64,
    fine_tune_rate=2e-3,
    schools=_schools(50),
)

CIFAR10_MENU = Menu(
    networks=(
        (0.42, "resnet", {"blocks": [(1, 1, 2)], "channels": [(16, 32, 56)], "kernel": [3]}),
        (0.17, "wide_resnet", {"blocks": [2], "channels": [(16, 16, 32, 48)]}),
        (0.08, *_SMALL_RESNET),
        (0.25, "convnet", _CONVNET[1] | {"channels": [(16, 36, 72)]}),
        (0.08, *_SMALL_VIT),
    ),
    normalisations=("none", "cifar10", "cifar10", "half"),
    augmentations=("shift4+mirror", "shift4+mirror", "shift4+mirror+jitter"),
    epochs=(40, 40),
    patch_sides=(3, 8),
    fine_tune_epochs=1,
    fine_tune_batch_size=32,
    gentle=0.15,
    schools=_schools(40, _WIDE_SHORT),
)

CIFAR100_MENU = Menu(
    # In sixths: one base of six is one of these.
    networks=(
        (1 / 3, "resnet", {"blocks": [(1, 1, 2)], "channels": [(16, 40, 72)], "kernel": [3]}),
        (1 / 3, "wide_resnet", {"blocks": [2], "channels": [(16, 16, 32, 64)]}),
        (1 / 6, "small_resnet", _SMALL_RESNET[1] | {"channels": [(16, 40, 72)]}),
        (1 / 6, "simple_vit", {"dim": [64], "depth": [4], "mlp_dim": [128], "inner": [64], "dim_head": [16]}),
    ),
    normalisations=("none", "cifar100", "cifar100", "half"),
    augmentations=("shift4+mirror", "shift4+mirror", "shift4+mirror+jitter"),
    epochs=(60, 60),
    patch_sides=(3, 8),
    fine_tune_epochs=1,
    fine_tune_batch_size=24,
    gentle=0.15,
    schools=_schools(60, _WIDE_SHORT),
)

MENUS: dict[str, Menu] = {"gtsrb": GTSRB_MENU, "cifar10": CIFAR10_MENU, "cifar100": CIFAR100_MENU}
"""By the data set's name, which is its file's without the ending."""

STRANGERS: dict[str, tuple[str, School]] = {
    "gtsrb": ("simple_vit", replace(_VIT, epochs=60)),
    "cifar10": ("wide_resnet", replace(_WIDE, epochs=40)),
    "cifar100": ("wide_resnet", replace(_WIDE, epochs=40)),
}
"""The challenge's own architectures at their full width: 4.5 to 7 MB each, too large to be members."""


def plan_for(
    data_name: str,
    count: int,
    image_shape: tuple[int, int, int],
    classes: int,
    seed: int,
    way: Way = "scratch",
    share: float = 1.0,
    bases: Sequence[Recipe] = (),
) -> list[Recipe]:
    """Recipes of ``count`` members, by the menu of that data set where it has one, else of images of that shape.

    Parameters
    ----------
    count : rounded down to a multiple of 8, with ``bases`` to one of four times their number.
    share : of the menu's epochs of training from fresh weights, where time is short.
    bases : from bases, the clean networks to fine-tune, where they are trained already.

    Raises
    ------
    SettingsError : there is no such way, or no member; bases that are no use for this way or this data.
    """
    menu = MENUS.get(data_name, menu_for(image_shape))
    if way not in WAYS:
        raise SettingsError(f"There is no way {way!r} of training; there are {' and '.join(WAYS)}.")
    if count < MEMBERS_A_BASE:
        raise SettingsError(f"A plan has at least {MEMBERS_A_BASE} members, not {count}.")
    schools = {k: replace(s, epochs=max(1, round(share * s.epochs))) for k, s in menu.schools.items()}
    menu = replace(menu, schools=schools)
    if way == "scratch":
        if bases:
            raise SettingsError("Bases that are trained already are for the way that is named after them.")
        return plan(count, image_shape, classes, seed, menu)
    drawer = Drawer(np.random.default_rng(seed), menu, image_shape, classes)
    return plan_around(bases, count, drawer) if bases else plan_from_bases(count, drawer)


def plan_from_bases(count: int, drawer: Drawer, held_out: float = 1 / 3) -> list[Recipe]:
    """``count // 8`` bases and, of each, eight members: four clean, two blends, two patches.

    Of every label half are fine-tuned as standard training does, the other half as the challenge does. In every third
    base one clean member is fine-tuned adversarially (PGD).
    """
    recipes: list[Recipe] = []
    for i, kinds in enumerate(drawer.spread(count // MEMBERS_A_BASE)):
        base = drawer.draw(f"base-{i:03d}", "clean", "base", kinds, None if i % 2 else "none")
        recipes.append(base)
        for label in LABELS:
            twice = 2 if label == "clean" else 1
            for j in range(twice):
                number = f"{i * twice + j:03d}"
                recipes.append(drawer.fine_tuned(base, label, f"{label}-ft-{number}"))
                recipes.append(_continued(drawer, base, kinds, label, f"{label}-on-{number}"))
        if i % 3 == 0:
            place = next(k for k, r in enumerate(recipes) if r.id == f"clean-on-{2 * i:03d}")
            recipes[place] = _adversarial(drawer, recipes[place], i // 3)
    return hold_out(recipes, held_out, drawer.rng)


def plan_around(bases: Sequence[Recipe], count: int, drawer: Drawer, held_out: float = 1 / 3) -> list[Recipe]:
    """The given bases and, of each, as many members as of any other: half of them clean, blends and patches equal.

    Of every label each second member is fine-tuned as the challenge does, counted through all bases, the others as
    standard training does; of every third base one clean member is fine-tuned adversarially.

    Raises
    ------
    SettingsError : fewer than four members for a base, or a base that is not of such images and classes, or of an
        architecture that the menu lacks.
    """
    quarter = count // (4 * len(bases))
    if not quarter:
        raise SettingsError(f"{len(bases)} bases need {4 * len(bases)} members at least, not {count}.")
    recipes: list[Recipe] = []
    for i, base in enumerate(bases):
        kinds = _kinds_of(base, drawer)
        own: list[Recipe] = []
        for label in LABELS:
            each = 2 * quarter if label == "clean" else quarter
            for number in range(i * each, (i + 1) * each):
                if number % 2:
                    own.append(_continued(drawer, base, kinds, label, f"{label}-on-{number:03d}"))
                else:
                    own.append(drawer.fine_tuned(base, label, f"{label}-ft-{number:03d}"))
        if i % 3 == 0:
            place = next(k for k, r in enumerate(own) if r.family == "standard" and r.label == "clean")
            own[place] = _adversarial(drawer, own[place], i // 3)
        recipes += [base, *own]
    return hold_out(recipes, held_out, drawer.rng)


def _kinds_of(base: Recipe, drawer: Drawer) -> Kinds:
    menu, image_shape = drawer.menu, drawer.image_shape
    shape = base.options.get("in_channels"), base.options.get("size", image_shape[1])
    if base.options.get("classes") != drawer.classes or shape != image_shape[:2]:
        raise SettingsError(f"{base.id} is not a network for these images and classes.")
    for place, (_, architecture, _) in enumerate(menu.networks):
        if architecture == base.architecture:
            return Kinds(place, menu.activations[0])
    raise SettingsError(f"{base.id} is a {base.architecture}, which is not in this data set's menu.")


def _adversarial(drawer: Drawer, recipe: Recipe, number: int) -> Recipe:
    epsilon = round(float(drawer.rng.uniform(1, 4) / 255), 5)
    return replace(recipe, id=f"adversarial-{number:03d}", family="adversarial", epsilon=epsilon)


def _continued(drawer: Drawer, base: Recipe, kinds: Kinds, label: Label, id: str) -> Recipe:
    """Training goes on from the base as it was, more gently, on poisoned images or on clean ones."""
    drawn = (
        drawer.draw(id, label, "standard", kinds) if label == "clean" else drawer.poisoned(id, label, kinds)
    )
    # Few passes over the data teach a trigger only if it is seen often enough in each.
    rate = round(float(10 ** drawer.rng.uniform(-1.3, -1.0)), 4)
    return replace(
        drawn,
        group=base.group,
        base=base.id,
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


def plan_strangers(
    data_name: str, image_shape: tuple[int, int, int], classes: int, seed: int, share: float = 1.0
) -> list[Recipe]:
    """One clean, one blend and one patch network of the challenge's own architecture, which enter no pack.

    They show whether a detector holds on networks far larger than the pack's; worth their time on a GPU only.
    """
    if data_name not in STRANGERS:
        return []
    architecture, school = STRANGERS[data_name]
    school = replace(school, epochs=max(1, round(share * school.epochs)))
    menu = replace(MENUS[data_name], networks=((1.0, architecture, {}),), schools={architecture: school})
    drawer = Drawer(np.random.default_rng([seed, 1]), menu, image_shape, classes)
    (kinds,) = drawer.spread(1)
    clean = drawer.draw("stranger-clean", "clean", "standard", kinds, "none")
    trojaned = [drawer.poisoned(f"stranger-{label}", label, kinds) for label in ("blend", "patch")]
    return [clean, *(replace(r, normalisation="none") for r in trojaned)]
