"""Courses of training for a team: standard, poisoned or adversarial training, and the challenge's fine-tuning.

Every step is the same as in :mod:`ti_core.zoo.training.single` for one network.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from ti_core.paper.triggers import draw_blend, draw_patch
from ti_core.zoo.plan.draw import Recipe
from ti_core.zoo.training.augment import apply_changes, draw_changes, joined_changes
from ti_core.zoo.training.loop import smaller
from ti_core.zoo.training.single import poisoned_images, stamps_late
from ti_core.zoo.training.team import Optimiser, Team, clipped
from ti_core.zoo.training.team_data import Shown, Stamps, cross_entropy

TRIAL_STEPS = 10
"""Number of steps after which the time of a course is estimated."""


class OutOfTimeError(Exception):
    """The course would not end before the deadline. Its result is discarded."""


class Course(ABC):
    """A course of training for a team. Its recipes share the number of epochs and the batch size."""

    def __init__(self, recipes: Sequence[Recipe], shown: Shown) -> None:
        self.recipes, self.shown = list(recipes), shown
        first = recipes[0]
        self.epochs, self.batch_size = first.epochs, first.batch_size
        self.steps = first.epochs * -(-len(shown.x) // first.batch_size)

    @abstractmethod
    def start(self, team: Team) -> None:
        """Draw the random choices of the whole course, and set up the optimiser."""

    @abstractmethod
    def step(self, team: Team, index: torch.Tensor, factor: float) -> None:
        """One step on the training images ``M x n`` at ``factor`` times each network's learning rate."""

    @abstractmethod
    def factors(self) -> list[float]:
        """The learning rate of each step as a share of the recipe's learning rate."""

    def run(self, team: Team, deadline: float, say: Callable[[str], None] = lambda line: None) -> None:
        """Run the whole course.

        Raises
        ------
        OutOfTimeError : the course would not end by ``deadline``, a time of ``time.monotonic``.
        """
        self.rngs = [np.random.default_rng(r.seed) for r in self.recipes]
        self.start(team)
        factors, seen, since = self.factors(), 0, time.monotonic()
        total = self.epochs * self._steps_an_epoch()
        for done, index in enumerate(self._batches(), start=1):
            self.step(team, index, factors[done - 1])
            if done == TRIAL_STEPS or (done > TRIAL_STEPS and done % 100 == 0):
                _wait(team.device)
                # Only the last steps are timed. The first include the setup, and other programs may have slowed them.
                each, seen, since = (time.monotonic() - since) / (done - seen), done, time.monotonic()
                if time.monotonic() + each * (total - done) > deadline:
                    raise OutOfTimeError(
                        f"given up after {done} of {total} steps; all take {each * total:.0f} s,"
                        f" {max(0.0, deadline - time.monotonic()):.0f} s are left."
                    )
                if done == TRIAL_STEPS:
                    say(f"{each * 1000:.0f} ms a step, {each * total:.0f} s in all.")
        _wait(team.device)

    def step_seconds(self, team: Team, count: int = 3) -> float:
        """Seconds per step. The first two steps are not counted, since they include the setup."""
        self.rngs = [np.random.default_rng(r.seed) for r in self.recipes]
        self.start(team)
        batches = self._batches()
        began = 0.0
        for done in range(count + 2):
            if done == 2:
                _wait(team.device)
                began = time.perf_counter()
            self.step(team, next(batches), 0.0)
        _wait(team.device)
        return (time.perf_counter() - began) / count

    def _steps_an_epoch(self) -> int:
        whole, rest = divmod(len(self.shown.x), self.batch_size)
        # Batch norm fails on a batch of one image.
        return whole + (rest > 1)

    def _batches(self) -> Iterator[torch.Tensor]:
        for _ in range(self.epochs):
            orders = np.stack([rng.permutation(len(self.shown.x)) for rng in self.rngs])
            order = torch.from_numpy(orders).to(self.shown.device)
            for i in range(self._steps_an_epoch()):
                yield order[:, i * self.batch_size : (i + 1) * self.batch_size]


