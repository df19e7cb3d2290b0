"""Covering a planted trigger turns the answer back; covering anything else does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.streams.toys import Linear, OnePixel, grey, weights
from ti_core.inspection.trigger_occlusion import Occlusion, extents, occlude
from ti_core.inspection.trigger_recovery import RecoveredTrigger


def trigger(kind: str = "patch", target: int = 1, count: int = 20) -> RecoveredTrigger:
    mask, pattern = np.zeros((12, 12), dtype=np.float32), np.zeros((1, 12, 12), dtype=np.float32)
    mask[2, 9] = pattern[0, 2, 9] = 1.0
    return RecoveredTrigger(kind, target, mask, pattern, 1.0, 1.0, np.arange(count))


def test_the_decision_hangs_on_the_planted_pixel_and_nowhere_else() -> None:
    # Class 0 has every image until the pixel commands class 1.
    network = OnePixel(weights(3, size=0.02), row=2, column=9, target=1, head_start=2.0)
    found = occlude(network, grey(30, low=0.0, high=0.25), trigger(), side=3)
    assert found is not None and found.images == 20 and (found.height, found.width) == (3, 3)
    assert found.most_turned == 1.0 and "hangs on that place" in found.sentence()
    assert found.top <= 2 < found.top + 3 and found.left <= 9 < found.left + 3
    # The pixel commands 22 of margin, all of it lost when covered; a pixel of the plain classifier moves it by 0.1.
    assert found.fall[2, 9] > 0.5
    far = np.ones((12, 12), dtype=bool)
    far[:6, 5:] = False
    assert abs(found.fall[far]).max() < 0.1 and found.turned[far].max() == 0


def test_a_linear_classifiers_fall_is_the_closed_form() -> None:
    """Covering pixel i with the mean m_i costs (w_1 - w_0)_i (x_i - m_i) of the margin."""
    w, images = weights(2, size=0.3), grey(16)
    everything = RecoveredTrigger(
        "blend", 1, np.ones((12, 12), np.float32), np.zeros((1, 12, 12), np.float32), 0.0, 1.0, np.arange(16)
    )
    found = occlude(Linear(w), images, everything, side=1)
    difference = (w[1] - w[0])[0]
    margins = (images[:, 0] * difference).sum((1, 2))
    kept = margins > 0
    lost = difference * (images[kept, 0] - images[:, 0].mean(0)) / margins[kept].view(-1, 1, 1)
    assert found is not None and found.images == int(kept.sum())
    np.testing.assert_allclose(found.fall, lost.mean(0).numpy(), rtol=1e-3, atol=1e-5)


def test_a_trigger_that_flips_nothing_has_no_map() -> None:
    network = Linear(weights(3, size=0.02))
    weak = trigger()
    images = grey(30, low=0.0, high=0.25)
    with torch.no_grad():
        answers = network(weak.trigger().stamp(images)).argmax(1)
    never = next((c for c in range(3) if not bool((answers[:20] == c).any())), None)
    if never is None:
        pytest.skip("every class is answered")
    assert occlude(network, images, trigger(target=never)) is None


@pytest.mark.parametrize("shape", [(12, 12), (5, 9), (1, 1)])
def test_rectangles_cover_every_pixel_of_any_image(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(10, 1, *shape, generator=generator)

    class Always(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tensor([0.0, 5.0]).expand(len(x), 2)

    whole = RecoveredTrigger(
        "patch", 1, np.ones(shape, np.float32), np.ones((1, *shape), np.float32), 1.0, 1.0, np.arange(10)
    )
    found = occlude(Always(), images, whole)
    assert found is not None and np.isfinite(found.fall).all() and found.most_turned == 0
    assert "hangs on no place of that size" in found.sentence()


class Patch(torch.nn.Module):
    """Class 1 scores the sum of some pixels above ``needed``, class 0 scores nothing."""

    def __init__(self, weight: np.ndarray, needed: float) -> None:
        super().__init__()
        self.weight, self.needed = torch.from_numpy(weight), needed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        own = (x[:, 0] * self.weight).sum((1, 2)) - self.needed
        return torch.stack([torch.zeros_like(own), own], dim=1)


def planted(kind: str, mask: np.ndarray, alpha: float = 1.0) -> RecoveredTrigger:
    return RecoveredTrigger(kind, 1, mask, mask[None].copy(), alpha, 1.0, np.arange(6))  # type: ignore[arg-type]


def black(side: int = 24, grey: float = 0.0) -> torch.Tensor:
    return torch.full((6, 1, side, side), grey)


def of(height: int, width: int, top: int, left: int, side: int = 24) -> np.ndarray:
    mask = np.zeros((side, side), np.float32)
    mask[top : top + height, left : left + width] = 1
    return mask


def test_a_patch_larger_than_the_small_square_is_covered_whole() -> None:
    """Sixteen of its 64 pixels are enough, so that a square of a fifth of the image takes nothing from the answer."""
    mask = of(8, 8, 11, 13)
    network = Patch(mask, needed=16.0)
    small = occlude(network, black(), planted("patch", mask), side=5)
    assert small is not None and small.most_turned == 0
    found = occlude(network, black(), planted("patch", mask))
    assert found is not None and found.most_turned == 1
    assert (found.height, found.width, found.top, found.left) == (8, 8, 11, 13)
    # The margin was 64 - 16 and is -16 where all of the patch is covered: 4/3 of it is lost, and nowhere more.
    assert found.fall.max() <= 64 / 48 + 1e-5 and found.fall[11:19, 13:21].min() > 0
    assert "8 x 8 pixels at row 11, column 13 turns 100% of 6" in found.sentence()
    assert "hangs on that place" in found.sentence()


def test_a_bar_is_covered_by_a_bar() -> None:
    mask = of(3, 20, 20, 1)
    found = occlude(Patch(mask, needed=8.0), black(), planted("patch", mask))
    # Its height is raised to a fifth of the image; a margin of 60 - 8 turns to -8.
    assert found is not None and (found.height, found.width) == (5, 20)
    assert found.most_turned == 1 and found.top <= 20 and found.left == 1
    assert found.fall.max() <= 60 / 52 + 1e-5


def test_a_blend_that_is_everywhere_hangs_on_no_place() -> None:
    """A tenth of all 576 pixels is 57.6; without a quarter of them 43.2 are left, and 40 are enough."""
    mask = np.ones((24, 24), np.float32)
    found = occlude(Patch(mask, needed=40.0), black(), planted("blend", mask, 0.1))
    assert found is not None and found.most_turned == 0 and (found.height, found.width) == (12, 12)
    np.testing.assert_allclose(found.fall, 14.4 / 17.6, rtol=1e-4)
    assert "any one place of 12 x 12 pixels turns at most 0% of 6" in found.sentence()
    assert "hangs on no place of that size" in found.sentence()


def test_a_blend_of_which_one_place_counts_hangs_on_that_place() -> None:
    """The recovered pattern covers the image, but the network looks at 10 x 10 pixels only."""
    weight = of(10, 10, 13, 13)
    found = occlude(Patch(weight, needed=2.0), black(), planted("blend", np.ones((24, 24), np.float32), 0.1))
    assert found is not None and (found.height, found.width, found.top, found.left) == (12, 12, 12, 12)
    assert found.most_turned == 1 and "hangs on that place" in found.sentence()


def test_a_small_square_that_is_enough_ends_the_search() -> None:
    weight = of(3, 3, 4, 16)
    found = occlude(Patch(weight, needed=0.5), black(), planted("blend", np.ones((24, 24), np.float32), 0.1))
    assert found is not None and (found.height, found.width) == (5, 5) and found.most_turned == 1


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (of(8, 6, 3, 2), [(8, 6)]),
        (of(1, 1, 3, 2), [(5, 5)]),
        (np.ones((24, 24), np.float32), [(5, 5), (12, 12)]),
        (np.zeros((24, 24), np.float32), [(5, 5), (12, 12)]),
        (np.ones((1, 1), np.float32), [(1, 1), (1, 1)]),
        (of(16, 18, 0, 0), [(5, 5), (12, 12)]),
    ],
)
def test_the_size_follows_the_triggers_own_extent(mask: np.ndarray, expected: list[tuple[int, int]]) -> None:
    assert extents(mask) == expected


@pytest.mark.parametrize(
    ("share", "says"),
    [(0.4, "hangs on no place"), (0.5, "hangs in part on that place"), (0.9, "decision hangs on that place")],
)
def test_the_sentence_follows_the_share(share: float, says: str) -> None:
    nothing = np.zeros((2, 2), np.float32)
    assert says in Occlusion(nothing, nothing, 1, 1, 10, 0, 0, share).sentence()
