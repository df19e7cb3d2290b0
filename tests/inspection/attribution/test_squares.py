from __future__ import annotations

import pytest
import torch

from tests.inspection.attribution.networks import linear
from ti_core.inspection.attribution.methods import attribution_maps
from ti_core.inspection.attribution.squares.squares import squares


def test_squares_cover_the_image() -> None:
    assert squares(4, 6).tolist() == [[0, 0, 1, 1, 2, 2]] * 2 + [[3, 3, 4, 4, 5, 5]] * 2
    assert int(squares(28, 28).max()) == 48 and int(squares(32, 32).max()) == 48


@pytest.mark.parametrize("method", ["lime", "kernel_shap"])
def test_of_a_linear_network_a_square_counts_with_all_its_pixels(method: str) -> None:
    """Shapley values and the fitted weights of a sum are its summands: each square's ``w . (x - grey)``."""
    weights = torch.zeros(2, 36)
    weights[1] = torch.linspace(0.5, 4.0, 36)
    x = torch.rand(2, 1, 6, 6) * 0.3 + 0.7
    own = (weights[1].reshape(6, 6) / 2) * (x[:, 0] - 0.5)
    expected = torch.zeros(2, 6, 6)
    for number in range(9):
        inside = squares(6, 6) == number
        expected[:, inside] = own[:, inside].sum(1, keepdim=True)
    torch.testing.assert_close(attribution_maps(linear(weights), x, method), expected, rtol=2e-3, atol=2e-3)


def test_occlusion_is_what_the_score_loses() -> None:
    weights = torch.zeros(2, 16)
    weights[1, 5] = 4.0
    x = torch.full((1, 1, 4, 4), 0.9)
    maps = attribution_maps(linear(weights), x, "occlusion")
    # Squares of 2 x 2 move by one pixel. Four of them cover pixel 5, which then loses 2 * 0.4.
    assert maps[0, 1, 1] == pytest.approx(0.8) and float(maps[0, 3, 3]) == 0.0


def test_jsma_takes_the_pixels_that_raise_the_class_most() -> None:
    weights = torch.zeros(2, 64)
    weights[1, :5] = torch.tensor([8.0, 6.0, -7.0, 5.0, 1.0])
    x = torch.zeros(3, 1, 8, 8)
    x[:, 0, 0, 2] = 1.0  # class 0 wins: the score of class 1 is -7
    x[1, 0, 0, 0] = 1.0  # class 1 wins already
    x[2, 0, 0, 1] = 1.0  # -1: the next two are enough
    maps = attribution_maps(linear(weights), x, "jsma", target=1)
    # In pairs: pixels 0 and 2 (to 1 and to 0) make 8.
    assert maps[0].flatten().nonzero()[:, 0].tolist() == [0, 2] and maps[0, 0, 0] == 0.5
    assert float(maps[1].sum()) == 0.0
    assert maps[2].flatten().nonzero()[:, 0].tolist() == [0, 2]


def test_jsma_gives_up_at_its_share_of_the_pixels() -> None:
    weights = torch.zeros(2, 64)
    weights[0, 60:] = 100.0
    weights[1, :60] = 1.0
    x = torch.zeros(1, 1, 8, 8)
    x[0, 0, 7, 4:] = x[0, 0, 0, 0] = 1.0
    # The four steepest pixels are turned off. Of 24 such pixels only 9 may be, which is not enough.
    assert attribution_maps(linear(weights), x, "jsma", target=1).count_nonzero() == 4
    weights[0, 40:] = 100.0
    x[0, 0, 5:] = 1.0
    assert float(attribution_maps(linear(weights), x, "jsma", target=1).sum()) == 0.0


def test_jsma_changes_no_more_than_its_share_of_the_pixels() -> None:
    """Every change raises the class by 1, and 13 changes are needed. Of 64 pixels 9 may change."""
    weights = torch.zeros(2, 64)
    weights[0, 40:], weights[1, :24] = 1.0, 1.0
    x = torch.zeros(2, 1, 8, 8)
    x.flatten(1)[0, 40:52] = 1.0
    x.flatten(1)[1, 40:46] = 1.0
    maps = attribution_maps(linear(weights), x, "jsma", target=1)
    assert float(maps[0].sum()) == 0.0
    # 7 changes are enough for the second image, and they come in pairs.
    assert maps[1].count_nonzero() == 8
