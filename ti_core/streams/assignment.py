"""Assignments: one pattern that moves every class to another one at once.

In an all-to-all backdoor (BadNets: Gu et al., 2017) the trigger turns each class into another one. No class then stands
out. One pattern in a window, or blended over the image, is searched under the assignment of classes to classes that
suits it best, without fixed points (the Hungarian method: Kuhn, 1955). No reference models are needed: in a clean
network hardly any small pattern moves several classes each to one other class (compare Xiang et al., UMD, 2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.classifier.fast.copying import fast_copy
from ti_core.kinds import Kind, MappingKind
from ti_core.streams.base import (
    Array,
    Context,
    Evidence,
    Features,
    FoundMapping,
    Progress,
    Reading,
    Stream,
    as_stack,
    silent,
)
from ti_core.streams.passes import Passes
from ti_core.streams.searches.derangements import PatternSearch, by_class
from ti_core.streams.searches.patches import WindowSearch
from ti_core.streams.searches.search import chunks
from ti_core.streams.statistics import as_array, per_class

RATIOS = (0.1, 0.2)
"""Blend ratios of the patterns over the whole image."""
EVEN = 0.6
"""Share of moved images at which an all-to-all backdoor is as likely as none: halfway between the largest share of
clean networks and the smallest of all-to-all backdoors (``python -m benchmarks.by_itself --stream assignment``)."""
STEEP = 20.0
"""Log-odds for a difference of 1 in that share. At the largest share of a clean network they are about -5."""
FEWEST_CLASSES = 3
"""Minimum number of classes. In some clean networks of two classes one pattern leads each to the other."""


@dataclass(frozen=True)
class AssignmentSearch:
    """How patterns are searched: a short look at every place, then a full search at the most promising ones.

    Parameters
    ----------
    look, steps : gradient steps for each pattern, in the short look and in the full search.
    look_fit, fit : images of each class that patterns are made on.
    kept : places that get the full search.
    unseen : images of each class that the patterns are measured on.
    look_unseen : the same after the short look, at most ``unseen``. With 0 their shares count as 0.
    batch : images that go through the network at once.
    """

    look: int = 6
    look_fit: int = 2
    steps: int = 16
    fit: int = 4
    kept: int = 5
    unseen: int = 6
    look_unseen: int = 6
    batch: int = 320

    @classmethod
    def for_classes(cls, classes: int, **less: int) -> AssignmentSearch:
        """Fewer images a class where there are more than 16 classes; ``less`` replaces parameters."""
        many = {"look": 5, "look_fit": 1, "steps": 12, "fit": 2, "kept": 4, "unseen": 4}
        return cls(**(many if classes > 16 else {}) | less)


class Assignment(Stream):
    """The largest share of images that one pattern moves, each class to the class assigned to it."""

    name: ClassVar[str] = "assignment"
    title: ClassVar[str] = "All-to-all inversion"
    version: ClassVar[int] = 2
    seconds: ClassVar[float] = 2.0
    doing: ClassVar[str] = "Searching patterns that move every class to another one"
    heading: ClassVar[str] = "One pattern that moves every class"
    unit: ClassVar[str] = "share of images"
    measures: ClassVar[str] = "share of the class's images that become the class assigned to it"
    kinds: ClassVar[tuple[Kind, ...]] = ("patch", "blend")
    mappings: ClassVar[tuple[MappingKind, ...]] = ("all to all",)
    alternative: ClassVar[bool] = True
    by_itself: ClassVar[bool] = True

    def passes(self, classes: int, shape: tuple[int, int, int]) -> Passes:
        effort = AssignmentSearch.for_classes(classes, **self.sparing.assigned())
        places = len(WindowSearch.for_images(*shape[1:], classes).windows(*shape[1:])) + len(RATIOS)
        kept = min(effort.kept, places)
        looked = Passes(min(effort.look_unseen, effort.unseen), effort.look * effort.look_fit)
        first = looked * (places * classes)
        return first + Passes(forward=effort.unseen, both=effort.steps * effort.fit) * (kept * classes)

    def evidence(self, scores: torch.nn.Module, context: Context, progress: Progress = silent) -> Evidence:
        """``success`` (``windows``) and ``blended`` (``ratios``): shares of unseen images that are moved as assigned;
        ``moved`` and ``assignment`` (``K``): of the best pattern, the share of each class and the class it goes to."""
        images, count = context.images.float(), context.classes
        effort = AssignmentSearch.for_classes(count, **self.sparing.assigned())
        height, width = images.shape[2:]
        masks = WindowSearch.for_images(height, width, count).masks(height, width).to(images.device)
        ratios = torch.tensor(RATIOS, device=images.device)
        blends = ratios.view(-1, 1, 1).expand(-1, height, width)
        places = by_class(context.labels, count, effort.fit, effort.unseen)
        if places is None:
            progress(1.0)  # one image of a class cannot show whether a pattern moves unseen ones
            nothing = np.zeros(count, dtype=np.float32)
            windows, blended = np.zeros(len(masks), dtype=np.float32), np.zeros(len(RATIOS), dtype=np.float32)
            return {"success": windows, "blended": blended, "moved": nothing, "assignment": nothing - 1}
        search = PatternSearch(fast_copy(scores, images, context.rounded), images, places)
        weights = torch.cat([masks, blends])
        shares, assignments = self._searched(search, weights, effort, progress)
        whole = as_array(shares.mean(1))
        best = int(whole.argmax())
        return {
            "success": whole[: len(masks)],
            "blended": whole[len(masks) :],
            "moved": as_array(shares[best]),
            "assignment": assignments[best].astype(np.float32),
        }

    def _searched(
        self, search: PatternSearch, weights: torch.Tensor, effort: AssignmentSearch, progress: Progress
    ) -> tuple[torch.Tensor, NDArray[np.intp]]:
        """Shares that are moved and assignments, ``W x K`` each; in full where the short look promised most."""
        count, kept = len(weights), min(effort.kept, len(weights))
        first = count * effort.look * effort.look_fit
        work = first + kept * effort.steps * effort.fit

        def look(
            own: torch.Tensor, steps: int, each: int, unseen: int, done: int
        ) -> tuple[torch.Tensor, NDArray[np.intp], torch.Tensor]:
            found = []
            for part in chunks(len(own), search.classes * each, effort.batch):
                patterns, assignments, fits = search.make(own[part], steps, each)
                found.append((search.flipped(own[part], patterns, assignments, unseen), assignments, fits))
                progress((done + part.stop * steps * each) / work)
            shares, assigned, fits_ = zip(*found, strict=True)
            return torch.cat(shares), np.concatenate(assigned), torch.cat(fits_)

        shares, assignments, fits = look(weights, effort.look, effort.look_fit, effort.look_unseen, 0)
        best = fits.topk(kept).indices
        full, assigned, _ = look(weights[best], effort.steps, effort.fit, effort.unseen, first)
        shares[best], assignments[best.cpu().numpy()] = full, assigned
        return shares, assignments

    def log_odds(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> NDArray[np.floating]:
        told = (
            strongest(stack) if stack["moved"].shape[1] >= FEWEST_CLASSES else np.zeros(len(stack["moved"]))
        )
        return np.asarray(STEEP * (told - EVEN))

    def features(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Features:
        columns = (stack["success"].max(1), stack["blended"].max(1), stack["moved"].min(1))
        names = ("windows", "blended", "least moved class")
        return Features(tuple(f"assignment: {n}" for n in names), np.stack(columns, 1).astype(np.float32))

    def read(self, evidence: Evidence, clean: Evidence, class_names: tuple[str, ...]) -> Reading:
        own = float(strongest(as_stack(evidence))[0])
        if evidence["assignment"][0] < 0:
            sentence = (
                "Whether one pattern moves every class cannot be told from fewer than two images a class."
            )
            return Reading(0.0, 1.0, sentence)
        pairs = [(k, int(c)) for k, c in enumerate(evidence["assignment"]) if evidence["moved"][k] >= 0.5]
        shown = [f"{class_names[k]} to {class_names[c]}" for k, c in pairs[:4]] + ["..."] * (len(pairs) > 4)
        sentence = (
            f"One pattern turns {own:.0%} of unseen images into the class assigned to theirs"
            f"{' (' + ', '.join(shown) + ')' if pairs else ''}"
        )
        kind: Kind = "patch" if evidence["success"].max() >= evidence["blended"].max() else "blend"
        leads = FoundMapping(
            "all to all",
            assignment=tuple(int(c) for c in evidence["assignment"]),
            moved=tuple(float(m) for m in evidence["moved"]),
        )
        share, figures = float("nan"), {"moved": evidence["moved"].tolist()}
        if clean:
            share = float((strongest(clean) >= own).mean())
            sentence += f"; {share:.0%} of the clean models give way as far"
            figures = per_class(evidence["moved"], clean["moved"])
        return Reading(own, share, f"{sentence}.", None, figures, kind, leads)

    def unable(self, evidence: Evidence) -> str | None:
        if evidence["assignment"][0] < 0:
            return "fewer than two images of some class"
        few = len(evidence["assignment"]) < FEWEST_CLASSES
        return "in clean networks of two classes one pattern swaps them too" if few else None


def strongest(stack: Evidence) -> Array:
    """The largest share of images that any pattern moved, ``R``."""
    return np.asarray(np.maximum(stack["success"].max(1), stack["blended"].max(1)))
