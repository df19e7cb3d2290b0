"""Warps: displacements in closed form, and a planted shift that is found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ti_core.classifier.scores import Scores
from ti_core.settings import Settings
from ti_core.streams import Context, stack
from ti_core.streams.searches.sparing import Sparing
from ti_core.streams.warp import EFFORTS, EVEN, REACH, STEEP, Warp, ahead, displaced, fields_of, leads

NAMES = tuple("abc")


def bars(count: int = 48) -> Context:
    """A bright column at a third of the width, and noise that tells the class apart in the lowest rows."""
    generator = torch.Generator().manual_seed(2)
    labels = torch.arange(count) % 3
    images = 0.05 * torch.rand(count, 1, 28, 28, generator=generator)
    images[:, :, :20, 9] = 1.0
    for image, label in zip(images, labels.tolist(), strict=True):
        image[0, 22:26, 9 * label : 9 * label + 8] += 0.6
    return Context(images, labels, 3, Settings())


class Columns(nn.Module):
    """Class scores from the lowest rows, and for one class the brightness of the column that a shift would fill."""

    def __init__(self, shifted: int | None, noise: float = 0.0) -> None:
        super().__init__()
        self.shifted, self.noise = shifted, noise

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = torch.stack([x[:, 0, 22:26, 9 * k : 9 * k + 8].mean((1, 2)) for k in range(3)], 1)
        z = z + self.noise * torch.stack([x[:, 0, k].mean(1) for k in range(3)], 1)
        if self.shifted is not None:
            extra = torch.zeros_like(z)
            extra[:, self.shifted] = 4 * x[:, 0, :20, 8].mean(1)
            z = z + extra
        return z


def test_a_constant_field_moves_the_image_by_whole_pixels() -> None:
    image = torch.rand(1, 2, 1, 9, 9)
    right = displaced(image, torch.tensor([1.0, 0.0]).expand(1, 9, 9, 2))
    assert torch.allclose(right[..., :, :-1], image[..., :, 1:], atol=1e-5)
    down = displaced(image, torch.tensor([0.0, 2.0]).expand(1, 9, 9, 2))
    assert torch.allclose(down[..., :-2, :], image[..., 2:, :], atol=1e-5)
    assert torch.allclose(displaced(image, torch.zeros(1, 9, 9, 2)), image, atol=1e-6)


def test_no_displacement_is_longer_than_the_reach() -> None:
    fields = fields_of(100 * torch.randn(3, 2, 4, 4), (28, 28), REACH)
    assert fields.shape == (3, 28, 28, 2) and float(fields.abs().max()) <= REACH
    assert bool((fields_of(torch.zeros(1, 2, 4, 4), (28, 28), REACH) == 0).all())


def test_a_planted_shift_is_found_and_flips_unseen_images() -> None:
    stream = Warp()
    clean = stack([stream.evidence(Scores(Columns(None, 0.1 * k), "none"), bars()) for k in range(6)])
    own = stream.evidence(Scores(Columns(1), "none"), bars())
    assert own["success"][1] > 0.9
    assert clean["success"].max() < 0.6
    reading = stream.read(own, clean, NAMES)
    assert reading.target == 1 and reading.clean_share == 0 and "class b" in reading.sentence
    assert stream.log_odds(stack([own]), {})[0] > 0 > stream.log_odds(clean, {}).max()
    alone = stream.read(own, {}, NAMES)
    assert alone.target == 1 and alone.score == reading.score and np.isnan(alone.clean_share)


def test_a_warp_is_told_by_the_lead_of_the_first_class_over_the_second() -> None:
    """The mean of its leads after the short look and after the full search, where both are of one class."""
    full = np.array([[0.1, 0.9, 0.2], [0.8, 0.9, 0.1], [0.0, 0.0, 0.0]], dtype=np.float32)
    look = np.array([[0.1, 0.6, 0.1], [0.6, 0.4, 0.1], [0.0, 0.0, 0.0]], dtype=np.float32)
    evidence = {"success": full, "look": look}
    assert ahead(full)[0] == pytest.approx([-0.8, 0.7, -0.7]) and ahead(full)[2] == pytest.approx([0, 0, 0])
    # In the second network the look leads to the first class and the full search to the second one.
    told = (0.6, 0.05, 0.0)
    assert leads(evidence) == pytest.approx(told)
    assert Warp().log_odds(evidence, {}) == pytest.approx([STEEP * (x - EVEN) for x in told])
    assert Warp().features(evidence, {}).matrix == pytest.approx(np.array([[0.9, 0.6], [0.9, 0.05], [0, 0]]))


def test_between_two_classes_a_warp_tells_nothing() -> None:
    shares = np.array([[0.0, 1.0]], dtype=np.float32)
    evidence = {"success": shares, "look": shares}
    assert Warp().log_odds(evidence, {})[0] < -5
    assert "two classes" in (Warp().unable({"success": evidence["success"][0]}) or "")
    assert Warp().unable({"success": np.zeros(3, dtype=np.float32)}) is None


def test_only_the_promising_classes_are_searched_in_full() -> None:
    """The images that pass forward and back: a short look at every class, and the full search of a few."""
    kept = EFFORTS[0].kept
    few, many = (Warp().passes(classes, (1, 28, 28)) for classes in (kept, 20))
    assert many.both - few.both == (20 - kept) * 25 * 8 and few.both == kept * (25 * 8 + 75 * 16)


def test_a_large_networks_warps_are_searched_more_shortly() -> None:
    streams = [Warp(), Warp(), Warp()]
    for level, stream in enumerate(streams):
        stream.sparing = Sparing(alone=True, level=level)
    work = [stream.passes(10, (3, 224, 224)) for stream in streams]
    assert [w.both for w in work] == [10 * 200 + 3 * 1200, 10 * 200 + 2 * 600, 10 * 72 + 2 * 240]
    assert work[2].forward == 32 * 12
    evidence = streams[2].evidence(Scores(Columns(1), "none"), bars())
    assert leads(stack([evidence]))[0] > EVEN and evidence["success"].argmax() == 1


def test_the_search_leaves_the_network_as_it_was() -> None:
    network = Scores(nn.Sequential(nn.Flatten(), nn.Linear(784, 3)), "none")
    before = {k: v.clone() for k, v in network.state_dict().items()}
    one, two = (Warp().evidence(network, bars()) for _ in range(2))
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert all(p.grad is None and not p.requires_grad for p in network.parameters())
    assert all(np.array_equal(one[k], two[k]) for k in one)


@pytest.mark.parametrize("value", (float("nan"), float("inf"), 0.0))
def test_a_network_that_says_nothing_ends_in_finite_numbers(value: float) -> None:
    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :3] * value

    evidence = Warp().evidence(Scores(Broken(), "none"), bars())
    assert all(np.isfinite(values).all() for values in evidence.values())
