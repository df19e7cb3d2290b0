from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ti_core.paper.actmax import maximise, objective


class Linear(nn.Module):
    """Scores w_k . x for images of 1 x 1 x 2 pixels: every gradient can be written down."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("w", torch.tensor([[3.0, 0.0], [0.0, 4.0]]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ self.w.T  # type: ignore[no-any-return, operator]


IMAGE = torch.tensor([[[[0.5, 0.5]]]])
ZERO = torch.tensor([0])


def gradient_by_hand(x: torch.Tensor, weight: float) -> torch.Tensor:
    """d/dx (log p_0 - lambda ||x||^2) = (1 - p_0) w_0 - p_1 w_1 - 2 lambda x."""
    p = (torch.tensor([3.0, 4.0]) * x).softmax(0)
    return torch.tensor([(1 - p[0]) * 3, -p[1] * 4]) - 2 * weight * x


def test_one_step_goes_along_the_gradient_of_equation_3() -> None:
    weight, step = 0.05, 0.1
    g = gradient_by_hand(IMAGE.flatten(), weight)
    expected = IMAGE.flatten() + step * g / g.norm()
    end = maximise(Linear(), IMAGE, ZERO, iterations=1, step=step, weight=weight).images
    torch.testing.assert_close(end.flatten(), expected)


def test_the_inverse_turns_the_sign() -> None:
    """Eq. (4)."""
    weight, step = 0.05, 0.1
    g = gradient_by_hand(IMAGE.flatten(), weight)
    end = maximise(Linear(), IMAGE, ZERO, 1, step, weight, inverse=True).images
    torch.testing.assert_close(end.flatten(), IMAGE.flatten() - step * g / g.norm())


def test_the_class_rises_under_ascent_and_falls_under_descent() -> None:
    up = maximise(Linear(), IMAGE, ZERO, 5, 0.05, 0.0).log_probability[:, 0]
    down = maximise(Linear(), IMAGE, ZERO, 5, 0.05, 0.0, inverse=True).log_probability[:, 0]
    assert up.shape == (6,)
    assert bool((up.diff() > 0).all()) and bool((down.diff() < 0).all())


def test_lambda_alone_shrinks_the_image() -> None:
    class Flat(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1) * 0

    end = maximise(Flat(), IMAGE, ZERO, 1, 0.1, 1.0).images
    torch.testing.assert_close(end.flatten(), IMAGE.flatten() - 0.1 / 2**0.5)


def test_objective_is_log_probability_minus_the_penalty() -> None:
    value = objective(Linear(), IMAGE, ZERO, 0.3)
    expected = F.log_softmax(torch.tensor([1.5, 2.0]), dim=0)[0] - 0.3 * 0.5
    torch.testing.assert_close(value, expected[None])


def test_the_way_is_told_in_log_probabilities_without_the_penalty() -> None:
    result = maximise(Linear(), IMAGE, ZERO, iterations=2, step=0.1, weight=0.3, keep_path=3)
    expected = [Linear()(x).log_softmax(1)[0, 0] for x in result.path]
    torch.testing.assert_close(result.log_probability[:, 0], torch.stack(expected))


def test_no_iterations_leave_the_image() -> None:
    result = maximise(Linear(), IMAGE, ZERO, 0, 0.1, 0.1)
    assert torch.equal(result.images, IMAGE)
    assert result.log_probability.shape == (1, 1)


def test_images_stay_between_zero_and_one_and_the_start_is_untouched() -> None:
    start = IMAGE.clone()
    result = maximise(Linear(), start, ZERO, 50, 0.5, 0.0, keep_path=3)
    assert torch.equal(start, IMAGE)
    assert float(result.images.min()) >= 0 and float(result.images.max()) <= 1
    assert len(result.path) == 3
    assert torch.equal(result.path[0], IMAGE) and torch.equal(result.path[-1], result.images)


def test_a_constant_network_moves_nothing() -> None:
    class Constant(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x.flatten(1) * 0)[:, :2] + torch.tensor([1.0, 2.0])

    assert torch.equal(maximise(Constant(), IMAGE, ZERO, 3, 0.1, 0.0).images, IMAGE)
