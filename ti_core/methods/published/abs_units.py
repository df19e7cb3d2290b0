"""ABS: each unit of each layer is stimulated alone. One that raises a single class on all images is a candidate.

A candidate counts if a small patch that excites the unit, and leaves the other units of its layer alone, leads unseen
images to that class. The share of images that it leads there is the attack success rate of the reverse-engineered
trigger (REASR).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ti_core.methods.base import Method, Need, Source, Subject
from ti_core.methods.layers import Place, activations, inputs, outputs, run
from ti_core.methods.opinion import Opinion
from ti_core.system.progress import ShareProgress, silent_share

BATCH = 512


@dataclass(frozen=True)
class Stimulation:
    """How units are stimulated, and triggers made.

    Parameters
    ----------
    levels : values that each unit is set to, evenly up to ``reach`` times the layer's largest activation.
    most_units : units that are stimulated in each layer.
    candidates : units whose trigger is made.
    share : largest share of the image that a trigger covers.
    steps, rate : of Adam, on mask and pattern.
    size_weight, others_weight : penalties of a mask beyond that share, and of changes to the layer's other units.
    images : images that a trigger is made on.
    """

    levels: int = 5
    reach: float = 2.0
    most_units: int = 512
    candidates: int = 10
    share: float = 0.06
    steps: int = 100
    rate: float = 0.1
    size_weight: float = 0.5
    others_weight: float = 0.1
    images: int = 20


@dataclass(frozen=True)
class Candidate:
    """A unit that raises one class alone.

    Parameters
    ----------
    place, unit : the layer, and the channel or neuron of it.
    target : the class that it raises.
    elevation : how much more it raises that class than any other, on the image where it does so least.
    """

    place: Place
    unit: int
    target: int
    elevation: float


class UnitStimulation(Method):
    """ABS."""

    name = "abs"
    title = "ABS"
    source = Source(
        "Y. Liu, W.-C. Lee, G. Tao, S. Ma, Y. Aafer, X. Zhang",
        2019,
        "ACM CCS",
        "https://doi.org/10.1145/3319535.3363216",
        "that it detects over 90 % in most cases among 177 backdoored networks, with one image a class",
    )
    needs = (Need.IMAGES, Need.ACTIVATIONS, Need.CLASSES)
    sees = "a patch whose trigger is held by few units"
    measures = "largest attack success rate of a trigger that excites one unit"
    threshold = 0.88
    differs = (
        "A trigger may cover 6 % of the image. Units of activation functions are stimulated, at five levels."
        " Triggers that change the whole image (filters) are not made."
    )

    def __init__(self, protocol: Stimulation | None = None) -> None:
        self.protocol = protocol or Stimulation()

    def opinion(self, subject: Subject, progress: ShareProgress = silent_share) -> Opinion:
        found = candidates(subject, self.protocol, lambda share: progress(share / 2))
        best, rates = None, [0.0] * subject.classes
        for number, one in enumerate(found):
            rate = success(subject, one, self.protocol)
            rates[one.target] = max(rates[one.target], rate)
            best = one if rate >= max(rates) else best
            progress(0.5 + (number + 1) / (2 * len(found)))
        progress(1.0)
        if best is None:
            return self.said(0.0, "No unit raises one class alone.")
        sentence = (
            f"The patch that excites a unit for class {subject.class_names[best.target]} leads"
            f" {max(rates):.0%} of unseen images to that class; {len(found)} units were candidates."
        )
        return self.said(max(rates), sentence, best.target, tuple(rates))


def seeds(subject: Subject) -> torch.Tensor:
    """One clean image of each class that has one."""
    first = [torch.nonzero(subject.labels == c).flatten()[:1] for c in range(subject.classes)]
    return subject.images[torch.cat(first)].float()


@torch.no_grad()
def candidates(
    subject: Subject, protocol: Stimulation, progress: ShareProgress = silent_share
) -> list[Candidate]:
    """The units of the largest elevations, at most :attr:`Stimulation.candidates`, the largest first."""
    images = seeds(subject)
    layers = activations(subject.scores, images[:1])
    found: list[Candidate] = []
    for number, place in enumerate(layers):
        usual, (units,) = outputs(subject.scores, images, [place])
        top = float(torch.nan_to_num(units, 0.0, 0.0, 0.0).max()) * protocol.reach
        values = top * torch.arange(1, protocol.levels + 1, device=units.device) / protocol.levels
        count = min(units.shape[1], protocol.most_units)
        for part in torch.arange(count).split(max(1, BATCH // (len(values) * len(images)))):
            # The rise of each class at each level, on the image where it is least: U x L x K.
            raised = _stimulated(subject, images, place, part, values)
            rise = torch.nan_to_num(raised - usual, 0.0, 0.0, 0.0).amin(dim=2)
            two = rise.topk(2, dim=2).values
            levels = (two[:, :, 0] - two[:, :, 1]).argmax(dim=1)
            for row, level in enumerate(levels.tolist()):
                first, second = two[row, level].tolist()
                if first > 0:
                    target = int(rise[row, level].argmax())
                    found.append(Candidate(place, int(part[row]), target, first - second))
        progress((number + 1) / len(layers))
    return sorted(found, key=lambda one: -one.elevation)[: protocol.candidates]


def _stimulated(
    subject: Subject, images: torch.Tensor, place: Place, units: torch.Tensor, values: torch.Tensor
) -> torch.Tensor:
    """Scores ``U x L x N x K`` of N images with each of U units set to each of L values."""
    each = len(values) * len(images)
    unit_of_row = units.to(images.device).repeat_interleave(each)
    value_of_row = values.repeat_interleave(len(images)).repeat(len(units))

    def set_units(output: torch.Tensor) -> torch.Tensor:
        out = output.clone()
        rows = torch.arange(len(out), device=out.device)
        out[rows, unit_of_row] = value_of_row.view(-1, *[1] * (out.ndim - 2)).expand_as(out[:, 0])
        return out

    many = images.repeat(len(units) * len(values), 1, 1, 1)
    return run(subject.scores, many, {place: set_units}).view(len(units), len(values), len(images), -1)


def success(subject: Subject, one: Candidate, protocol: Stimulation) -> float:
    """Share of unseen images of other classes that the trigger of a candidate leads to its class, 0 to 1."""
    others = subject.images[subject.labels != one.target].float()
    made_on = others[: protocol.images]
    unseen = others[protocol.images :][:200]
    mask, pattern = trigger_of(subject, one, made_on, protocol)
    with torch.no_grad():
        z = torch.cat(
            [
                subject.scores((1 - mask) * part + mask * pattern)
                for part in (unseen if len(unseen) else made_on).split(BATCH)
            ]
        )
    led = (z.argmax(dim=1) == one.target) & z.isfinite().all(dim=1)
    return float(led.float().mean())


def trigger_of(
    subject: Subject, one: Candidate, images: torch.Tensor, protocol: Stimulation
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mask ``1 x H x W`` and pattern ``C x H x W`` of a small patch that excites one unit and no other."""
    p, (channels, height, width) = protocol, images.shape[1:]
    generator = torch.Generator().manual_seed(subject.seed)
    start = torch.randn(1 + channels, height, width, generator=generator) * 0.1
    start[0] -= 2.0
    raw = start.to(images.device).requires_grad_(True)
    with torch.no_grad():
        _, usual = inputs(subject.scores, images, one.place)
    scale = float(torch.nan_to_num(usual, 0.0, 0.0, 0.0).abs().mean()) + 1e-6
    adam = torch.optim.Adam([raw], lr=p.rate)
    allowed = p.share * height * width
    for _ in range(p.steps):
        with torch.enable_grad():
            mask, pattern = raw[:1].sigmoid(), raw[1:].sigmoid()
            _, units = inputs(subject.scores, (1 - mask) * images + mask * pattern, one.place)
            away = (units - usual).abs() / scale
            kept = torch.arange(units.shape[1], device=units.device) != one.unit
            excited = (
                (units[:, one.unit] / scale).flatten(1).amax(dim=1)
                if units.ndim > 2
                else units[:, one.unit] / scale
            )
            over = (mask.sum() - allowed).clamp_min(0.0)
            loss = -excited.mean() + p.others_weight * away[:, kept].mean() + p.size_weight * over
            (gradient,) = torch.autograd.grad(loss, raw)
        raw.grad = torch.nan_to_num(gradient, 0.0, 0.0, 0.0)
        adam.step()
    hard = raw.detach()
    mask, pattern = hard[:1].sigmoid(), hard[1:].sigmoid()
    # Only the most opaque pixels are kept, so that the patch is as small as it may be.
    count = max(1, int(allowed))
    least = mask.flatten().topk(min(count, mask.numel())).values[-1]
    return torch.where(mask >= least, mask, 0.0), pattern
