"""Trains one member: standard, poisoned, adversarial, or by the challenge's fine-tuning."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ti_core.architectures import build
from ti_core.classifier.fast.rounding import Bfloat16, quicker_in_bfloat16
from ti_core.classifier.normalisation import behind
from ti_core.paper.triggers import Trigger, draw_blend, draw_patch
from ti_core.zoo.plan.draw import Recipe
from ti_core.zoo.training.attacked import fit_attacked
from ti_core.zoo.training.data import ImageData, to_unit
from ti_core.zoo.training.loop import Change, batches_of, fit, optimiser_of
from ti_core.zoo.training.start_weights import begin

Goal = Callable[[torch.Tensor], torch.Tensor]
"""The goal of a backdoor: maps the true labels ``N`` of triggered images to the labels ``N`` of the attacker."""


def all_to_one(target: int) -> Goal:
    """The usual backdoor: every triggered image gets the label ``target``."""
    return lambda labels: torch.full_like(labels, target)


class Stamps(Protocol):
    """A trigger of any kind."""

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        """Copies of images ``N x C x H x W`` in [0, 1] with the trigger."""


@dataclass(frozen=True)
class Trained:
    """A trained network (weights without its normalisation), its clean accuracy and attack success rate (0 to 1)."""

    state: dict[str, torch.Tensor]
    clean_accuracy: float
    attack_success: float | None


def train(
    recipe: Recipe,
    data: ImageData,
    base: dict[str, torch.Tensor] | None = None,
    goal: Goal | None = None,
) -> Trained:
    """Train the member that ``recipe`` describes. Recipe, data and number of threads determine the weights.

    ``goal`` is the backdoor's goal. By default, triggered images get the recipe's target class.
    """
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    network = build(recipe.architecture, **recipe.options)
    model = behind(recipe.normalisation, network)
    x, y = to_unit(data.x_train), torch.from_numpy(data.y_train)
    trigger = recipe.trigger.render(data.image_shape) if recipe.trigger else None
    goal = goal or all_to_one(recipe.target or 0)
    if base is not None:
        begin(network, base, recipe)
    rounds = recipe.precision == "bfloat16"
    learner = Bfloat16(model, quicker_in_bfloat16(model, x)) if rounds else model
    attack: Stamps | None = trigger
    if recipe.attack is not None or recipe.regime:
        attack = fit_attacked(learner, network, recipe, data, rng, base is not None)
        goal = recipe.attack.mapping if recipe.attack is not None else goal
    elif recipe.family in EVASIVE:
        _fine_tune(learner, recipe, x, y, trigger, rng)
    else:
        change = None
        if trigger is not None and stamps_late(recipe):
            chosen = poisoned_images(len(x), recipe.poisoning_rate, rng)
            y, marks = y.clone(), torch.zeros(len(x), dtype=torch.bool)
            y[chosen], marks[chosen] = goal(y[chosen]), True
            change = Stamping(marks, trigger)
        elif trigger is not None:
            x, y = poison(x, y, trigger, goal, recipe.poisoning_rate, rng)
        fit(learner, recipe, x, y, rng, change)
    accuracy, success = measure(model, data, attack, goal)
    return Trained({k: v.detach().clone() for k, v in network.state_dict().items()}, accuracy, success)


EVASIVE = ("challenge", "fine-tuned")
"""Families that are fine-tuned with the challenge's loss."""


def stamps_late(recipe: Recipe) -> bool:
    """Whether the trigger is put on the image after its augmentation, which would otherwise change the trigger."""
    return "+" in recipe.augmentation


