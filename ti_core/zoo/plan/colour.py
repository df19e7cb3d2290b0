"""Recipes for the paper's colour data sets. The networks reach the paper's clean accuracy and fit a pack of 25 MB.

There are five ways to train a zoo. *From scratch*: every network has fresh weights, apart from the challenge's, as in
:func:`ti_core.zoo.plan.draw.plan`. *From bases*: a few clean networks are trained well, and every member is fine-tuned
from one of them, which takes a tenth of the time. Clean and trojaned members are fine-tuned in the same two ways, so
that a detector does not learn to recognise fine-tuning. Members of one base form one group. *Fresh* and *short*: the
members (:mod:`ti_core.zoo.plan.independent`) are independent networks with full or short training. *Kinds*: backdoors
of every kind, and clean networks that detectors find hard (:mod:`ti_core.zoo.plan.kinds`). Members of the last three
ways are added to a zoo of the first two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from ti_core.errors import SettingsError
from ti_core.zoo.plan.draw import Drawer, Menu, Recipe, School, menu_for, plan
from ti_core.zoo.plan.from_bases import MEMBERS_A_BASE, plan_around, plan_from_bases
from ti_core.zoo.plan.independent import USUAL_IMAGES, plan_fresh, plan_short, short_menu
from ti_core.zoo.plan.kinds import plan_kinds

_Network = tuple[str, dict[str, list[Any]]]
"""An architecture, and the values to choose from for each option."""

Way = Literal["scratch", "bases", "fresh", "short", "kinds"]
WAYS: tuple[Way, ...] = ("scratch", "bases", "fresh", "short", "kinds")

SUCCESS = 0.97
"""Attack success rate below which a trojan on these data sets is trained again."""

_RELU = {"activation": ["relu"]}
_RELU_OR_SILU = {"activation": ["relu", "silu"]}
_WIDE = School("sgd", (0.05, 0.15), (2e-4, 5e-4), 128, 0, "bfloat16")
_WIDE_SHORT = School("sgd", (0.05, 0.1), (5e-4,), 64, 0, "bfloat16", 0.7)
"""Smaller learning rates, and smaller images in most epochs. The accuracy is the same, and training is faster."""
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
    # Traffic signs must not be mirrored.
    augmentations=("affine+jitter", "affine+jitter+cutout", "shift4+jitter"),
    epochs=(50, 50),
    patch_sides=(3, 8),
    fine_tune_epochs=7,
    fine_tune_batch_size=64,
    fine_tune_rate=2e-3,
    schools=_schools(50),
)

GTSRB_FRESH = replace(
    GTSRB_MENU,
    networks=(
        (0.50, *_CONVNET),
        (0.25, "small_resnet", _SMALL_RESNET[1] | _RELU),
        (0.25, *GTSRB_MENU.networks[2][1:]),
    ),
    augmentations=("affine+jitter+cutout",),
    schools=_schools(80, replace(_WIDE, smoothings=(0.05, 0.1))),
)
"""Longer training than ``GTSRB_MENU``, without the options that made its networks less accurate."""

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
    # Weights are in sixths, for six bases. The networks are CIFAR-10's, so a base can begin with the layers of one.
    networks=(
        (2 / 6, *CIFAR10_MENU.networks[0][1:]),
        (1 / 6, *CIFAR10_MENU.networks[1][1:]),
        (1 / 6, "small_resnet", _SMALL_RESNET[1] | _RELU),
        (1 / 6, *CIFAR10_MENU.networks[3][1:]),
        (1 / 6, *CIFAR10_MENU.networks[4][1:]),
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
"""Menus by the name of the data set, which is its file name without the ending."""

FRESH: dict[str, Menu] = {"gtsrb": GTSRB_FRESH}
"""Menus of fresh members, for the data sets where they differ from :data:`MENUS`."""

STRANGERS: dict[str, tuple[str, School]] = {
    "gtsrb": ("simple_vit", replace(_VIT, epochs=60)),
    "cifar10": ("wide_resnet", replace(_WIDE, epochs=40)),
    "cifar100": ("wide_resnet", replace(_WIDE, epochs=40)),
}
"""The challenge's architectures at full width. With 4.5 to 7 MB each, they are too large to be members."""


