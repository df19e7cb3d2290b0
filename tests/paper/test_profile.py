from __future__ import annotations

import numpy as np
import pytest

from ti_core.paper.profile import (
    IMAGE_LEVELS,
    boundaries,
    histogram,
    image_histograms,
    image_levels,
    kept_image_histograms,
    kept_quantile_histograms,
    pooled_levels,
    quantile_histograms,
)

EDGES = np.array([0.5, 1.5, 2.5, 3.5, 4.5])


def test_histograms_of_known_values() -> None:
    """Of 1, 2, 3, 4 the values >= the median 2.5 are 3 and 4."""
    rows = quantile_histograms(np.array([[1.0, 2.0], [3.0, 4.0]]), (0.0, 0.5), EDGES)
    assert rows.tolist() == [[0.25, 0.25, 0.25, 0.25], [0.0, 0.0, 0.5, 0.5]]


def test_the_value_at_the_quantile_itself_counts() -> None:
    """Algorithm 1 keeps the values >= q_p, not only those above it."""
    values = np.array([1.0, 2.0, 3.0])
    assert quantile_histograms(values, (0.5,), EDGES).tolist() == [[0.0, 0.5, 0.5, 0.0]]


def test_values_beyond_the_boundaries_count_in_the_outermost_bins() -> None:
    assert histogram(np.array([-9.0, 2.0, 99.0, 99.0]), EDGES).tolist() == [0.25, 0.25, 0.0, 0.5]


def test_the_other_form_takes_one_number_from_every_image() -> None:
    maps = np.stack([np.array([[1.0, 1.0], [1.0, 4.0]]), np.array([[2.0, 2.0], [2.0, 2.0]])])
    rows = image_histograms(maps, (0.0,), EDGES)
    assert rows.tolist() == [[0.0, 0.5, 0.0, 0.5], [0.5, 0.5, 0.0, 0.0]]


def test_boundaries_are_even_in_the_logarithm() -> None:
    edges = boundaries(0.01, 100.0, 4)
    np.testing.assert_allclose(edges, [0.01, 0.1, 1.0, 10.0, 100.0])


def test_boundaries_of_no_width_still_rise() -> None:
    assert bool((np.diff(boundaries(0.0, 0.0, 5)) > 0).all())


@pytest.fixture
def maps() -> np.ndarray:
    return np.random.default_rng(0).lognormal(-2, 1.5, size=(40, 14, 14))


def test_what_is_kept_of_the_pooled_values_gives_the_same_histograms(maps: np.ndarray) -> None:
    edges = boundaries(0.005, 50, 16)
    quantiles = (0.0, 0.5, 0.9, 0.99)
    exact = quantile_histograms(maps, quantiles, edges)
    kept = kept_quantile_histograms(pooled_levels(maps), quantiles, edges)
    assert np.abs(exact - kept).max() < 0.02
    np.testing.assert_allclose(kept.sum(1), 1, atol=1e-6)


def test_what_is_kept_of_each_image_is_exact_at_the_levels(maps: np.ndarray) -> None:
    edges = boundaries(0.005, 50, 16)
    quantiles = tuple(float(p) for p in IMAGE_LEVELS if p < 1)
    exact = image_histograms(maps, quantiles, edges)
    np.testing.assert_allclose(kept_image_histograms(image_levels(maps), quantiles, edges), exact, atol=1e-6)


def test_a_louder_network_moves_the_histograms_up(maps: np.ndarray) -> None:
    edges = boundaries(0.005, 50, 16)
    means = [quantile_histograms(s * maps, (0.9,), edges)[0] @ np.arange(16) for s in (1, 2, 4)]
    assert means[0] < means[1] < means[2]


def test_a_bin_holds_its_lower_boundary_and_the_last_its_upper_too() -> None:
    assert histogram(np.array([0.5, 1.5, 1.5, 2.5]), EDGES).tolist() == [0.25, 0.5, 0.25, 0.0]
    assert histogram(np.array([3.5, 4.5]), EDGES).tolist() == [0.0, 0.0, 0.0, 1.0]