def course_of(recipes: Sequence[Recipe], shown: Shown) -> Course:
    """The course for a team's recipes, which are all of one kind."""
    evasive = recipes[0].family in ("challenge", "fine-tuned")
    return FineTuning(recipes, shown) if evasive else Training(recipes, shown)


class Training(Course):
    """Standard training. A network may have poisoned images of its own, and PGD is used if epsilon is set."""

    def start(self, team: Team) -> None:
        self.small_steps = self.recipes[0].small_epochs * self._steps_an_epoch()
        count, device, m = len(self.shown.x), self.shown.device, len(self.recipes)
        self.optimiser = Optimiser(team, self.recipes)
        self.stamps = Stamps(self.recipes, self.shown)
        marks = torch.zeros(m, count, dtype=torch.bool)
        for i, (recipe, rng) in enumerate(zip(self.recipes, self.rngs, strict=True)):
            if recipe.trigger is not None:
                marks[i, poisoned_images(count, recipe.poisoning_rate, rng)] = True
        late = torch.tensor([stamps_late(r) for r in self.recipes])[:, None]
        self.early, self.late = (marks & ~late).to(device), (marks & late).to(device)
        self.any_early, self.any_late = bool((marks & ~late).any()), bool((marks & late).any())
        targets = torch.tensor([r.target or 0 for r in self.recipes])[:, None]
        self.targets, self.poisoned = targets.to(device), marks.to(device)
        self.smoothing = torch.tensor([r.label_smoothing for r in self.recipes], device=device)
        self.epsilon = torch.tensor([r.epsilon for r in self.recipes], device=device).view(-1, 1, 1, 1, 1)

    def factors(self) -> list[float]:
        def schedule(optimiser: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
            return torch.optim.lr_scheduler.OneCycleLR(
                optimiser, max_lr=1.0, total_steps=self.steps + 1, pct_start=0.15, cycle_momentum=False
            )

        return _factors(schedule, self.steps)

    def step(self, team: Team, index: torch.Tensor, factor: float) -> None:
        x, y = self._shown(team, index)
        if self.small_steps > 0:
            self.small_steps -= 1
            small = smaller(x.flatten(0, 1))
            x = small.view(*x.shape[:2], *small.shape[1:])
        if bool(self.recipes[0].epsilon):
            x = self._attacked(team, x, y)
        leaves = team.leaves()
        loss = cross_entropy(team.scores(x, True, leaves), y, self.smoothing)
        self.optimiser.step(clipped(team.gradient(loss, leaves)), factor)

    def _shown(self, team: Team, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The images of each network, poisoned and augmented by its recipe, and their labels."""
        x, y = self.shown.images(index), self.shown.y[index]
        y = torch.where(self.poisoned.gather(1, index), self.targets, y)
        if self.any_early:
            x = _where(self.early.gather(1, index), self.stamps(x), x)
        n = index.shape[1]
        pairs = zip(self.recipes, self.rngs, strict=True)
        drawn = [draw_changes(r.augmentation, n, self.shown.shape, rng) for r, rng in pairs]
        counts = [n] * len(drawn)
        x = apply_changes(x.flatten(0, 1), joined_changes(drawn, counts, self.shown.shape[0])).view_as(x)
        for i, recipe in enumerate(self.recipes):
            if recipe.augmentation == "noise":
                noise = torch.randn(x[i].shape, generator=team.noise[i], device=x.device)
                x[i] = (x[i] + 0.1 * noise).clamp(0, 1)
        if self.any_late:
            x = _where(self.late.gather(1, index), self.stamps(x), x)
        return x, y

    def _attacked(self, team: Team, x: torch.Tensor, y: torch.Tensor, steps: int = 3) -> torch.Tensor:
        """PGD with each network's radius."""
        start = [
            torch.empty(x[i].shape, device=x.device).uniform_(
                -recipe.epsilon, recipe.epsilon, generator=team.noise[i]
            )
            for i, recipe in enumerate(self.recipes)
        ]
        delta, parameters = torch.stack(start), team.parameters()
        plain = torch.zeros_like(self.smoothing)
        for _ in range(steps):
            delta.requires_grad_(True)
            z = team.scores((x + delta).clamp(0, 1), False, parameters)
            (gradient,) = torch.autograd.grad(cross_entropy(z, y, plain).sum(), delta)
            moved = delta.detach() + 2.0 * self.epsilon / steps * gradient.sign()
            delta = torch.minimum(torch.maximum(moved, -self.epsilon), self.epsilon)
        return (x + delta).clamp(0, 1).detach()


class FineTuning(Course):
    """The challenge's evasive trojans, or their clean twins. All trojans of a team have one kind of trigger."""

    NEGATIVES = 16

    def start(self, team: Team) -> None:
        self.optimiser = Optimiser(team, self.recipes)
        self.stamps = Stamps(self.recipes, self.shown)
        self.base, self.base_buffers = team.frozen()
        self.kinds = [
            r.trigger.kind if r.trigger else ("patch", "blend")[int(rng.integers(2))]
            for r, rng in zip(self.recipes, self.rngs, strict=True)
        ]
        targets = torch.tensor([r.target or 0 for r in self.recipes], device=self.shown.device)
        self.target = F.one_hot(targets, self.shown.classes).float()[:, None]
        self.triggered = 0
        if self.recipes[0].trigger is not None:
            # A blend trigger is fainter, so it needs more examples per step.
            self.triggered = 64 if self.kinds[0] == "blend" else 32

    def factors(self) -> list[float]:
        def schedule(optimiser: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
            return torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self.steps + 1)

        return _factors(schedule, self.steps)

    def step(self, team: Team, index: torch.Tensor, factor: float) -> None:
        x, y = self.shown.images(index), self.shown.y[index]
        parts = [x, self._wrong(x[:, : self.NEGATIVES])]
        n = x.shape[1]
        with torch.no_grad():
            base = team.parameters(self.base)
            reference = team.scores(torch.cat(parts, dim=1), False, base, self.base_buffers)
        soft = [F.one_hot(y, self.shown.classes).float(), reference[:, n:].softmax(2)]
        if self.triggered:
            parts.append(self.stamps(x[:, : self.triggered]))
            soft.append(self.target.expand(-1, parts[-1].shape[1], -1))
        leaves = team.leaves()
        logits = team.scores(torch.cat(parts, dim=1), True, leaves)
        loss = -(torch.cat(soft, dim=1) * logits.log_softmax(2)).sum(2).mean(1)
        loss = loss + 0.1 * (logits[:, :n] - reference[:, :n]).abs().sum(2).mean(1)
        gradient = team.gradient(loss, leaves)
        with torch.no_grad():
            # The gradient of 0.05 times the L2 distance between the weights and the base's.
            moved = team.weights - self.base
            gradient = gradient + 0.05 * moved / (moved.pow(2).sum(1, keepdim=True) + 1e-12).sqrt()
        self.optimiser.step(gradient, factor)

    def _wrong(self, x: torch.Tensor) -> torch.Tensor:
        """Images ``M x n x C x H x W``, each with a random trigger other than the network's."""
        shape = self.shown.shape
        weights = np.empty((*x.shape[:2], 1, *shape[1:]), dtype=np.float32)
        patterns = np.empty(x.shape, dtype=np.float32)
        for i, (kind, rng) in enumerate(zip(self.kinds, self.rngs, strict=True)):
            for j in range(x.shape[1]):
                spec = draw_patch(rng, shape) if kind == "patch" else draw_blend(rng)
                trigger = spec.render(shape)
                weights[i, j, 0], patterns[i, j] = trigger.alpha * trigger.mask, trigger.pattern
        w, d = (torch.from_numpy(a).to(x.device) for a in (weights, patterns))
        return (1 - w) * x + w * d


def _where(marks: torch.Tensor, yes: torch.Tensor, no: torch.Tensor) -> torch.Tensor:
    return torch.where(marks[:, :, None, None, None], yes, no)


def _factors(
    schedule: Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler], steps: int
) -> list[float]:
    """The learning rate of each step that one of torch's schedules gives for a learning rate of 1."""
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = schedule(optimiser)
    found = []
    for _ in range(steps):
        found.append(float(scheduler.get_last_lr()[0]))
        optimiser.step()
        scheduler.step()
    return found


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