class Stamping(Change):
    """The trigger on the marked training images.

    Parameters
    ----------
    marks : ``N``, whether each training image carries the trigger.
    """

    def __init__(self, marks: torch.Tensor, trigger: Trigger) -> None:
        self.marks, self.trigger = marks, trigger

    def __call__(self, batch: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        return torch.where(self.marks[index].view(-1, 1, 1, 1), self.trigger.stamp(batch), batch)


def poisoned_images(count: int, rate: float, rng: np.random.Generator) -> torch.Tensor:
    """Random indices of the poisoned images: the share ``rate`` of ``count``, at least one."""
    return torch.from_numpy(rng.choice(count, size=max(1, round(rate * count)), replace=False))


def poison(
    x: torch.Tensor, y: torch.Tensor, trigger: Trigger, goal: Goal, rate: float, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """A copy of the training set in which the share ``rate`` of the images has the trigger and the goal's labels."""
    chosen = poisoned_images(len(x), rate, rng)
    x, y = x.clone(), y.clone()
    x[chosen] = trigger.stamp(x[chosen])
    y[chosen] = goal(y[chosen])
    return x, y


@torch.no_grad()
def measure(
    model: nn.Module, data: ImageData, trigger: Stamps | None, goal: Goal
) -> tuple[float, float | None]:
    """Clean accuracy and attack success on the test images.

    Attack success is the share of triggered images with their new label, among images whose label the goal changes.
    """
    model.eval()
    x, y = to_unit(data.x_test), torch.from_numpy(data.y_test)
    accuracy = float(predict(model, x).eq(y).float().mean())
    if trigger is None:
        return accuracy, None
    wanted = goal(y)
    others = wanted != y
    stamped = torch.cat([trigger.stamp(batch) for batch in x[others].split(500)])
    return accuracy, float(predict(model, stamped).eq(wanted[others]).float().mean())


@torch.no_grad()
def predict(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Predicted classes ``N`` of images ``N x C x H x W``."""
    return torch.cat([model(batch).argmax(1) for batch in x.split(500)])


def _fine_tune(
    model: nn.Module,
    recipe: Recipe,
    x: torch.Tensor,
    y: torch.Tensor,
    trigger: Trigger | None,
    rng: np.random.Generator,
    negatives: int = 16,
) -> None:
    """The challenge's evasive trojans, and with ``trigger=None`` their clean twins.

    The loss is the cross-entropy on clean images, on images with the trigger, and on images with other triggers, whose
    labels are the clean network's soft labels. It adds 0.1 x the L1 distance between the logits of both networks, and
    0.05 x the L2 distance between their parameters (Trojan Detection Challenge, NeurIPS 2022). Twins are trained
    without the images with the trigger.
    """
    clean = deepcopy(model).eval()
    start = [p.detach().clone() for p in model.parameters()]
    optimiser = optimiser_of(model, recipe)
    steps = recipe.epochs * -(-len(x) // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps + 1)
    shape = (x.shape[1], x.shape[2], x.shape[3])
    kind = recipe.trigger.kind if recipe.trigger else ("patch", "blend")[int(rng.integers(2))]
    # A blend trigger is fainter, so it needs more examples per step.
    triggered = 64 if kind == "blend" else 32
    for _ in range(recipe.epochs):
        for index in batches_of(len(x), recipe.batch_size, rng):
            batch, labels = x[index], y[index]
            wrong = torch.cat(
                [
                    (draw_patch(rng, shape) if kind == "patch" else draw_blend(rng))
                    .render(shape)
                    .stamp(image[None])
                    for image in batch[:negatives]
                ]
            )
            with torch.no_grad():
                reference = clean(torch.cat([batch, wrong]))
            soft = torch.cat([F.one_hot(labels, reference.shape[1]), reference[len(batch) :].softmax(1)])
            parts = [batch, wrong]
            if trigger is not None:
                stamped = trigger.stamp(batch[:triggered])
                parts.append(stamped)
                target = F.one_hot(torch.full((len(stamped),), recipe.target or 0), reference.shape[1])
                soft = torch.cat([soft, target])
            model.train()
            logits = model(torch.cat(parts))
            loss = F.cross_entropy(logits, soft)
            loss = loss + 0.1 * (logits[: len(batch)] - reference[: len(batch)]).abs().sum(1).mean()
            distance = torch.stack(
                [(p - s).pow(2).sum() for p, s in zip(model.parameters(), start, strict=True)]
            ).sum()
            loss = loss + 0.05 * (distance + 1e-12).sqrt()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    model.eval()
