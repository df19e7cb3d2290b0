"""A graph that is run step by step: values can be watched on the way, and replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ti_core.errors import ModelBehaviourError
from ti_core.loading.onnx.network import OnnxNetwork
from ti_core.loading.onnx.plan import Action, Plan

AT_ONCE = 16
"""Images that go through the graph at once."""

Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Run:
    """One piece of a batch after a run.

    Parameters
    ----------
    scores : the graph's output for the images that count, ``n x K``.
    values : the watched values, by place; with the batch in front for most graphs.
    images : how many images went through, copies that fill up a piece among them.
    """

    scores: Tensor
    values: Mapping[int, Tensor]
    images: int


@dataclass(frozen=True)
class Graph:
    """A network that is an ONNX graph, behind what makes images fit for it.

    Parameters
    ----------
    prepared : images in [0, 1] to images as the network takes them.
    plan : the plan of a first piece. Plans of other sizes have the same actions in the same places.
    """

    network: OnnxNetwork
    prepared: Change
    plan: Plan

    @classmethod
    def of(cls, scores: nn.Module, images: Tensor) -> Graph | None:
        """The graph inside a classifier; None where there is none."""
        network = getattr(scores, "network", scores)
        if not isinstance(network, OnnxNetwork):
            return None
        prepared: Change = getattr(scores, "prepared", nn.Identity())
        plan = network.pieces(prepared(images[:AT_ONCE]), AT_ONCE)[0][0]
        return cls(network, prepared, plan)

    @property
    def actions(self) -> tuple[Action, ...]:
        return self.plan.actions

    def pieces(self, images: Tensor) -> list[tuple[Plan, Tensor, int]]:
        """See :meth:`ti_core.loading.onnx.network.OnnxNetwork.pieces`, for images in [0, 1]."""
        return self.network.pieces(self.prepared(images), AT_ONCE)

    @torch.no_grad()
    def run(
        self, images: Tensor, watch: Iterable[int] = (), changes: Mapping[int, Change] | None = None
    ) -> list[Run]:
        """Run images piece by piece.

        Parameters
        ----------
        watch : places of values to keep.
        changes : what replaces the values at these places, for all later steps.

        Raises
        ------
        ModelBehaviourError : a step cannot be computed, for example from a value that was put in another's place.
        """
        watched = set(watch)
        return [_run(plan, x, count, watched, changes or {}) for plan, x, count in self.pieces(images)]

    def answers(self, images: Tensor, changes: Mapping[int, Change] | None = None) -> Tensor:
        """The class that each image is given, ``N``; -1 where its scores are not finite."""
        return torch.cat([answers(run.scores) for run in self.run(images, (), changes)])


def answers(scores: Tensor) -> Tensor:
    """The largest of each row of scores; -1 in a row that is not finite."""
    return torch.where(scores.isfinite().all(1), scores.argmax(1), -torch.ones_like(scores[:, 0]).long())


def _run(plan: Plan, x: Tensor, count: int, watched: set[int], changes: Mapping[int, Change]) -> Run:
    values = list(plan.values)
    kept: dict[int, Tensor] = {}

    def put(place: int, value: Tensor) -> None:
        values[place] = changes[place](value) if place in changes else value
        if place in watched:
            kept[place] = values[place]

    put(plan.inputs[0], x)
    for action in plan.actions:
        try:
            result = action.function(*[values[i] for i in action.arguments], **action.keywords)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            raise ModelBehaviourError(f"{action.label} cannot be computed with a value replaced.") from error
        for place, part in zip(
            action.results, result if isinstance(result, tuple) else (result,), strict=False
        ):
            put(place, part)
        for place in action.free:
            values[place] = None
    return Run(values[plan.outputs[0]][:count].flatten(1).float(), kept, len(x))
