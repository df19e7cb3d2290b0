"""Recovering the trigger of the suspected class, and the share of unseen clean images that it flips.

Both kinds of trigger have the form of eq. (1) and (2), ``x' = (1 - a m) x + a m d``: a patch in the best
window and its neighbours (``a = 1``), and a blend over the whole image at several blend ratios ``a``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.classifier.fast.copying import fast_copy
from ti_core.detector.recovery import Recovery
from ti_core.inspection.triggers.patterns import pattern_arrays, pattern_figures, pattern_words, replaced
from ti_core.inspection.triggers.recovered import Array, Recovered
from ti_core.paper.triggers import Trigger, TriggerKind
from ti_core.streams.base import Evidence
from ti_core.streams.searches.flat_patches import colours
from ti_core.streams.searches.patches import WindowSearch
from ti_core.streams.searches.search import Effort, Pools, pools, seek, unseen_margins

RATIOS = (0.05, 0.1, 0.15, 0.2)
"""Blend ratios that are tried, smallest first. At larger ones any network gives way."""

UNSEEN = 60
"""Images that a solved gate's trigger is tried on. The gate was solved on the first images, these are the last."""
EFFORT = Effort(steps=16, images_a_step=12, unseen=60)
"""The usual effort for each candidate."""
ENOUGH = 0.9
"""The usual flip share from which on the smallest trigger is kept."""


@dataclass(frozen=True)
class RecoveredTrigger(Recovered):
    """A patch or a blend found for one class.

    Parameters
    ----------
    kind : "patch" or "blend".
    mask, pattern, alpha : ``H x W``, ``C x H x W`` and the blend ratio, all in [0, 1]; eq. (1) and (2).
    """

    kind: TriggerKind
    target: int
    mask: NDArray[np.float32]
    pattern: NDArray[np.float32]
    alpha: float
    flip_share: float
    images_used: NDArray[np.int64]
    source: int | None = None
    clean_share: float | None = None

    @property
    def recovery(self) -> Recovery:
        """Its figures, to be compared with those of other networks."""
        return Recovery(self.target, self.flip_share, self.change)

    def trigger(self) -> Trigger:
        """As a trigger that stamps images."""
        return Trigger(self.kind, self.mask, self.pattern, self.alpha)

    @property
    def change(self) -> float:
        """How much of an image the trigger replaces: mean of ``alpha x mask``, 0 to 1."""
        return replaced(self.trigger())

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        return self.trigger().stamp(images).clamp(0, 1)

    def what(self) -> str:
        return pattern_words(self.trigger())

    def figures(self) -> dict[str, float]:
        return pattern_figures(self.trigger())

    def arrays(self) -> dict[str, Array]:
        return pattern_arrays(self.trigger())


def recover_trigger(
    scores: torch.nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    target: int,
    windowed: Evidence | None = None,
    kind: TriggerKind | None = None,
    effort: Effort | None = None,
    coarseness: int = 1,
    enough: float = ENOUGH,
) -> RecoveredTrigger | None:
    """Search the trigger that leads to class ``target``.

    Parameters
    ----------
    scores, images, labels : as the streams get them.
    windowed : the windowed stream's evidence, which names the best windows. Without it every window is tried.
    kind : "patch" or "blend" if it is known. Otherwise both are tried.
    coarseness : of the patterns, as :func:`ti_core.streams.searches.search.seek` takes it.
    enough : flip share from which on the smallest trigger is kept; below it, the one with the largest flip share.

    Returns
    -------
    None if no image has another label: then there is nothing to flip.
    """
    effort = effort or EFFORT
    images, count = images.float(), int(max(int(labels.max()), target)) + 1
    if not bool((labels != target).any()):
        return None
    network = fast_copy(scores, images)
    pool = pools(labels, count, effort.unseen)
    masks, ratios = _places(images, target, windowed, kind)
    classes = torch.full((len(masks),), target, device=images.device)
    weights = masks * ratios.view(-1, 1, 1)
    patterns = seek(network, images, pool, classes, weights, effort, coarseness=coarseness)
    if kind != "blend" and windowed is not None:
        # Without reference models flat patches were not tried; patterns find the same window.
        flat = windowed.get("flat_margins", windowed["margins"])
        window, shades = _of_one_colour(images, flat[target])
        patterns, masks = torch.cat([patterns, shades]), torch.cat([masks, window])
        weights, ratios = torch.cat([weights, window]), torch.cat([ratios, ratios.new_ones(len(window))])
        classes = classes[:1].expand(len(masks))
    # The trigger is chosen on the images that the patterns were made on, so that the reported share is of unseen ones.
    swapped = Pools(fit=pool.unseen, unseen=pool.fit)
    known = unseen_margins(network, images, swapped, classes, weights, patterns, effort)
    best = _smallest((known > 0).float().mean(1), weights.flatten(1).mean(1), enough)
    one = slice(best, best + 1)
    margins = unseen_margins(network, images, pool, classes[one], weights[one], patterns[one], effort)
    alpha = float(ratios[best])
    return RecoveredTrigger(
        kind="blend" if alpha < 1 else "patch",
        target=target,
        mask=masks[best].cpu().numpy().astype(np.float32),
        pattern=(patterns[best] * masks[best]).cpu().numpy().astype(np.float32),
        alpha=alpha,
        flip_share=float((margins > 0).float().mean()),
        images_used=np.unique(pool.unseen[target][: effort.unseen].cpu().numpy()),
    )


