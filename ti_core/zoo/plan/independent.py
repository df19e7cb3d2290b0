"""Independent members; most of all networks of little training, small and of many kinds, from fresh weights.

Members that grow from a few bases are all about as accurate, and resemble each other. A stranger's network need not be:
on a hard data set it may be right on half of the images, and then moves from class to class more easily than any of
theirs. These members, every one a group of its own, keep a detector from taking that for a backdoor.
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
"""Of colour images; grey ones have a menu of such networks anyway."""

USUAL_IMAGES = 25_000
"""Training images that the menu's passes are meant for; a smaller data set gets more of them, up to three times."""


def plan_short(
    count: int, drawer: Drawer, images: int = USUAL_IMAGES, held_out: float = 1 / 3
) -> list[Recipe]:
    """``count // 4 * 4`` members of a menu of networks that train fast; see :func:`plan_fresh`.

    Parameters
    ----------
    images : training images there are.
    """
    longer = min(3.0, max(1.0, USUAL_IMAGES / max(1, images)))
    recipes = [
        replace(r, epochs=round(longer * r.epochs), precision="bfloat16")
        for r in _independent(count, drawer, "short-")
    ]
    return hold_out(recipes, held_out, drawer.rng)


def plan_fresh(count: int, drawer: Drawer, prefix: str, held_out: float = 1 / 3) -> list[Recipe]:
    """``count // 4 * 4`` members: half clean, a quarter each blends and patches of standard poisoning.

    Each from fresh weights and a group of its own, trained as well as the drawer's menu says.

    Parameters
    ----------
    prefix : of what follows the label in their ids, another one for those of another seed.
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
                # Few passes see a rare poison too seldom; after many, another attempt costs as many again.
                recipe = drawer.poisoned(name, label, kinds)
                recipe = replace(recipe, poisoning_rate=max(recipe.poisoning_rate, 0.05))
            recipes.append(recipe)
    return recipes


def short_menu(own: Sequence[str]) -> Menu:
    """The menu, with a data set's own normalisations among those to choose from."""
    return replace(SHORT_MENU, normalisations=(*SHORT_MENU.normalisations, *own))
