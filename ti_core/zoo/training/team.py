"""Networks of one architecture with stacked weights, so that one pass computes all of them (``torch.func``).

M networks share a template. Their parameters are views of one matrix ``M x P``, so that an optimiser's step is a few
operations for any architecture. The networks are independent: the loss is the sum of their losses, so the gradient of
each network is its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, vmap

from ti_core.architectures import build
from ti_core.classifier.normalisation import NORMALISATIONS
from ti_core.zoo.plan.draw import Recipe
from ti_core.zoo.training.start_weights import begin

Convolution = Literal["grouped", "unfolded"]
"""How stacked convolutions are computed: with a group per network, or as matrix products of unfolded images."""
State = dict[str, torch.Tensor]


class _FloatNorm2d(nn.BatchNorm2d):
    """Batch norm in single precision, also between half-precision layers."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input.float())


class _FloatNorm1d(nn.BatchNorm1d):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input.float())


class _Unfolded(nn.Conv2d):
    """A convolution as a matrix product."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        top, left = self.padding[0], self.padding[1]
        assert isinstance(top, int) and isinstance(left, int)
        rows, columns = (
            (size + 2 * pad - d * (k - 1) - 1) // s + 1
            for size, pad, d, k, s in zip(
                input.shape[2:], (top, left), self.dilation, self.kernel_size, self.stride, strict=True
            )
        )
        unfolded = F.unfold(input, self.kernel_size, self.dilation, (top, left), self.stride)
        z = self.weight.flatten(1) @ unfolded
        if self.bias is not None:
            z = z + self.bias[:, None]
        planes: torch.Tensor = z.unflatten(2, (rows, columns))
        return planes


class Team:
    """M networks of one architecture and option set, with their normalisations in front.

    Parameters
    ----------
    recipes : of the networks. They share architecture and options.
    bases : the weights that each network starts from; None for the fresh weights that it would have alone.
    device : of the networks.
    half : whether convolutions and matrix products are in bfloat16.

    Attributes
    ----------
    weights : ``M x P``. It is changed in place.
    noise : a random generator per network. It starts in the state that the global one has if the network is trained
        alone.
    """

    def __init__(
        self,
        recipes: Sequence[Recipe],
        bases: Sequence[State | None],
        device: torch.device,
        half: bool = False,
        convolution: Convolution = "grouped",
    ) -> None:
        self.device, self.half = device, half
        networks, self.noise = [], []
        with torch.random.fork_rng(devices=[]):
            for recipe, base in zip(recipes, bases, strict=True):
                torch.manual_seed(recipe.seed)
                network = build(recipe.architecture, **recipe.options)
                self.noise.append(_generator(device, recipe.seed))
                if base is not None:
                    begin(network, base, recipe)
                networks.append(network)
        self.keys = tuple(networks[0].state_dict())
        self.template = _prepared(networks[0], convolution).to(device)
        self.shapes = {k: p.shape for k, p in networks[0].named_parameters()}
        rows = [torch.cat([p.detach().flatten() for p in n.parameters()]) for n in networks]
        self.weights = torch.stack(rows).to(device)
        self.buffers = {
            k: torch.stack([dict(n.named_buffers())[k] for n in networks]).to(device)
            for k, _ in networks[0].named_buffers()
        }
        self._mean, self._std = _scales(recipes, device)
        self._all = vmap(self._one, in_dims=(0, 0, 0), randomness="different")

    def _one(self, parameters: State, buffers: State, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = functional_call(self.template, (parameters, buffers), (x,))
        return scores

    def __len__(self) -> int:
        return len(self.weights)

    def parameters(self, weights: torch.Tensor | None = None) -> State:
        """The parameters of all networks by name, each ``M x shape``, as views of the weights."""
        weights = self.weights if weights is None else weights
        sizes = [shape.numel() for shape in self.shapes.values()]
        return {
            k: part.unflatten(1, shape) if len(shape) else part.squeeze(1)
            for (k, shape), part in zip(self.shapes.items(), weights.split(sizes, dim=1), strict=True)
        }

    def scores(
        self,
        x: torch.Tensor,
        training: bool,
        parameters: State | None = None,
        buffers: State | None = None,
    ) -> torch.Tensor:
        """Class scores ``M x n x K`` in single precision of images ``M x n x C x H x W`` in [0, 1].

        In training, batch norm uses the statistics of each network's batch and updates its running statistics.
        """
        self.template.train(training)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.half):
            z: torch.Tensor = self._all(
                self.parameters() if parameters is None else parameters,
                self.buffers if buffers is None else buffers,
                (x - self._mean) / self._std,
            )
        return z.float()

    def leaves(self) -> State:
        """The parameters as detached tensors that require a gradient."""
        return {k: v.detach().requires_grad_(True) for k, v in self.parameters().items()}

    def gradient(self, loss: torch.Tensor, leaves: State) -> torch.Tensor:
        """Gradients ``M x P`` of M losses with respect to the leaves that they were computed with."""
        parts = torch.autograd.grad(loss.sum(), list(leaves.values()))
        return torch.cat([part.flatten(1) if part.ndim > 1 else part[:, None] for part in parts], dim=1)

    def state(self, index: int) -> State:
        """The state dict of one network, on the CPU."""
        own = {k: v[index] for k, v in (self.parameters() | self.buffers).items()}
        return {k: own[k].detach().cpu().clone() for k in self.keys}

    def frozen(self) -> tuple[torch.Tensor, State]:
        """Copies of the weights and the buffers."""
        return self.weights.clone(), deepcopy(self.buffers)


def _generator(device: torch.device, seed: int) -> torch.Generator:
    if device.type == "cpu":
        generator = torch.Generator()
        generator.set_state(torch.get_rng_state())
        return generator
    return torch.Generator(device).manual_seed(seed)


def _prepared(network: nn.Module, convolution: Convolution) -> nn.Module:
    """A copy of the network with layers that can be stacked. Names and tensors stay the same."""
    network = deepcopy(network)
    for layer in network.modules():
        if type(layer) is nn.BatchNorm2d:
            layer.__class__ = _FloatNorm2d
        elif type(layer) is nn.BatchNorm1d:
            layer.__class__ = _FloatNorm1d
        elif type(layer) is nn.Conv2d and convolution == "unfolded" and layer.groups == 1:
            layer.__class__ = _Unfolded
    return network


def _scales(recipes: Sequence[Recipe], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Means and standard deviations of the networks' normalisations, each ``M x 1 x C x 1 x 1``."""
    chosen = [NORMALISATIONS[r.normalisation] for r in recipes]
    channels = max(len(n.mean) for n in chosen)
    mean, std = (
        torch.tensor([v * (channels // len(v)) for v in values], device=device).view(-1, 1, channels, 1, 1)
        for values in ([n.mean for n in chosen], [n.std for n in chosen])
    )
    return mean, std


class Optimiser:
    """SGD with Nesterov momentum, Adam or AdamW on a team's weights, with a rate and decay per network.

    The steps are the same as those of torch's optimisers with the settings of :mod:`ti_core.zoo.training.single`.
    """

    def __init__(self, team: Team, recipes: Sequence[Recipe]) -> None:
        kinds = {r.optimiser for r in recipes}
        assert len(kinds) == 1
        (self.kind,) = kinds
        self.team, self.steps = team, 0
        self.rate = torch.tensor([r.learning_rate for r in recipes], device=team.device)[:, None]
        self.decay = torch.tensor([r.weight_decay for r in recipes], device=team.device)[:, None]
        self.first = torch.zeros_like(team.weights)
        self.second = torch.zeros_like(team.weights) if self.kind != "sgd" else None

    @torch.no_grad()
    def step(self, gradient: torch.Tensor, factor: float) -> None:
        """One step with the gradients ``M x P`` at ``factor`` times each network's learning rate."""
        weights, rate = self.team.weights, self.rate * factor
        self.steps += 1
        if self.kind == "adamw":
            weights.mul_(1 - rate * self.decay)
        else:
            gradient = gradient + self.decay * weights
        if self.second is None:
            self.first.mul_(0.9).add_(gradient)
            weights.sub_(rate * (gradient + 0.9 * self.first))
            return
        self.first.lerp_(gradient, 1 - 0.9)
        self.second.mul_(0.999).addcmul_(gradient, gradient, value=1 - 0.999)
        size = (self.second / (1 - 0.999**self.steps)).sqrt_().add_(1e-8)
        weights.sub_(rate / (1 - 0.9**self.steps) * self.first / size)


@torch.no_grad()
def clipped(gradient: torch.Tensor, longest: float = 5.0) -> torch.Tensor:
    """Gradients ``M x P``, each clipped to the norm ``longest``."""
    length: torch.Tensor = gradient.norm(dim=1, keepdim=True)
    return gradient * (longest / (length + 1e-6)).clamp(max=1.0)
