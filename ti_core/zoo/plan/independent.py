"""Independent members with fresh weights, above all small networks of many kinds with short training.

Members of a few bases resemble each other and have similar accuracy. A suspect may be much less accurate on a hard data
set, and small perturbations then change its predictions more easily. With these members a detector does not learn to
take this for a backdoor. Each of them is a group of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ti_core.zoo.plan.draw import LABELS, Drawer, Recipe, hold_out
from ti_core.zoo.plan.menu import Menu

SHORT_MENU = Menu(
    networks=(
        (0.25, "lenet5", {"channels": [(6, 16), (8, 20), (16, 32)], "hidden": [(120, 84), (64, 48)], "padding": [0]}),
        (
            0.25,
            "convnet",
            {"channels": [(16, 32), (12, 24)], "depth": [1], "hidden": [0, 32], "norm": [True, False]},
        ),
        (
            0.25,
            "convnet",
            {"channels": [(12, 24, 40), (16, 24, 32)], "depth": [1, 2], "pool": ["mean"], "norm": [True]},
        ),
        (
            0.25,
            "small_resnet",
            {
                "channels": [(12, 24, 32), (8, 16, 32)],
                "blocks": [1],
                "stem_stride": [1, 2],
                "norm": [True, False],
            },
        ),
    ),
    normalisations=("none", "none", "half", "imagenet"),
    augmentations=("none", "none", "shift"),
    epochs=(4, 8),
    patch_sides=(3, 8),
    blend_alpha=(0.1, 0.2),
)  # fmt: skip
"""The menu for colour images. The usual menu of grey images has such networks already."""

USUAL_IMAGES = 25_000
"""Number of training images for which the menu's epochs are meant. A smaller set gets up to three times the epochs."""


def plan_short(
    count: int, drawer: Drawer, images: int = USUAL_IMAGES, held_out: float = 1 / 3
) -> list[Recipe]:
    """``count // 4 * 4`` members, drawn from a menu of networks that train fast; see :func:`plan_fresh`.

    Parameters
    ----------
    images : number of training images.
    """
    longer = min(3.0, max(1.0, USUAL_IMAGES / max(1, images)))
    recipes = [
        replace(r, epochs=round(longer * r.epochs), precision="bfloat16")
        for r in _independent(count, drawer, "short-")
    ]
    return hold_out(recipes, held_out, drawer.rng)


def plan_fresh(count: int, drawer: Drawer, prefix: str, held_out: float = 1 / 3) -> list[Recipe]:
    """``count // 4 * 4`` members: half clean, a quarter blends and a quarter patches of standard poisoning.

    Each member has fresh weights and is a group of its own. It is trained as the drawer's menu says.

    Parameters
    ----------
    prefix : follows the label in the ids. Each seed needs its own prefix.
    """
    return hold_out(_independent(count, drawer, prefix), held_out, drawer.rng)


def _independent(count: int, drawer: Drawer, prefix: str) -> list[Recipe]:
    quarter = count // 4
    recipes: list[Recipe] = []
    for label in LABELS:
        for i, kinds in enumerate(drawer.spread(2 * quarter if label == "clean" else quarter)):
            name = f"{label}-{prefix}{i:03d}"
            if label == "clean":
                recipe = drawer.draw(name, label, "standard", kinds)
            else:
                # At a low rate few epochs rarely teach a trigger. After many epochs, another attempt is expensive.
                recipe = drawer.poisoned(name, label, kinds)
                recipe = replace(recipe, poisoning_rate=max(recipe.poisoning_rate, 0.05))
            recipes.append(recipe)
    return recipes


def short_menu(own: Sequence[str]) -> Menu:
    """The menu for short training, with the data set's own normalisations added."""
    return replace(SHORT_MENU, normalisations=(*SHORT_MENU.normalisations, *own))
