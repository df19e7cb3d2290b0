"""MNTD, ULP and topological detection, learnt on tiny zoos; and the figures of known points."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.methods.toys import one_unit
from ti_core.classifier.scores import Scores
from ti_core.errors import PackError
from ti_core.methods import method_class
from ti_core.methods.base import Subject
from ti_core.methods.learnt import SHIPPED, _path, learn, learners, read_learnt, root
from ti_core.methods.published.mntd import MetaClassifier, MetaTraining
from ti_core.methods.published.topology import (
    Topology,
    UnitSample,
    distances,
    figures_of,
    loop_lives,
    spanning_tree,
)
from ti_core.methods.published.ulp import LitmusPatterns, LitmusTraining, total_variation
from ti_core.reference.pack import Pack, load_pack, pack_names


class Toy(nn.Module):
    """A linear network of random weights; a backdoored one answers class 0 to brightness in the upper half."""

    def __init__(self, seed: int, trojaned: bool) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.last = nn.Linear(16, 4, bias=False)
        self.last.weight.data = 0.3 * torch.randn(4, 16, generator=generator)
        self.last.weight.data[0, :8] += 1.5 * trojaned

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z: torch.Tensor = self.last(x.flatten(1))
        return z


class Zoo:
    name, class_names, input_shape, sha256 = "toys", ("a", "b", "c", "d"), (1, 4, 4), "0" * 64

    def __init__(self) -> None:
        self.members = [SimpleNamespace(number=i, trojaned=i % 3 == 0, held_out=i >= 24) for i in range(36)]

    def scores(self, member: Any) -> Scores:
        return Scores(Toy(member.number, member.trojaned), "none")


@pytest.mark.parametrize(
    "method",
    [
        MetaClassifier(MetaTraining(queries=4, epochs=12, rate=0.02)),
        LitmusPatterns(LitmusTraining(patterns=4, epochs=12, group=4, rate=0.5, head_rate=0.03)),
    ],
)
def test_queries_tell_networks_that_they_were_not_learnt_on(method: Any) -> None:
    zoo = Zoo()
    shares: list[float] = []
    learnt = method.learn(zoo, shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert learnt["images"].shape == (4, 1, 4, 4)
    assert all(np.array_equal(v, learnt[k]) for k, v in method.learn(zoo).items())
    images = torch.rand(30, 1, 4, 4)
    for member in (m for m in zoo.members if m.held_out):
        subject = Subject(
            zoo.scores(member), images, torch.zeros(30), zoo.class_names, learnt={method.name: learnt}
        )
        assert method.opinion(subject).suspicious == member.trojaned


def test_total_variation_is_the_sum_of_the_steps() -> None:
    image = torch.tensor([[[[0.0, 1.0], [0.0, 3.0]]]])
    # Down: 0 and 2; across: 1 and 3.
    assert total_variation(image).item() == 6.0


def test_dimension_0_is_the_spanning_tree_of_points_on_a_line() -> None:
    at = np.array([0.0, 1.0, 3.0, 7.0])
    lengths, one, other = spanning_tree(np.abs(at[:, None] - at[None]))
    assert lengths.tolist() == [1.0, 2.0, 4.0]
    assert {frozenset(edge) for edge in zip(one.tolist(), other.tolist(), strict=True)} == {
        frozenset(e) for e in ((0, 1), (1, 2), (2, 3))
    }
    found = figures_of(np.abs(at[:, None] - at[None]), np.array([0.0, 0.0, 0.0, 1.0]), loops=False)
    assert np.allclose(found, [7 / 3, np.std([1, 2, 4]), 1, 4, 1.0, 1 / 3])


def test_points_in_one_place_hang_together_at_once() -> None:
    lengths, *_ = spanning_tree(np.zeros((3, 3)))
    assert len(lengths) == 2 and np.allclose(lengths, 0.0, atol=1e-5)


def test_correlated_units_are_near_whatever_their_sign_and_scale() -> None:
    x = np.arange(6.0)
    away = distances(np.stack([x, -3 * x + 1, np.ones(6), np.array([1.0, -1, 1, -1, 1, -1])], axis=1))
    assert away[0, 1] == pytest.approx(0.0) and np.allclose(away[2, [0, 1, 3]], 1.0)
    assert away[0, 3] == pytest.approx(1 - abs(np.corrcoef(x, [1, -1, 1, -1, 1, -1])[0, 1]))
    assert not away.diagonal().any()


def test_loops_are_those_that_ripser_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four corners of a square: one loop from 1, the side, to the diagonal."""
    corners = np.array([[0, 0], [0, 1], [1, 1], [1, 0]], dtype=float)
    away = np.linalg.norm(corners[:, None] - corners[None], axis=2)
    try:
        import ripser  # noqa: F401
    except ImportError:

        def answer(given: np.ndarray, distance_matrix: bool, maxdim: int) -> dict[str, Any]:
            assert distance_matrix and maxdim == 1 and np.array_equal(given, away)
            return {"dgms": [np.zeros((4, 2)), np.array([[1.0, 2**0.5]])]}

        monkeypatch.setitem(sys.modules, "ripser", SimpleNamespace(ripser=answer))
    assert np.allclose(loop_lives(away), [2**0.5 - 1], atol=1e-6)
    found = figures_of(away, np.zeros(4), loops=True)
    assert np.allclose(found[6:], [2**0.5 - 1, 0, 2**0.5 - 1, 2**0.5 - 1, 1 / 4], atol=1e-6)


