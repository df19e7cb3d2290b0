"""The loop of standard training, with augmentation and PGD."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ti_core.zoo.plan.draw import Recipe
from ti_core.zoo.training.augment import apply_changes, draw_changes


def optimiser_of(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, nesterov=True, weight_decay=decay)
    kind = torch.optim.AdamW if recipe.optimiser == "adamw" else torch.optim.Adam
    return kind(model.parameters(), lr=rate, weight_decay=decay)


def batches_of(count: int, size: int, rng: np.random.Generator) -> Iterator[torch.Tensor]:
    order = torch.from_numpy(rng.permutation(count))
    # Batch norm fails on a batch of one image.
    yield from (b for b in order.split(size) if len(b) > 1)


class Change:
    """What training does to every batch after its augmentation; the base class does nothing."""

    def __call__(self, batch: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """A changed copy of augmented images ``n x C x H x W``; ``index`` says which of the training set they are."""
        return batch

    def penalty(self) -> torch.Tensor | None:
        """A term that is added to the loss of the last batch."""
        return None

    def step(self) -> None:
        """Called after every step of the network's optimiser."""


def fit(
    model: nn.Module,
    recipe: Recipe,
    x: torch.Tensor,
    y: torch.Tensor,
    rng: np.random.Generator,
    change: Change | None = None,
) -> None:
    """Standard training on images ``N x C x H x W`` with labels ``N``."""
    optimiser = optimiser_of(model, recipe)
    steps = recipe.epochs * -(-len(x) // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=recipe.learning_rate, total_steps=steps + 1, pct_start=0.15, cycle_momentum=False
    )
    for epoch in range(recipe.epochs):
        for index in batches_of(len(x), recipe.batch_size, rng):
            batch = augment(x[index], recipe.augmentation, rng)
            if change is not None:
                batch = change(batch, index)
            if epoch < recipe.small_epochs:
                batch = smaller(batch)
            if recipe.epsilon:
                batch = pgd(model, batch, y[index], recipe.epsilon)
            model.train()
            loss = F.cross_entropy(model(batch), y[index], label_smoothing=recipe.label_smoothing)
            if change is not None and (penalty := change.penalty()) is not None:
                loss = loss + penalty
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            if change is not None:
                change.step()


def augment(x: torch.Tensor, kind: str, rng: np.random.Generator) -> torch.Tensor:
    """Change every image at random.

    ``kind`` is "none", "shift" (2 pixels), "noise", "flip" (with shift), or parts joined by ``+``
    (:data:`ti_core.zoo.training.augment.PARTS`).
    """
    if "+" in kind:
        return apply_changes(x, draw_changes(kind, len(x), (x.shape[1], x.shape[2], x.shape[3]), rng))
    if kind == "noise":
        return (x + 0.1 * torch.randn_like(x)).clamp(0, 1)
    if kind in ("shift", "flip"):
        padded = F.pad(x, (2, 2, 2, 2))
        out = torch.empty_like(x)
        offsets = rng.integers(0, 5, size=(len(x), 2))
        for top, left in np.unique(offsets, axis=0):
            own = torch.from_numpy((offsets == (top, left)).all(1))
            out[own] = padded[own, :, top : top + x.shape[2], left : left + x.shape[3]]
        if kind == "flip":
            mirrored = torch.from_numpy(rng.random(len(x)) < 0.5)
            out[mirrored] = out[mirrored].flip(3)
        return out
    return x


def smaller(x: torch.Tensor) -> torch.Tensor:
    """Images ``N x C x H x W`` at three quarters of their height and width."""
    size = 3 * x.shape[2] // 4, 3 * x.shape[3] // 4
    return F.interpolate(x, size=size, mode="bilinear", antialias=True)


def pgd(model: nn.Module, x: torch.Tensor, y: torch.Tensor, epsilon: float, steps: int = 3) -> torch.Tensor:
    """Images in the L-infinity ball around ``x`` that increase the loss (PGD; Madry et al., 2018)."""
    model.eval()
    delta = torch.empty_like(x).uniform_(-epsilon, epsilon)
    for _ in range(steps):
        delta.requires_grad_(True)
        loss = F.cross_entropy(model((x + delta).clamp(0, 1)), y)
        (gradient,) = torch.autograd.grad(loss, delta)
        delta = (delta.detach() + 2.0 * epsilon / steps * gradient.sign()).clamp(-epsilon, epsilon)
    return (x + delta).clamp(0, 1).detach()
