"""What a zoo's recipes are drawn from: architectures with their weights and options, scalings, ways of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ti_core.zoo.plan.recipe import Precision


@dataclass(frozen=True)
class School:
    """How an architecture is trained where its menu says so.

    Parameters
    ----------
    rates : least and largest learning rate, drawn evenly in the logarithm.
    weight_decays : to choose from.
    epochs : of training from fresh weights.
    precision : see :class:`ti_core.zoo.plan.recipe.Recipe`.
    small_share : of the epochs, the first ones, at three quarters of the images' side; 0 where a network has one size.
    smoothings : label smoothing, to choose from.
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
    """What a data set's recipes are drawn from: (weight, architecture, options with lists to choose from).

    An option "activation" goes before the menu's ``activations``. ``schools``, by architecture, go before the usual
    draws of optimiser, rates, batch size and epochs.

    Parameters
    ----------
    fine_tune_epochs, fine_tune_batch_size, fine_tune_rate : of members that start from a base; the rate is Adam's, of
        the challenge's course. A faint trigger takes some 800 steps to be learnt, however few images there are.
    gentle : learning rate of members that go on from a base by standard training, as a share of the base's own.
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
    """What networks of images of that shape are drawn from."""
    return GREY_MENU if image_shape[0] == 1 else COLOUR_MENU
