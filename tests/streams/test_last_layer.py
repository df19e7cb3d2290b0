"""The rows of the last linear layer, in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ti_core.classifier.scores import Scores
from ti_core.settings import Settings
from ti_core.streams import Context, stack
from ti_core.streams.last_layer import LastLayer, last_rows, outliers, row_figures

NAMES = tuple("abcdef")


def context(classes: int = 6) -> Context:
    return Context(torch.rand(4, 1, 5, 5), torch.zeros(4, dtype=torch.long), classes, Settings())


def network(weights: torch.Tensor) -> Scores:
    last = nn.Linear(weights.shape[1], len(weights))
    last.weight.data = weights
    return Scores(nn.Sequential(nn.Flatten(), nn.Linear(25, weights.shape[1]), nn.ReLU(), last), "none")


def rows(seed: int, planted: int | None = None) -> torch.Tensor:
    weights = torch.randn(6, 40, generator=torch.Generator().manual_seed(seed))
    if planted is not None:
        weights[planted] += 3.0
    return weights


def test_the_figures_of_centred_rows() -> None:
    figures = row_figures(torch.tensor([[3.0, -4.0], [-3.0, 4.0]]))
    np.testing.assert_allclose(figures, [[5.0, -1.0, 3.0], [5.0, 1.0, 4.0]], rtol=1e-6)


def test_robust_z_scores_are_added() -> None:
    figures = np.array([[0.0, 1.0, 2.0, 3.0, 14.8]])[:, :, None] * np.array([1.0, 10.0, 100.0])
    unit = 1.4826
    np.testing.assert_allclose(outliers(figures)[0], 3 * np.array([-2, -1, 0, 1, 12.8]) / unit, rtol=1e-5)


def test_a_planted_row_is_found_beside_clean_networks() -> None:
    stream = LastLayer()
    clean = stack([stream.evidence(network(rows(seed)), context()) for seed in range(12)])
    own = stream.evidence(network(rows(99, planted=4)), context())
    reading = stream.read(own, clean, NAMES)
    assert reading.target == 4 and reading.clean_share == 0 and "class e" in reading.sentence
    assert stream.class_scores(stack([own]), clean)[0].argmax() == 4
    assert stream.features(stack([own]), clean).matrix.shape == (1, 4)


def test_which_layer_is_the_last() -> None:
    wanted = torch.randn(3, 8)
    inner = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 8), nn.Linear(8, 3))
    inner[2].weight.data = wanted
    assert torch.equal(last_rows(inner, 3), wanted)
    convolution = nn.Sequential(nn.Conv2d(2, 8, 3), nn.Conv2d(8, 3, 1))
    assert last_rows(convolution, 3).shape == (3, 8)
    assert last_rows(nn.Conv2d(2, 3, 3), 3) is None


def test_a_matrix_of_a_network_without_layers() -> None:
    class Graph(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("first", torch.randn(5, 9))
            self.register_buffer("last", torch.randn(9, 3))

    graph = Graph()
    assert torch.equal(last_rows(graph, 3), graph.last.T)


@pytest.mark.parametrize("weights", [torch.full((6, 3), float("nan")), torch.ones(6, 3), torch.zeros(6, 3)])
def test_weights_that_say_nothing(weights: torch.Tensor) -> None:
    stream = LastLayer()
    evidence = stream.evidence(network(weights), context())
    reading = stream.read(evidence, stack([evidence] * 3), NAMES)
    assert reading.score == 0 and reading.clean_share == 1
    assert np.isfinite(stream.class_scores(stack([evidence]), stack([evidence] * 3))).all()


def test_no_linear_layer_is_said() -> None:
    stream = LastLayer()
    evidence = stream.evidence(Scores(nn.Conv2d(1, 6, 3), "none"), context())
    reading = stream.read(evidence, stack([evidence] * 3), NAMES)
    assert reading.target is None and "no last linear layer" in reading.sentence
