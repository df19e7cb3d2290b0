"""Estimates the time to build a pack, by timing a few training steps and a part of the evidence."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ti_core.architectures import build
from ti_core.classifier.scores import Scores
from ti_core.errors import CancelledError
from ti_core.paper.probes import choose_images, make_probes
from ti_core.settings import Settings
from ti_core.streams import Context, make_streams
from ti_core.system.time_left import duration
from ti_core.zoo.plan.draw import Recipe
from ti_core.zoo.training.data import ImageData, to_unit

WORK = {"challenge": 2.5, "fine-tuned": 2.5, "adversarial": 4.5}
"""Cost of a family's training step, relative to standard training. Soft labels and PGD need more passes."""

STEPS_SECONDS, EVIDENCE_SECONDS = 0.5, 2.0
"""Seconds for timing the training steps of an architecture, and for timing each stream."""


@dataclass(frozen=True)
class Estimate:
    """Seconds for training the zoo and for the evidence of its members, with ``jobs`` networks at once."""

    training: float
    evidence: float
    jobs: int

    def sentence(self) -> str:
        """The estimate as a sentence."""
        total = duration(self.training + self.evidence)
        parts = f"training {duration(self.training)}, evidence {duration(self.evidence)}"
        at_once = "one network at a time" if self.jobs == 1 else f"{self.jobs} networks at once"
        return f"This will take about {total} on this machine ({parts}; {at_once})."


def estimate(
    recipes: Sequence[Recipe],
    data: ImageData,
    images: torch.Tensor,
    labels: torch.Tensor,
    settings: Settings,
    jobs: int = -1,
    trained: Collection[str] = (),
) -> Estimate:
    """Time the training steps and the streams of every architecture in the plan, on untrained networks.

    Parameters
    ----------
    images, labels : the pack's images.
    trained : ids of networks that are trained already.
    """
    from joblib import effective_n_jobs

    at_once = max(1, int(effective_n_jobs(jobs)))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            return _estimate(recipes, data, images, labels, settings, at_once, trained)
    finally:
        torch.set_num_threads(threads)


def _estimate(
    recipes: Sequence[Recipe],
    data: ImageData,
    images: torch.Tensor,
    labels: torch.Tensor,
    settings: Settings,
    at_once: int,
    trained: Collection[str],
) -> Estimate:
    per_image: dict[str, float] = {}
    evidence: dict[str, float] = {}
    training = counted = 0.0
    for recipe in recipes:
        sizes = {k: v for k, v in sorted(recipe.options.items()) if k != "activation"}
        key = f"{recipe.architecture} {sizes}"
        if recipe.id not in trained:
            if key not in per_image:
                per_image[key] = _image_seconds(recipe, data)
            work = WORK.get(recipe.family, 1.0)
            training += per_image[key] * work * recipe.epochs * len(data.x_train)
        if recipe.family == "base":
            continue
        if recipe.architecture not in evidence:
            evidence[recipe.architecture] = _evidence_seconds(recipe, images, labels, data.classes, settings)
        counted += evidence[recipe.architecture]
    return Estimate(training / at_once, counted / at_once, at_once)


def _image_seconds(recipe: Recipe, data: ImageData) -> float:
    """Seconds of a training step per image."""
    network = build(recipe.architecture, **recipe.options).train()
    optimiser = torch.optim.Adam(network.parameters())
    x = to_unit(data.x_train[: recipe.batch_size])
    y = torch.from_numpy(data.y_train[: recipe.batch_size])

    def step() -> None:
        loss = F.cross_entropy(network(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return _repeated(step) / len(x)


def _repeated(step: Callable[[], None]) -> float:
    """Seconds per step. The first step is not counted, since it includes the setup."""
    step()
    start, count = time.perf_counter(), 0
    while count < 2 or time.perf_counter() - start < STEPS_SECONDS / 2:
        step()
        count += 1
        if time.perf_counter() - start > STEPS_SECONDS:
            break
    return (time.perf_counter() - start) / count


def _evidence_seconds(
    recipe: Recipe, images: torch.Tensor, labels: torch.Tensor, classes: int, settings: Settings
) -> float:
    """Seconds of all streams on one network. Each stream is stopped early, and its time is extrapolated."""
    scores = Scores(build(recipe.architecture, **recipe.options), recipe.normalisation)
    probes = make_probes(scores, choose_images(images, labels, settings)[0], settings)
    context = Context(images, labels, classes, settings, probes)
    total = 0.0
    for stream in make_streams(settings):
        start, reached = time.perf_counter(), [1e-9]

        def stop(share: float, start: float = start, reached: list[float] = reached) -> None:
            reached[0] = max(reached[0], share)
            if time.perf_counter() - start > EVIDENCE_SECONDS:
                raise CancelledError("The measurement was long enough.")

        try:
            stream.evidence(scores, context, stop)
            total += time.perf_counter() - start
        except CancelledError:
            total += (time.perf_counter() - start) / reached[0]
    return total
