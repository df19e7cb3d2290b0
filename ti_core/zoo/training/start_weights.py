"""Initial weights of a network that starts from another one."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from ti_core.zoo.plan.recipe import Recipe


def begin(network: nn.Module, weights: Mapping[str, Tensor], recipe: Recipe) -> None:
    """Load ``weights`` into the network of the recipe, in place.

    The weights of a base fit completely. With a network of other data (:attr:`Recipe.begun_from`), tensors with another
    number of rows keep their fresh weights. These are above all the last layer's, which has one row per class.

    Raises
    ------
    RuntimeError : the weights belong to another architecture.
    """
    if recipe.begun_from:
        own = network.state_dict()
        weights = {k: own[k] if k in own and _rows_alone_differ(own[k], v) else v for k, v in weights.items()}
    network.load_state_dict(dict(weights))


def _rows_alone_differ(own: Tensor, other: Tensor) -> bool:
    return own.dim() > 0 and own.shape != other.shape and own.shape[1:] == other.shape[1:]