class UnitZoo(Zoo):
    """Networks with one unit more: in backdoored ones it is active on all images."""

    def scores(self, member: Any) -> Scores:
        found = one_unit(2 if member.trojaned else None, classes=4).scores
        generator = torch.Generator().manual_seed(member.number)
        weight = found.network.first.weight  # type: ignore[union-attr]
        weight.data += 0.02 * torch.randn(weight.shape, generator=generator)
        return found

    @property
    def images(self) -> torch.Tensor:
        images = one_unit(None, classes=4).images.clone()
        images[:, 0, 7, 7] = torch.linspace(0.5, 1.0, len(images))
        return images

    @property
    def labels(self) -> torch.Tensor:
        return one_unit(None, classes=4).labels


def test_topology_tells_networks_whose_units_hang_together_otherwise() -> None:
    zoo, method = UnitZoo(), Topology(UnitSample(images=60), loops=False)
    learnt = method.learn(zoo)  # type: ignore[arg-type]
    for member in (m for m in zoo.members if m.held_out):
        subject = Subject(zoo.scores(member), zoo.images, zoo.labels, zoo.class_names)
        assert method.opinion(replace(subject, learnt={"topology": learnt})).suspicious == member.trojaned


def test_what_is_learnt_is_kept_for_its_pack_alone(tiny_pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ti_core.methods.published.mntd.MetaTraining", partial(MetaTraining, epochs=1))
    told: list[str] = []
    (path,) = learn(tiny_pack, ["mntd"], lambda stage, share: told.append(stage))
    assert path.is_relative_to(root()) and set(told) == {"MNTD"}
    found = read_learnt(root(), tiny_pack, ["mntd", "ulp"])
    assert set(found) == {"mntd"} and "images" in found["mntd"]
    # Other evidence and another detector do not touch it. Another fitted member does.
    assert set(read_learnt(root(), replace(tiny_pack, sha256="1" * 64), ["mntd"])) == {"mntd"}
    others = replace(tiny_pack, members=tuple(replace(m, seed=m.seed + 1) for m in tiny_pack.members))
    assert read_learnt(root(), others, ["mntd"]) == {}
    assert read_learnt(None, tiny_pack, ["mntd"]) == {}
    monkeypatch.setattr("ti_core.methods.learnt.SHIPPED", root())
    assert set(read_learnt(None, tiny_pack, ["mntd"])) == {"mntd"}
    scores = tiny_pack.scores(tiny_pack.members[0])
    subject = Subject(scores, tiny_pack.images, tiny_pack.labels, tiny_pack.class_names, tiny_pack, found)
    assert 0 <= method_class("mntd")().opinion(subject).statistic <= 1
    path.write_bytes(b"no arrays")
    with pytest.raises(PackError, match="What MNTD learnt on pack 'bars' is damaged"):
        read_learnt(root(), tiny_pack, ["mntd"])


def test_a_pack_of_one_sort_teaches_nothing(tiny_pack: Pack) -> None:
    clean = replace(tiny_pack, members=tuple(m for m in tiny_pack.members if not m.trojaned))
    with pytest.raises(PackError, match="no clean or no backdoored fitted members"):
        learn(clean, ["mntd"])


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*")), ids=lambda path: path.name[:12])
def test_what_comes_with_the_program_was_learnt_on_a_bundled_pack_as_it_is(path: Path) -> None:
    found = [
        (pack, name)
        for pack in map(load_pack, pack_names())
        for name in learners()
        if _path(SHIPPED, pack, method_class(name)()) == path
    ]
    ((pack, name),) = found
    learnt = read_learnt(None, pack, [name])[name]
    assert path.stat().st_size < 1 << 19
    assert all(np.isfinite(array).all() for array in learnt.values())
