"""MNTD: query images, and a small network that tells backdoored networks from clean ones by their scores on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from ti_core.methods.base import Source
from ti_core.methods.published.queries import Queries, QueryMethod


@dataclass(frozen=True)
class MetaTraining:
    """How queries and meta-classifier are learnt.

    Parameters
    ----------
    queries, hidden : number of query images, and of hidden units.
    epochs, rate : passes over the zoo, and the rate of Adam.
    """

    queries: int = 10
    hidden: int = 20
    epochs: int = 5
    rate: float = 1e-3


class MetaClassifier(QueryMethod):
    """MNTD."""

    name = "mntd"
    title = "MNTD"
    source = Source(
        "X. Xu, Q. Wang, H. Li, N. Borisov, C. Gunter, B. Li",
        2021,
        "IEEE Symposium on Security and Privacy",
        "https://arxiv.org/abs/1910.03137",
        "an AUC of .97 on its own zoos; on the Trojan Detection Challenge 2022 it reached .65",
    )
    sees = "what tells the backdoored networks of the pack from its clean ones"
    differs = "The zoo is the pack's, with several architectures. Queries start as noise around .5."

    def __init__(self, protocol: MetaTraining | None = None) -> None:
        self.protocol: MetaTraining = protocol or MetaTraining()

    def fresh(self, shape: tuple[int, int, int], classes: int) -> Queries:
        p = self.protocol
        head = nn.Sequential(nn.Linear(p.queries * classes, p.hidden), nn.ReLU(), nn.Linear(p.hidden, 1))
        return Queries(0.5 + 0.1 * torch.randn(p.queries, *shape), head)

    def train(self, queries: Queries, samples: Iterator[tuple[nn.Module, bool]]) -> None:
        adam = torch.optim.Adam(queries.parameters(), lr=self.protocol.rate)
        for scores, trojaned in samples:
            adam.zero_grad()
            loss = binary_cross_entropy_with_logits(queries(scores), torch.tensor(float(trojaned)))
            loss.backward()
            adam.step()
