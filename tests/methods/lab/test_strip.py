from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ti_core.errors import SettingsError
from ti_core.methods.lab.strip import BATCH, boundary, draw_overlays, entropy, mean_entropy, superimpose


class Constant(nn.Module):
    """The same class scores whatever the image."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.scores = torch.tensor(scores)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scores.expand(len(x), -1)


class BrightHalf(nn.Module):
    """Two classes, told apart with certainty by which half of the image is brighter."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        half = x.shape[-1] // 2
        left, right = x[..., :half].mean(dim=(1, 2, 3)), x[..., half:].mean(dim=(1, 2, 3))
        return 1000 * torch.stack([left - right, right - left], dim=1)


def images(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, 4, 6, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("classes", [2, 10, 43])
def test_entropy_is_nothing_for_certainty_and_the_logarithm_of_the_classes_for_a_guess(classes: int) -> None:
    certain = torch.eye(classes)
    even = torch.full((1, classes), 1 / classes)
    assert torch.equal(entropy(certain), torch.zeros(classes, dtype=torch.float64))
    assert float(entropy(even)) == pytest.approx(np.log2(classes), abs=1e-6)


def test_entropy_of_two_classes_is_the_binary_entropy() -> None:
    p = torch.tensor([[0.25, 0.75], [0.9, 0.1]])
    expected = [-(a * np.log2(a) + b * np.log2(b)) for a, b in ((0.25, 0.75), (0.9, 0.1))]
    np.testing.assert_allclose(entropy(p).numpy(), expected, rtol=1e-6)


def test_a_constant_classifier_has_no_entropy_and_an_undecided_one_all_of_it() -> None:
    x = images(7)
    overlays = draw_overlays(range(7), 7, 4)
    assert np.array_equal(mean_entropy(Constant([2000.0, 0.0, 0.0]), x, x, overlays), np.zeros(7))
    np.testing.assert_allclose(mean_entropy(Constant([3.0] * 8), x, x, overlays), np.full(7, 3.0))


def test_the_average_runs_over_the_images_laid_over() -> None:
    """A certain classifier has no entropy at all; one that is certain on half of the mixtures has half a bit."""

    class HalfSure(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            sure = (x[:, 0, 0, 0] > 0.5).float() * 2000
            return torch.stack([sure, torch.zeros(len(x))], dim=1)

    pool = torch.zeros(5, 1, 2, 2)
    pool[1:3, 0, 0, 0] = 1.0
    bits = mean_entropy(HalfSure(), pool[:1], pool, np.array([[1, 2, 3, 4]]))
    assert bits == pytest.approx([0.5])


def test_batches_do_not_change_the_entropies() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(72, 5))
    x = images(40)
    overlays = draw_overlays(range(40), 40, 39)
    assert 3 * BATCH < 40 * 39
    together = mean_entropy(model, x, x, overlays)
    alone = [mean_entropy(model, x[i : i + 1], x, overlays[i : i + 1])[0] for i in range(40)]
    np.testing.assert_allclose(together, alone, rtol=1e-5)
    assert np.array_equal(mean_entropy(model, x[:0], x, overlays[:0]), np.zeros(0))


def test_a_trigger_that_holds_out_keeps_the_entropy_low() -> None:
    """STRIP's idea: what a strong pattern decides, other images do not disturb."""
    pool = 0.3 * images(60)

    class Soft(BrightHalf):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) / 40

    stamped = pool.clone()
    stamped[..., :3] = 1.0
    overlays = draw_overlays(range(60), 60, 20)
    clean = mean_entropy(Soft(), pool, pool, overlays)
    assert (mean_entropy(Soft(), stamped, pool, overlays) < boundary(clean, 0.01)).all()


def test_the_sum_is_held_at_white_and_the_average_keeps_half_of_each() -> None:
    one, two = torch.full((1, 1, 2, 2), 0.75), torch.full((1, 1, 2, 2), 0.5)
    assert torch.equal(superimpose(one, two), torch.ones(1, 1, 2, 2))
    assert torch.equal(superimpose(one, two, "average"), torch.full((1, 1, 2, 2), 0.625))
    assert float(one.max()) == 0.75
    with pytest.raises(SettingsError, match="sum or average"):
        superimpose(one, two, "maximum")  # type: ignore[arg-type]


def test_overlays_are_others_never_twice_and_the_same_for_an_image_each_time() -> None:
    drawn = draw_overlays(range(12), 12, 11)
    for own, row in enumerate(drawn):
        assert sorted(row) == [i for i in range(12) if i != own]
    assert np.array_equal(draw_overlays([5], 12, 11)[0], drawn[5])
    assert not np.array_equal(draw_overlays([5], 12, 11, seed=1)[0], drawn[5])
    for count in (0, 12):
        with pytest.raises(SettingsError, match="can be superimposed"):
            draw_overlays([0], 12, count)


def test_the_boundary_is_the_normal_percentile() -> None:
    values = np.random.default_rng(0).normal(2.0, 0.5, 200_000)
    assert boundary(values, 0.01) == pytest.approx(2.0 - 2.3263 * 0.5, abs=0.01)
    assert boundary(values, 0.5) == pytest.approx(2.0, abs=0.01)
    assert (values < boundary(values, 0.05)).mean() == pytest.approx(0.05, abs=0.003)
    assert boundary(np.array([1.0, 1.0]), 0.01) == 1.0


@pytest.mark.parametrize(("values", "rate"), [([1.0, 2.0], 0.0), ([1.0, 2.0], 0.6), ([1.0], 0.01)])
def test_a_boundary_that_means_nothing_is_refused(values: list[float], rate: float) -> None:
    with pytest.raises(SettingsError):
        boundary(np.array(values), rate)
