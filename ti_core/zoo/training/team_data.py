"""The images of a team with each network's trigger, its loss, its clean accuracy and attack success."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ti_core.zoo.plan.draw import Recipe
from ti_core.zoo.training.data import ImageData
from ti_core.zoo.training.team import Team


class Shown:
    """A data set on the device: images ``x`` as uint8 and class indices ``y``, for training and for testing."""

    def __init__(self, data: ImageData, device: torch.device) -> None:
        self.device, self.shape, self.classes = device, data.image_shape, data.classes
        self.x, self.y = (torch.from_numpy(a).to(device) for a in (data.x_train, data.y_train))
        self.x_test, self.y_test = (torch.from_numpy(a).to(device) for a in (data.x_test, data.y_test))

    def images(self, index: torch.Tensor) -> torch.Tensor:
        """The training images ``M x n x C x H x W`` in [0, 1] with indices ``M x n``."""
        return self.x[index].float().div_(255.0)


class Stamps:
    """The triggers of M networks: ``a m`` as ``M x 1 x 1 x H x W`` and ``d`` as ``M x 1 x C x H x W``."""

    def __init__(self, recipes: Sequence[Recipe], shown: Shown) -> None:
        weights = torch.zeros(len(recipes), 1, 1, *shown.shape[1:])
        patterns = torch.zeros(len(recipes), 1, *shown.shape)
        for i, recipe in enumerate(recipes):
            if recipe.trigger is not None:
                trigger = recipe.trigger.render(shown.shape)
                weights[i, 0, 0] = trigger.alpha * torch.from_numpy(trigger.mask)
                patterns[i, 0] = torch.from_numpy(trigger.pattern)
        self.weights, self.patterns = weights.to(shown.device), patterns.to(shown.device)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Images ``M x n x C x H x W`` with each network's trigger. Without a trigger they stay unchanged."""
        return (1 - self.weights) * x + self.weights * self.patterns


def cross_entropy(z: torch.Tensor, y: torch.Tensor, smoothing: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy ``M`` of each network for scores ``M x n x K``, labels ``M x n`` and label smoothing ``M``."""
    log_p = z.log_softmax(2)
    own = -log_p.gather(2, y[:, :, None]).squeeze(2).mean(1)
    return (1 - smoothing) * own - smoothing * log_p.mean(2).mean(1)


@torch.no_grad()
def measure_all(
    team: Team, recipes: Sequence[Recipe], shown: Shown, images_at_once: int
) -> list[tuple[float, float | None]]:
    """Clean accuracy and attack success (None for a clean network) of each network on the test images."""
    stamps, y = Stamps(recipes, shown), shown.y_test
    clean, triggered = [], []
    for part in shown.x_test.split(max(1, images_at_once // len(team))):
        x = (part.float() / 255.0).expand(len(team), *part.shape)
        clean.append(team.scores(x, False).argmax(2))
        triggered.append(team.scores(stamps(x), False).argmax(2))
    right = (torch.cat(clean, 1) == y).float().mean(1)
    found: list[tuple[float, float | None]] = []
    for i, (recipe, seen) in enumerate(zip(recipes, torch.cat(triggered, 1), strict=True)):
        success = None
        if recipe.trigger is not None:
            success = float((seen[y != recipe.target] == recipe.target).float().mean())
        found.append((float(right[i]), success))
    return found
