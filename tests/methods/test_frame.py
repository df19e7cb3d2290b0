"""The registry, the needs, the inner layers, and what an opinion may look like."""

from __future__ import annotations

from dataclasses import is_dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.methods.toys import Blocks, block_images, subject
from ti_core.errors import SettingsError
from ti_core.methods import METHODS, Method, chosen_methods, method_class
from ti_core.methods.ask import ask
from ti_core.methods.base import LearntMethod, Need
from ti_core.methods.layers import activations, outputs, places, run
from ti_core.methods.needs import CHECKS, unmet
from ti_core.methods.opinion import Opinion, Opinions
from ti_core.methods.outliers import anomaly_indices
from ti_core.methods.registry import QUICK


@pytest.mark.parametrize("name", METHODS)
def test_a_line_leads_to_its_class_which_says_what_people_read(name: str) -> None:
    method = method_class(name)()
    assert isinstance(method, Method) and method.name == name
    assert all((method.title, method.sees, method.measures, method.source.figure, method.source.authors))
    assert method.source.link.startswith("https://") and 2017 < method.source.year < 2026
    assert is_dataclass(method.protocol) and method.settings() == method.settings()
    assert METHODS[name].learnt == (Need.LEARNING in method.needs)
    assert not METHODS[name].learnt or isinstance(method, LearntMethod)


def test_every_need_has_a_check() -> None:
    assert set(CHECKS) == set(Need)


def test_methods_are_chosen_by_name_in_the_order_of_the_registry() -> None:
    assert chosen_methods("strip, linear_weights") == ("linear_weights", "strip")
    assert chosen_methods("all") == tuple(METHODS) and chosen_methods(None) == QUICK
    for text, words in (("abc", "no method 'abc'"), (",", "No method is named")):
        with pytest.raises(SettingsError, match=words):
            chosen_methods(text)


class Shared(nn.Module):
    """One ReLU that is used twice: ``relu(2 relu(x) - 1)``."""

    def __init__(self) -> None:
        super().__init__()
        self.relu, self.linear = nn.ReLU(), nn.Linear(1, 1, bias=False)
        self.linear.weight.data.fill_(2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.linear(self.relu(x.flatten(1))) - 1)


def test_each_call_of_a_module_is_a_place_of_its_own() -> None:
    network, x = Shared(), torch.tensor([[[[3.0]]]])
    found = places(network, x)
    assert [(type(p.module).__name__, p.call, p.shape) for p in found] == [
        ("ReLU", 0, (1,)),
        ("Linear", 0, (1,)),
        ("ReLU", 1, (1,)),
    ]
    first, second = activations(network, x)
    assert run(network, x, {first: lambda z: z + 1}).item() == 7.0
    assert run(network, x, {second: lambda z: -z}).item() == -5.0
    scores, (one, two) = outputs(network, x, [first, second])
    assert (scores.item(), one.item(), two.item()) == (5.0, 3.0, 5.0)
    assert not network.relu._forward_hooks and not network.linear._forward_hooks


def test_an_anomaly_index_is_the_distance_from_the_median_in_deviations() -> None:
    # The median is 3, the median absolute deviation 1.
    assert np.allclose(anomaly_indices([1, 2, 3, 4, 103]) * 1.4826, [-2, -1, 0, 1, 100])
    assert np.array_equal(anomaly_indices([7.0, 7.0, 7.0]), np.zeros(3))
    assert np.isfinite(anomaly_indices([1, 2, 3, np.nan, -np.inf])).all()


def test_needs_are_said_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = block_images(60, 3)
    three = subject(Blocks([1.0, 1.0, 1.0]), images, labels, 3)
    given, problems = ask(three, ("linear_weights", "neural_cleanse"))
    assert given == ()
    assert problems == {
        "linear_weights": "Linear weight classification needs a zoo of clean and backdoored networks: images of your"
        " own bring none, so choose a reference pack.",
        "neural_cleanse": "Neural Cleanse needs four or more classes: the network has 3.",
    }


NEEDED = {
    Need.IMAGES: "there are 4, and it needs 20 or more",
    Need.LEARNING: "images of your own bring no pack, so choose a reference pack",
    Need.LAYERS: "the file gives one whole graph, whose inner layers it does not name",
    Need.ACTIVATIONS: "the network has none that can be watched",
    Need.LAST_LINEAR: "the network's last layer has no row of weights for each class",
}


@pytest.mark.parametrize("need", NEEDED)
def test_each_unmet_need_has_its_sentence(need: Need) -> None:
    class Bare(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :5]

    images, labels = block_images(4, 5)
    method = method_class("strip")()
    method.needs = (need,)  # type: ignore[misc]
    bare = subject(Bare(), images, labels, 5)
    assert unmet(method, bare) == f"STRIP needs {need.value}: {NEEDED[need]}."


def good() -> Opinions:
    one = Opinion("mm_bd", 2.0, 1.3, True, "A sentence.", 1, (0.5, 2.0), 0.1)
    return Opinions("model.pt", "mnist", "0" * 64, ("a", "b"), (one,), {"strip": "STRIP needs something."})


def test_opinions_survive_their_record() -> None:
    assert Opinions.from_dict(good().as_dict()) == good()


@pytest.mark.parametrize(
    "change",
    [
        {"method": "no_such"},
        {"target": 2},
        {"target": -1},
        {"statistic": float("nan")},
        {"statistic": "2"},
        {"seconds": -1.0},
        {"extra": 1},
    ],
)
def test_a_record_that_no_job_writes_is_refused(change: dict[str, object]) -> None:
    record = good().as_dict()
    record["given"][0].update(change)
    with pytest.raises(ValueError, match=r"."):
        Opinions.from_dict(record)


def test_a_statistic_that_is_no_number_is_the_least_suspicious() -> None:
    method = method_class("mm_bd")()
    said = method.said(float("nan"), "Nothing.")
    assert said.statistic == 0.0 and said.suspicious is False
    assert replace(said, suspicious=None) == replace(said, suspicious=None)