def recover_for_source(
    scores: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, source: int, target: int
) -> RecoveredTrigger | None:
    """As :func:`recover_trigger`, of a trigger that works on images of one class alone."""
    chosen = torch.nonzero(labels == source).flatten()
    if len(chosen) < 2 or source == target:
        return None
    found = recover_trigger(scores, images[chosen], labels[chosen], target)
    if found is None:
        return None
    return replace(found, source=source, images_used=chosen.cpu().numpy()[found.images_used])


def solved_trigger(
    scores: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, solved: Evidence
) -> RecoveredTrigger | None:
    """The trigger of a gate that the stream ``graph`` solved, tried on clean images again; None if it solved none.

    Parameters
    ----------
    scores, images, labels : as the streams get them.
    solved : evidence of the stream ``graph``.
    """
    mask, target = np.asarray(solved["mask"]), int(solved["target"][0])
    if not mask.any() or target < 0:
        return None
    pattern = np.asarray(solved["pattern"])
    chosen = torch.nonzero(labels != target).flatten()[-UNSEEN:]
    if not len(chosen):
        return None
    place = torch.from_numpy(mask).to(images)
    stamped = (1 - place) * images[chosen] + place * torch.from_numpy(pattern).to(images)
    with torch.no_grad():
        turned = scores(stamped.float()).argmax(1) == target
    return RecoveredTrigger(
        kind="patch",
        target=target,
        mask=mask,
        pattern=pattern * mask,
        alpha=1.0,
        flip_share=float(turned.float().mean()),
        images_used=chosen.cpu().numpy(),
    )


def _smallest(flips: torch.Tensor, change: torch.Tensor, least: float) -> int:
    enough = torch.nonzero(flips >= least).flatten()
    if len(enough):
        return int(enough[change[enough].argmin()])
    return int((flips - 1e-3 * change).argmax())


def _of_one_colour(images: torch.Tensor, margins: NDArray[np.float32]) -> tuple[torch.Tensor, torch.Tensor]:
    """Masks ``J x H x W`` of the window where one colour does most, and patterns ``J x C x H x W`` of all colours."""
    channels, height, width = images.shape[1:]
    shades = colours(channels).to(images.device)
    mask = (
        WindowSearch.for_images(height, width, 0)
        .masks(height, width)[int(margins.argmax())]
        .to(images.device)
    )
    return mask.expand(len(shades), -1, -1), shades[:, :, None, None].expand(-1, -1, height, width)


def _places(
    images: torch.Tensor, target: int, windowed: Evidence | None, kind: TriggerKind | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Masks ``J x H x W`` and blend ratios ``J`` of the triggers to try."""
    height, width = images.shape[2:]
    masks, ratios = [], []
    if kind != "blend":
        p = WindowSearch.for_images(height, width, 0)
        windows = p.masks(height, width)
        if windowed is not None:
            windows = windows[np.argsort(-windowed["margins"][target])[:4].tolist()]
        masks.append(windows)
        ratios += [1.0] * len(windows)
    if kind != "patch":
        masks.append(torch.ones(len(RATIOS), height, width))
        ratios += list(RATIOS)
    return torch.cat(masks).to(images.device), torch.tensor(ratios, device=images.device)