def plan_for(
    data_name: str,
    count: int,
    image_shape: tuple[int, int, int],
    classes: int,
    seed: int,
    way: Way = "scratch",
    share: float = 1.0,
    bases: Sequence[Recipe] = (),
    starts: Mapping[str, Recipe] | None = None,
    images: int = USUAL_IMAGES,
    families: Sequence[str] = (),
    named: int | None = None,
) -> list[Recipe]:
    """Recipes of ``count`` members from the menu of the data set, or else from the menu for the image shape.

    Parameters
    ----------
    count : rounded down to a multiple of 8, or with ``bases`` to a multiple of four times their number. For the way
        "kinds" it is the number of members of each family.
    share : share of the menu's epochs for training from fresh weights. A small share saves time.
    bases : for the ways "bases" and "kinds", clean networks that are trained already and are to be fine-tuned.
    starts : for the way "bases", networks of other data whose layers the bases begin with; see
        :func:`ti_core.zoo.plan.from_bases.plan_from_bases`.
    images : number of training images. It sets the number of epochs for the way "short".
    families : for the way "kinds", names in :data:`ti_core.zoo.plan.kinds.FAMILIES`; all if there are none.
    named : the seed in the names of members of the ways "fresh" and "kinds", if it is not ``seed``.

    Raises
    ------
    SettingsError : the way is unknown, the count is too small, or bases or starts do not fit the way or the data.
    """
    name = seed if named is None else named
    menu = (MENUS | FRESH if way == "fresh" else MENUS).get(data_name, menu_for(image_shape))
    if way not in WAYS:
        raise SettingsError(f"There is no way {way!r} of training; there are {', '.join(WAYS)}.")
    if count < MEMBERS_A_BASE and way != "kinds":
        raise SettingsError(f"A plan has at least {MEMBERS_A_BASE} members, not {count}.")
    schools = {k: replace(s, epochs=max(1, round(share * s.epochs))) for k, s in menu.schools.items()}
    menu = replace(menu, schools=schools)
    if way != "bases" and (starts or (bases and way != "kinds")):
        raise SettingsError("Networks that are trained already are for the way that is named after bases.")
    if families and way != "kinds":
        raise SettingsError("Families are for the way that is named after kinds.")
    if way == "scratch":
        return plan(count, image_shape, classes, seed, menu)
    if way == "short":
        menu = short_menu(menu.normalisations) if image_shape[0] == 3 else menu
        return plan_short(count, Drawer(np.random.default_rng([seed, 2]), menu, image_shape, classes), images)
    if way == "fresh":
        drawer = Drawer(np.random.default_rng([seed, 3]), menu, image_shape, classes)
        return plan_fresh(count, drawer, f"fresh{name}-")
    if way == "kinds":
        short = short_menu(menu.normalisations) if image_shape[0] == 3 else menu
        drawer = Drawer(np.random.default_rng([seed, 4]), menu, image_shape, classes)
        return plan_kinds(count, drawer, families, bases, short, f"kinds{name}-")
    drawer = Drawer(np.random.default_rng(seed), menu, image_shape, classes)
    if bases and starts:
        raise SettingsError("Bases that are trained already begin with no other network's layers any more.")
    return plan_around(bases, count, drawer) if bases else plan_from_bases(count, drawer, starts=starts)


def plan_strangers(
    data_name: str, image_shape: tuple[int, int, int], classes: int, seed: int, share: float = 1.0
) -> list[Recipe]:
    """One clean, one blend and one patch network of the challenge's architecture. They enter no pack.

    They test a detector on networks far larger than the pack's. They are worth their training time on a GPU only.
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
