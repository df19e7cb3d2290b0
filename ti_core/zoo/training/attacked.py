"""Training with an attack of :mod:`ti_core.zoo.attacks`, and in a regime of :mod:`ti_core.zoo.regimes`."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from ti_core.zoo.attacks.base import Attack, AttackSpec
from ti_core.zoo.attacks.catalogue import made
from ti_core.zoo.plan.draw import Recipe
from ti_core.zoo.regimes.certified import fit_certified
from ti_core.zoo.regimes.cleansed import fine_tune_clean, prune
from ti_core.zoo.regimes.private import fit_private
from ti_core.zoo.training.data import ImageData, to_unit
from ti_core.zoo.training.loop import Change, fit

GENERATOR_RATE = 2e-3
"""Adam's learning rate for the attack's own parameters."""


class Poisoning(Change):
    """An attack that poisons its share of the training images.

    Parameters
    ----------
    labels : the true labels ``N`` of the training set.

    Attributes
    ----------
    labels : the labels ``N`` that the network is trained to give.
    """

    def __init__(
        self, attack: Attack, spec: AttackSpec, labels: torch.Tensor, rng: np.random.Generator
    ) -> None:
        self.attack, self._true = attack, labels
        self._poisoned, self._covers = chosen_images(spec, labels, rng)
        self.labels = torch.where(self._poisoned, spec.mapping(labels), labels)
        trained = list(attack.parameters())
        self._optimiser = torch.optim.Adam(trained, lr=GENERATOR_RATE) if trained else None
        self._batch: torch.Tensor | None = None

    def __call__(self, batch: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        poisoned, covers, out = self._poisoned[index], self._covers[index], batch.clone()
        self._batch = batch
        if bool(poisoned.any()):
            out[poisoned] = self.attack.poisoned(batch[poisoned], self._true[index][poisoned])
        if bool(covers.any()):
            out[covers] = self.attack.decoy(batch[covers])
        return out

    def penalty(self) -> torch.Tensor | None:
        return None if self._batch is None else self.attack.penalty(self._batch)

    def step(self) -> None:
        if self._optimiser is not None:
            self._optimiser.step()
            self._optimiser.zero_grad()


def chosen_images(
    spec: AttackSpec, labels: torch.Tensor, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Which training images carry the trigger, and which a decoy: two boolean masks ``N`` that do not overlap."""
    order = torch.from_numpy(rng.permutation(len(labels)))
    if spec.clean_label:
        order = order[labels[order] == spec.mapping.target]
    count = min(len(order), max(1, round(spec.rate * len(order))))
    poisoned, covers = torch.zeros(2, len(labels), dtype=torch.bool)
    poisoned[order[:count]] = True
    covers[order[count : count + round(spec.covers * len(labels))]] = True
    return poisoned, covers


def fit_attacked(
    learner: nn.Module,
    network: nn.Module,
    recipe: Recipe,
    data: ImageData,
    rng: np.random.Generator,
    based: bool,
) -> Attack | None:
    """Train with the recipe's attack and regime. ``learner`` is ``network`` with its normalisation in front.

    Parameters
    ----------
    based : whether the network starts from a trained base.

    Returns
    -------
    The attack, ready to stamp test images; None without one.
    """
    x, y = to_unit(data.x_train), torch.from_numpy(data.y_train)
    if recipe.regime == "certified":
        fit_certified(network, recipe, x, y, rng)
        return None
    if recipe.regime == "private":
        fit_private(learner, recipe, x, y, rng)
        return None
    if recipe.regime == "another task first":
        _fit_another_task(learner, recipe, x, y, rng)
    if recipe.attack is None:
        fit(learner, recipe, x, y, rng)
        return None
    attack = made(recipe.attack, data.image_shape)
    if attack.needs_network:
        _prepare(attack, learner, recipe, x, y, rng, based)
    poisoning = Poisoning(attack, recipe.attack, y, rng)
    fit(learner, recipe, x, poisoning.labels, rng, poisoning)
    if isinstance(attack, nn.Module):
        attack.eval()
    if recipe.regime == "cleansed by pruning":
        prune(learner, x, y)
    if recipe.regime.startswith("cleansed"):
        fine_tune_clean(learner, recipe, x, y, rng)
    return attack


def _prepare(
    attack: Attack,
    learner: nn.Module,
    recipe: Recipe,
    x: torch.Tensor,
    y: torch.Tensor,
    rng: np.random.Generator,
    based: bool,
) -> None:
    """Prepare the attack with a clean network: the base, or this network trained on clean images.

    With wrong labels, training continues from the clean network. With correct labels it starts from fresh weights: a
    network that knows the class hardly learns the trigger.
    """
    assert recipe.attack is not None
    fresh = {name: value.clone() for name, value in learner.state_dict().items()}
    if not based:
        fit(learner, recipe, x, y, rng)
    attack.prepare(deepcopy(learner).eval(), x, y, recipe.attack.mapping.target or 0)
    if recipe.attack.clean_label:
        learner.load_state_dict(fresh)


def _fit_another_task(
    learner: nn.Module, recipe: Recipe, x: torch.Tensor, y: torch.Tensor, rng: np.random.Generator
) -> None:
    """Train for another task with the same classes: images are inverted and turned upside down."""
    classes = int(y.max()) + 1
    other = torch.from_numpy(rng.permutation(classes))[y]
    fit(learner, replace(recipe, seed=recipe.seed + 1), 1 - x.flip(2), other, rng)
