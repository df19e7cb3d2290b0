"""What a network starts from that is not trained from fresh weights."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from ti_core.zoo.plan.recipe import Recipe


def begin(network: nn.Module, weights: Mapping[str, Tensor], recipe: Recipe) -> None:
    """Put weights, by their names in the state, into the network of that recipe, in place.

    A base's fit whole. Of a network of other data (:attr:`Recipe.begun_from`) the last layer, with one row for every
    class, stays as fresh as it was; with it stays whatever else has another number of rows.

    Raises
    ------
    RuntimeError : the weights are another architecture's.
    """
    if recipe.begun_from:
        own = network.state_dict()
        weights = {k: own[k] if k in own and _rows_alone_differ(own[k], v) else v for k, v in weights.items()}
    network.load_state_dict(dict(weights))


def _rows_alone_differ(own: Tensor, other: Tensor) -> bool:
    return own.dim() > 0 and own.shape != other.shape and own.shape[1:] == other.shape[1:]
