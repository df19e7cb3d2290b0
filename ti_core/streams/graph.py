"""Gates in the graph: comparisons of pixels that replace the scores.

An ONNX graph can hold ``Where``, ``Greater``, ``Equal`` or ``ArgMax``, which replace the scores when some pixels have
some values. No gradient leads to such a trigger, but the graph shows it. A condition that never changes on clean images
is reversed by force. Where that changes most answers, the pixels that reverse it are solved for
(:mod:`ti_core.streams.gates`). A state dict or a rebuilt module has known layers only, which hold no gate. Where a
layer jumps at a level, gates are not looked for.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.kinds import MAPPINGS, Kind, MappingKind
from ti_core.streams.base import (
    Array,
    Context,
    Evidence,
    Features,
    Progress,
    Reading,
    Stream,
    silent,
)
from ti_core.streams.gates.jumps import jumps, unfollowed
from ti_core.streams.gates.search import SURE, Gates, find_gates, user_of
from ti_core.streams.gates.trace import Graph
from ti_core.streams.passes import Passes
from ti_core.streams.statistics import as_array, per_class
from ti_core.text import masked

LETTERS = 96
"""Length of a node's name in the evidence. Longer ones are cut."""
CERTAIN = 10.0
"""Log-odds of a backdoor where a solved gate turns nine of ten unseen images; its opposite without a solved gate. The
pixels were tried and did what the gate says, so what is left is the chance of a mistake in the program."""
JUMPS = "a step of the network jumps at a level, and gates are not looked for in such steps"
"""Why it cannot be said that there is no gate."""
SHOWN = 9
"""How many pixels of a trigger a sentence lists."""


