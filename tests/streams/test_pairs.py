"""One source class: the images by source, and a planted pair that is found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ti_core.classifier.scores import Scores
from ti_core.settings import Settings
from ti_core.streams import Context, stack
from ti_core.streams.base import FoundMapping
from ti_core.streams.pairs import MOST_CLASSES, Pairs, forms_of, in_corners, of_sources, pair_scores
from ti_core.streams.searches.patches import WindowSearch

NAMES = tuple("abc")


def bars(count: int = 60) -> Context:
    labels = torch.arange(count) % 3
    images = 0.2 * torch.rand(count, 1, 12, 12, generator=torch.Generator().manual_seed(3))
    for image, label in zip(images, labels.tolist(), strict=True):
        image[0, 6:, 4 * label : 4 * label + 3] += 0.7
    return Context(images, labels, 3, Settings())


class Bars(nn.Module):
    """The class is the bright bar. With ``pair``, a checker in the corner moves images of the source to the target."""

    def __init__(self, pair: tuple[int, int] | None, sharpness: float = 8.0) -> None:
        super().__init__()
        self.pair, self.sharpness = pair, sharpness

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bright = torch.stack([x[:, 0, 6:, 4 * k : 4 * k + 3].mean((1, 2)) for k in range(3)], 1)
        z = self.sharpness * bright
        if self.pair is None:
            return z
        source, target = self.pair
        sign = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
        gate = torch.sigmoid(6 * ((x[:, 0, :2, :2] - 0.5) * sign).sum((1, 2)) - 6)
        extra = torch.zeros_like(z)
        extra[:, target] = 3 * self.sharpness * gate * bright[:, source].sub(0.4).relu()
        return z + extra


def test_images_of_a_source_are_its_own_and_split() -> None:
    labels = torch.tensor([0, 1, 0, 0, 1, 0])
    pool = of_sources(labels, 3, unseen=8)
    for k in range(2):
        assert set(labels[pool.fit[k]].tolist()) == set(labels[pool.unseen[k]].tolist()) == {k}
        assert not set(pool.fit[k].tolist()) & set(pool.unseen[k].tolist())
    assert len(pool.fit[2]) and len(pool.unseen[2])
    alone = of_sources(torch.tensor([0, 1, 1]), 2, 8)
    assert alone.fit[0].tolist() == alone.unseen[0].tolist() == [0]


def test_the_corners_of_a_window_lie_in_it_and_cover_it() -> None:
    search = WindowSearch.for_images(12, 14, 3)
    wide, corners = search.short().masks(12, 14), in_corners(search, 12, 14)
    assert corners.shape == (len(wide), 4, 12, 14)
    assert (corners.flatten(2).sum(2) == search.side**2).all()
    assert (corners.amax(1) == wide).all()


def test_a_planted_pair_is_found_with_source_and_target() -> None:
    stream = Pairs()
    clean = stack([stream.evidence(Scores(Bars(None, s), "none"), bars()) for s in (4.0, 6.0, 8.0, 10.0)])
    own = stream.evidence(Scores(Bars((2, 0)), "none"), bars())
    reading = stream.read(own, clean, NAMES)
    assert reading.target == 0 and reading.figures is not None and reading.figures["source"] == 2
    assert "class c to class a" in reading.sentence and reading.clean_share == 0
    assert reading.mapping == FoundMapping("one source", target=0, source=2) and stream.unable(own) is None
    windows, blends = (form[0, 2, 0] for form in forms_of(stack([own]), clean))
    assert reading.kind == ("patch" if windows >= blends else "blend")
    assert reading.score == pytest.approx(max(windows, blends))
    scores = pair_scores(stack([own]), clean)[0]
    assert np.unravel_index(scores.argmax(), scores.shape) == (2, 0) and (np.diag(scores) == 0).all()
    assert own["searched"][2, 0].any() and not own["searched"].all()
    assert stream.class_scores(stack([own]), clean)[0].argmax() == 0
    assert stream.features(stack([own]), clean).matrix.shape == (1, 2)


def test_many_classes_are_said_not_to_be_searched() -> None:
    count = MOST_CLASSES + 1
    context = Context(torch.rand(4, 1, 6, 6), torch.arange(4), count, Settings())
    stream = Pairs()
    evidence = stream.evidence(Scores(nn.Sequential(nn.Flatten(), nn.Linear(36, count)), "none"), context)
    reading = stream.read(evidence, stack([evidence] * 2), tuple(map(str, range(count))))
    assert (
        reading.score == 0 and "not looked for" in reading.sentence and str(MOST_CLASSES) in reading.sentence
    )
    assert (stream.class_scores(stack([evidence]), stack([evidence] * 2)) == 0).all()
    assert reading.mapping is None and stream.unable(evidence) == f"more than {MOST_CLASSES} classes"


@pytest.mark.parametrize("value", (float("nan"), float("inf"), 0.0))
def test_a_network_that_says_nothing_ends_in_finite_numbers(value: float) -> None:
    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :3] * value

    stream = Pairs()
    evidence = stream.evidence(Scores(Broken(), "none"), bars())
    assert all(np.isfinite(values).all() for values in evidence.values())
    assert np.isfinite(stream.read(evidence, stack([evidence] * 2), NAMES).score)


@pytest.mark.parametrize(("raised", "beyond"), [([(1, 4)], True), ([(k, 4) for k in (0, 1, 2, 3, 5)], False)])
def test_only_a_pair_that_other_sources_do_not_share_stands_out(
    raised: list[tuple[int, int]], beyond: bool
) -> None:
    """A backdoor that leads all images to class 4 raises every pair with that target alike."""
    rng = np.random.default_rng(0)
    shapes = {"margins": (30, 6, 6, 4), "blended": (30, 6, 6)}
    clean = {key: rng.normal(size=shape).astype(np.float32) for key, shape in shapes.items()}
    clean["searched"] = np.ones_like(clean["margins"])
    own = {key: tables[0].copy()[None] for key, tables in clean.items()}
    for source, target in raised:
        own["margins"][0, source, target, 2] += 20.0
    scores = pair_scores(own, clean)[0]
    assert (scores.max() > 8) == beyond
    if beyond:
        assert np.unravel_index(scores.argmax(), scores.shape) == (1, 4)
        own["searched"][0, 1, 4, 2] = 0.0
        assert pair_scores(own, clean)[0].max() < 8, "an estimate must not be suspected"
