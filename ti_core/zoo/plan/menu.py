"""Menus that recipes are drawn from: architectures, options, normalisations and training parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ti_core.zoo.plan.recipe import Precision


@dataclass(frozen=True)
class School:
    """The training parameters of an architecture.

    Parameters
    ----------
    rates : smallest and largest learning rate. The logarithm is drawn uniformly.
    weight_decays : values to choose from.
    epochs : number of epochs for training from fresh weights.
    precision : see :class:`ti_core.zoo.plan.recipe.Recipe`.
    small_share : share of the first epochs with images at three quarters of their side; 0 for networks of fixed size.
    smoothings : values of label smoothing to choose from.
    """

    optimiser: str
    rates: tuple[float, float]
    weight_decays: tuple[float, ...]
    batch_size: int
    epochs: int
    precision: Precision = "float32"
    small_share: float = 0.0
    smoothings: tuple[float, ...] = (0.0, 0.0, 0.05, 0.1)


@dataclass(frozen=True)
class Menu:
    """The choices for a data set's recipes.

    ``networks`` holds weight, architecture, and options with the values to choose from. An option "activation" takes
    precedence over the menu's ``activations``. ``schools``, by architecture, take precedence over the usual draws of
    optimiser, rates, batch size and epochs.

    Parameters
    ----------
    fine_tune_epochs, fine_tune_batch_size, fine_tune_rate : parameters of members that start from a base. The rate is
        Adam's in the challenge's fine-tuning. A faint trigger needs about 800 steps, whatever the number of images.
    gentle : learning rate of members that continue a base by standard training, as a share of the base's rate.
    """

    networks: tuple[tuple[float, str, dict[str, list[Any]]], ...]
    normalisations: tuple[str, ...]
    augmentations: tuple[str, ...]
    epochs: tuple[int, int]
    patch_sides: tuple[int, int] = (2, 8)
    blend_alpha: tuple[float, float] = (0.08, 0.2)
    fine_tune_epochs: int = 3
    fine_tune_batch_size: int = 128
    fine_tune_rate: float = 1e-3
    gentle: float = 0.5
    activations: tuple[str, ...] = (
        *("relu",) * 6,
        *("leaky_relu", "leaky_relu", "gelu", "silu", "elu", "tanh"),
    )
    schools: Mapping[str, School] = field(default_factory=dict)


GREY_MENU = Menu(
    networks=(
        (0.04, "challenge_mnist", {"width": [16], "hidden": [128], "norm": [True]}),
        (0.26, "challenge_mnist", {"width": [6, 8, 12], "hidden": [32, 48], "norm": [True, False]}),
        (0.18, "lenet5", {"channels": [(6, 16), (4, 12), (8, 16)], "hidden": [(120, 84), (64, 48)]}),
        (
            0.12,
            "convnet",
            {"channels": [(8, 16), (16, 32)], "depth": [1], "hidden": [0, 24], "norm": [True, False]},
        ),
        (
            0.10,
            "convnet",
            {"channels": [(8, 24, 32), (12, 24, 32)], "depth": [1], "pool": ["mean"], "norm": [True]},
        ),
        (
            0.18,
            "small_resnet",
            {
                "channels": [(8, 16, 24), (16, 24, 32)],
                "blocks": [1],
                "stem_stride": [2],
                "norm": [True, False],
            },
        ),
        (0.12, "mlp", {"hidden": [(48,), (64, 32), (48, 48)], "norm": [True, False]}),
    ),
    normalisations=("none", "none", "none", "mnist", "mnist", "half"),
    augmentations=("none", "none", "shift", "noise"),
    epochs=(3, 5),
)

COLOUR_MENU = Menu(
    networks=(
        (
            0.4,
            "small_resnet",
            {"channels": [(12, 24, 32), (16, 24, 40)], "blocks": [1, 2], "stem_stride": [1]},
        ),
        (
            0.35,
            "convnet",
            {"channels": [(12, 24, 40), (16, 32, 48)], "depth": [2], "pool": ["mean"], "norm": [True]},
        ),
        (0.25, "lenet5", {"channels": [(6, 16), (8, 20)], "hidden": [(120, 84)], "padding": [0]}),
    ),
    normalisations=("none", "none", "cifar10", "half"),
    augmentations=("none", "shift", "flip"),
    epochs=(6, 10),
    blend_alpha=(0.08, 0.2),
)


def menu_for(image_shape: tuple[int, int, int]) -> Menu:
    """The default menu for images of this shape."""
    return GREY_MENU if image_shape[0] == 1 else COLOUR_MENU