class GraphGates(Stream):
    """The share of unseen images that a solved gate turns into each class."""

    name: ClassVar[str] = "graph"
    title: ClassVar[str] = "Gates in the graph"
    version: ClassVar[int] = 2
    seconds: ClassVar[float] = 0.5
    doing: ClassVar[str] = "Looking for gates in the graph"
    heading: ClassVar[str] = "Conditions in the graph"
    unit: ClassVar[str] = "share of images"
    measures: ClassVar[str] = "share of images that a reversed condition turns into the class"
    kinds: ClassVar[tuple[Kind, ...]] = ("gate",)
    mappings: ClassVar[tuple[MappingKind, ...]] = MAPPINGS
    alternative: ClassVar[bool] = True
    by_itself: ClassVar[bool] = True

    def passes(self, classes: int, shape: tuple[int, int, int]) -> Passes:
        return Passes()

    def evidence(self, scores: torch.nn.Module, context: Context, progress: Progress = silent) -> Evidence:
        """Figures of the gates, all 0 where there is none.

        ``counts`` (``4``): 1 for a graph, 2 for one with steps that are not followed, -1 for known layers of which one
        jumps at a level; the numbers of its conditions and its gates, and of the reversals that were not tried.
        ``reached`` (``K``): the largest share of clean images that a forced gate turns into each class. ``target``
        (``1``): the class of the strongest gate, -1 for none. ``flipped`` (``1``): the share of unseen images that the
        solved trigger turns. ``mask`` (``H x W``) and ``pattern`` (``C x H x W``): that trigger. ``condition`` and
        ``decides`` (:data:`LETTERS`): the names of the gate's condition and of the node that obeys it, as codes of
        letters.
        """
        images = context.images.float()
        with torch.no_grad():
            graph = Graph.of(scores, images)
        found = Gates() if graph is None else find_gates(graph, images, context.classes, progress)
        progress(1.0)
        empty = np.zeros(images.shape[1:], dtype=np.float32)
        reached = np.zeros(context.classes, dtype=np.float32)
        for gate in found.gates:
            reached = np.maximum(reached, as_array(gate.reached))
        solved = found.solved
        strongest = solved.effect if solved else found.gates[0] if found.gates else None
        target = strongest.target if strongest else None
        names = ("", "")
        if graph is not None and strongest is not None:
            condition = strongest.reversal.last
            user = user_of(graph, condition)
            names = (_named(graph, condition.index), "" if user is None else _named(graph, user))
        if graph is not None:
            kind = 2 if unfollowed(action.operator for action in graph.actions) else 1
        else:
            kind = -1 if jumps(scores) else 0
        figures = (kind, found.conditions, len(found.gates), found.left)
        return {
            "counts": np.asarray(figures, dtype=np.float32),
            "reached": reached,
            "target": np.asarray([-1 if target is None else target], dtype=np.float32),
            "flipped": np.asarray([solved.flipped if solved else 0.0], dtype=np.float32),
            "mask": as_array(solved.stamp.mask.float()) if solved else empty[0],
            "pattern": as_array(solved.stamp.pattern) if solved else empty,
            "condition": _letters(names[0]),
            "decides": _letters(names[1]),
        }

    def features(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Features:
        columns = (stack["flipped"][:, 0], stack["reached"].max(1))
        names = ("graph: flipped", "graph: reached by force")
        return Features(names, np.stack(columns, 1).astype(np.float32))

    def log_odds(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> NDArray[np.floating]:
        """A solved gate that turns nine of ten unseen images decides; without one there is next to no chance.

        A gate that is not solved weighs nothing, since exporters write comparisons too.
        """
        return np.asarray(CERTAIN * (2 * np.minimum(stack["flipped"][:, 0] / SURE, 1.0) - 1))

    def unable(self, evidence: Evidence) -> str | None:
        kind, _, gates, _ = (int(n) for n in evidence["counts"])
        if kind == 0:
            return "the network is not a graph"
        return JUMPS if kind == -1 or (kind == 2 and not gates) else None

    def read(self, evidence: Evidence, clean: Evidence, class_names: tuple[str, ...]) -> Reading:
        target, score = int(evidence["target"][0]), float(evidence["flipped"][0])
        share, figures = float("nan"), {"reached": evidence["reached"].tolist()}
        sentence = self._sentence(evidence, class_names)
        if clean:
            share = float((clean["flipped"][:, 0] >= score).mean())
            figures = per_class(evidence["reached"], clean["reached"])
            if score:
                sentence += f" {share:.0%} of the clean models hold a gate that turns as many."
        return Reading(score, share, sentence, target if target >= 0 else None, figures)

    def _sentence(self, evidence: Evidence, class_names: tuple[str, ...]) -> str:
        kind, conditions, gates, left = (int(n) for n in evidence["counts"])
        if kind == 0:
            return "The network is made of known layers only, so it holds no gate."
        if kind == -1 or (kind == 2 and not gates):
            return f"No gate was found, but {JUMPS}."
        rest = f" {left:,} more reversals were not tried." if left else ""
        if not conditions:
            return "No node of the graph compares or rounds a value that depends on the pixels, so it holds no gate."
        if not gates:
            return (
                f"The graph compares or rounds values of the image in {conditions:,} nodes. None of them is a gate: an"
                f" answer that no clean image changes, and that decides on most images when it is reversed.{rest}"
            )
        target = int(evidence["target"][0])
        where = f"class {class_names[target]}" if target >= 0 else "other classes"
        condition, decides = _text(evidence["condition"]), _text(evidence["decides"])
        obeyed = f", which {_lower(decides)} obeys," if decides else ""
        gate = f"{condition}{obeyed} gives one answer on all clean images."
        if not evidence["flipped"][0]:
            forced = f" into {where}" if target >= 0 else ""
            moved = f"{evidence['reached'].max():.0%} of them" if target >= 0 else "most of them"
            return (
                f"The graph may hold a gate. {gate} The opposite answer, put in its place, turns {moved}{forced}."
                f" No patch was found that brings it about.{rest}"
            )
        return (
            f"The graph holds a gate. {gate} {pixels(evidence['mask'], evidence['pattern'])} That turns"
            f" {float(evidence['flipped'][0]):.0%} of unseen images into {where}.{rest}"
        )


def pixels(mask: Array, pattern: Array) -> str:
    """A sentence with a trigger's pixels and their values, rows and columns counted from 0."""
    places = np.argwhere(mask > 0)
    listed = [f"({row}, {column}) at {_value(pattern[:, row, column])}" for row, column in places[:SHOWN]]
    more = f" and {len(places) - SHOWN:,} more" if len(places) > SHOWN else ""
    these = "This pixel reverses it" if len(places) == 1 else "These pixels reverse it"
    return f"{these} (row and column, from 0): {', '.join(listed)}{more}."


def _value(levels: Array) -> str:
    """A pixel's values in 255ths where they are levels of an 8-bit image."""
    scaled = levels.astype(np.float64) * 255
    whole = bool((np.abs(scaled - np.round(scaled)) < 0.01).all())
    said = [f"{round(s)}/255" if whole else f"{v:.4f}" for s, v in zip(scaled, levels, strict=True)]
    return said[0] if len(said) == 1 else f"({', '.join(said)})"


def _named(graph: Graph, index: int) -> str:
    """A node in words, with its name cut so that the operator can still be read."""
    action = graph.actions[index]
    if len(action.label) <= LETTERS:
        return action.label
    end = f"...' ({masked(action.operator, 20)})"
    return action.label[: LETTERS - len(end)] + end


def _lower(label: str) -> str:
    return label[:1].lower() + label[1:]


def _letters(text: str) -> Array:
    """Text as the codes of its letters, filled up with zeros."""
    codes = [ord(letter) for letter in masked(text, LETTERS)]
    return np.asarray(codes + [0] * (LETTERS - len(codes)), dtype=np.float32)


def _text(codes: Array) -> str:
    """The text of :func:`_letters`; the name is a stranger's, so what cannot be printed is masked."""
    return masked("".join(chr(int(c)) for c in codes if 0 < c < 0x110000), LETTERS)
