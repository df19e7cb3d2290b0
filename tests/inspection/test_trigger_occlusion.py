"""Covering a planted trigger turns the answer back; covering anything else does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.streams.toys import Linear, OnePixel, grey, weights
from ti_core.inspection.trigger_occlusion import occlude
from ti_core.inspection.trigger_recovery import RecoveredTrigger


def trigger(kind: str = "patch", target: int = 1, count: int = 20) -> RecoveredTrigger:
    mask, pattern = np.zeros((12, 12), dtype=np.float32), np.zeros((1, 12, 12), dtype=np.float32)
    mask[2, 9] = pattern[0, 2, 9] = 1.0
    return RecoveredTrigger(kind, target, mask, pattern, 1.0, 1.0, np.arange(count))


def test_the_decision_hangs_on_the_planted_pixel_and_nowhere_else() -> None:
    # Class 0 has every image until the pixel commands class 1.
    network = OnePixel(weights(3, size=0.02), row=2, column=9, target=1, head_start=2.0)
    found = occlude(network, grey(30, low=0.0, high=0.25), trigger(), side=3)
    assert found is not None and found.images == 20 and found.side == 3
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
def test_squares_cover_every_pixel_of_any_image(shape: tuple[int, int]) -> None:
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
    assert "does not hang on one place" in found.sentence()
