"""Images that are learnt together with a classifier of the scores that networks give for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ti_core.methods.base import LearntMethod, Need, Subject
from ti_core.methods.opinion import Opinion
from ti_core.reference.pack import Pack
from ti_core.system.progress import ShareProgress, silent_share


class Queries(nn.Module):
    """Query images ``M x C x H x W``, and a head from the ``M K`` scores that a network gives for them to one logit."""

    def __init__(self, images: torch.Tensor, head: nn.Module) -> None:
        super().__init__()
        self.images, self.head = nn.Parameter(images), head

    def forward(self, scores: nn.Module) -> torch.Tensor:
        """The logit of a backdoor, a single number, of one network."""
        z = torch.nan_to_num(scores(self.images.clamp(0, 1)), 0.0, 0.0, 0.0)
        logit: torch.Tensor = self.head(z.flatten())
        return logit.squeeze()


class QueryMethod(LearntMethod):
    """A method that learns query images on a pack's zoo. One network is one sample."""

    needs = (Need.LEARNING,)
    measures = "probability of a backdoor by the learnt classifier"
    threshold = 0.5

    def fresh(self, shape: tuple[int, int, int], classes: int) -> Queries:
        """Queries and head before they are learnt.

        Raises
        ------
        NotImplementedError : the class says nothing of its own.
        """
        raise NotImplementedError(f"The method {self.name} has no queries.")

    def train(self, queries: Queries, samples: Iterator[tuple[nn.Module, bool]]) -> None:
        """Learn from networks, each with whether it has a backdoor, in the order in which they come.

        Raises
        ------
        NotImplementedError : as for :meth:`fresh`.
        """
        raise NotImplementedError(f"The method {self.name} learns nothing.")

    def learn(self, pack: Pack, progress: ShareProgress = silent_share) -> dict[str, NDArray[Any]]:
        """The state of :class:`Queries` after :attr:`protocol` ``.epochs`` passes over the fitted members."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            queries = self.fresh(pack.input_shape, len(pack.class_names))
        with torch.enable_grad():
            self.train(queries, _members(pack, int(self.protocol.epochs), progress))
        return {name: value.detach().numpy().copy() for name, value in queries.state_dict().items()}

    def opinion(self, subject: Subject, progress: ShareProgress = silent_share) -> Opinion:
        known = subject.learnt[self.name]
        channels, height, width = (int(n) for n in subject.images.shape[1:])
        queries = self.fresh((channels, height, width), subject.classes)
        queries.load_state_dict(_tensors(known))
        with torch.no_grad():
            probability = float(queries(subject.scores).sigmoid())
        progress(1.0)
        count = len(known["images"])
        sentence = (
            f"By its scores on {count} learnt images, the network has a backdoor with"
            f" probability {probability:.2f}."
        )
        return self.said(probability, sentence)


def _tensors(arrays: Mapping[str, NDArray[Any]]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def _members(pack: Pack, epochs: int, progress: ShareProgress) -> Iterator[tuple[nn.Module, bool]]:
    """The fitted members in a new random order each epoch. The rarer sort is repeated, so that both come as often."""
    rng = np.random.default_rng(0)
    fitted = [m for m in pack.members if not m.held_out]
    sorts = [[m for m in fitted if m.trojaned == trojaned] for trojaned in (False, True)]
    most = max(map(len, sorts))
    for epoch in range(epochs):
        drawn = [m for sort in sorts for m in (sort * (most // max(1, len(sort)) + 1))[:most]]
        for number, i in enumerate(rng.permutation(len(drawn))):
            yield pack.scores(drawn[i]), drawn[i].trojaned
            progress((epoch + (number + 1) / len(drawn)) / epochs)
