"""What can go wrong during a search: NaN on the way, a class that nothing leads to, two classes only.

Each ends in numbers that suspect nobody and in a sentence.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.streams.toys import BreaksDown, Constant, Linear, Unreachable, context, grey, weights
from ti_core.inspection.trigger_recovery import recover_trigger
from ti_core.streams import Evidence, Stream, stack
from ti_core.streams.inversion import Inversion
from ti_core.streams.searches.masks import invert
from ti_core.streams.statistics import mean_margins
from ti_core.streams.universal import Universal
from ti_core.streams.windowed import Windowed

CLASSES, TARGET = 5, 3
NAMES = tuple(f"class {i}" for i in range(CLASSES))
STREAMS = (Universal, Windowed, Inversion)


def evidence_of(stream: type[Stream], network: torch.nn.Module, classes: int = CLASSES) -> Evidence:
    return stream().evidence(network, context(grey(60), torch.arange(60) % classes, classes))


def own_score(stream: type[Stream], evidence: Evidence) -> tuple[float, str]:
    """The class score of the target beside clean networks', and the stream's sentence."""
    plain = stack([evidence_of(stream, Linear(weights(CLASSES, seed=s))) for s in range(2, 8)])
    scores = stream().class_scores(stack([evidence]), plain)
    assert scores is not None and np.isfinite(scores).all()
    return float(scores[0, TARGET]), stream().read(evidence, plain, NAMES).sentence


def test_the_network_breaks_down_on_the_way_only() -> None:
    network = BreaksDown(weights(CLASSES), TARGET)
    assert bool(network(grey(60)).isfinite().all())
    brighter = grey(60) + 0.1
    assert bool(network(brighter).isnan().all())


@pytest.mark.parametrize("stream", STREAMS, ids=lambda s: s.name)
def test_a_class_whose_search_ends_in_nan_is_not_suspected_for_it(stream: type[Stream]) -> None:
    evidence = evidence_of(stream, BreaksDown(weights(CLASSES), TARGET))
    assert all(np.isfinite(a).all() for a in evidence.values())
    score, sentence = own_score(stream, evidence)
    assert score < 3 and sentence.endswith(".")


def test_a_universal_perturbation_that_ends_in_nan_gets_the_other_classes_median() -> None:
    evidence = evidence_of(Universal, BreaksDown(weights(CLASSES), TARGET))
    others = np.delete(evidence["margins"][-1], TARGET)
    assert evidence["success"][-1, TARGET] == 0
    assert evidence["margins"][-1, TARGET] == pytest.approx(np.sort(others)[(len(others) - 1) // 2])


def test_an_image_without_finite_scores_did_not_flip() -> None:
    """NaN is the largest of any scores for ``argmax``, so that class 0 would seem to be answered."""
    images, labels = grey(30, low=0.7, high=0.9), torch.arange(30) % 3
    found = invert(BreaksDown(weights(3), target=0, limit=0.0), images, labels, 3)
    assert float(found.success.max()) == 0
    assert bool(found.masks.isfinite().all()) and bool(found.norms.isfinite().all())
    # No mask counts as enough, so that none becomes the smallest.
    torch.testing.assert_close(found.norms, found.norms[:1].expand(3))


def test_recovery_counts_images_with_finite_scores_only() -> None:
    images, labels = grey(40), torch.arange(40) % CLASSES
    network = BreaksDown(weights(CLASSES), TARGET)
    found = recover_trigger(network, images, labels, TARGET)
    assert found is not None
    assert np.isfinite(found.pattern).all() and found.pattern.min() >= 0 and found.pattern.max() <= 1
    unseen = torch.from_numpy(found.images_used)
    z = network(found.trigger().stamp(images[unseen]))
    flips = (z.argmax(1) == TARGET) & z.isfinite().all(1)
    # Few images are gone round more than once, some of them once more than others.
    assert found.flip_share == pytest.approx(float(flips.float().mean()), abs=0.02)


@pytest.mark.parametrize("stream", STREAMS, ids=lambda s: s.name)
def test_a_class_that_no_image_flips_to_is_not_suspected(stream: type[Stream]) -> None:
    evidence = evidence_of(stream, Unreachable(weights(CLASSES), TARGET))
    assert all(np.isfinite(a).all() for a in evidence.values())
    score, sentence = own_score(stream, evidence)
    assert score < 1 and f"class {TARGET}" not in sentence


def test_nothing_flips_to_an_unreachable_class() -> None:
    images, labels = grey(40), torch.arange(40) % CLASSES
    network = Unreachable(weights(CLASSES), TARGET)
    shown = context(images, labels, CLASSES)
    assert Universal().evidence(network, shown)["success"][:, TARGET].max() == 0
    assert Windowed().evidence(network, shown)["success"][TARGET].max() == 0
    assert Inversion().evidence(network, shown)["success"][TARGET] == 0
    found = recover_trigger(network, images, labels, TARGET)
    assert found is not None and found.flip_share == 0


@pytest.mark.parametrize("stream", STREAMS, ids=lambda s: s.name)
@pytest.mark.parametrize("network", [Linear(weights(2)), Constant(2), BreaksDown(weights(2), 1)])
def test_two_classes_end_in_finite_scores_and_a_sentence(
    stream: type[Stream], network: torch.nn.Module
) -> None:
    evidence = evidence_of(stream, network, classes=2)
    many = stack([evidence] * 3)
    scores = stream().class_scores(many, many, np.ones(3, dtype=bool))
    assert scores is not None and scores.shape == (3, 2) and np.isfinite(scores).all()
    assert stream().read(evidence, many, NAMES[:2]).sentence.endswith(".")
    assert np.isfinite(stream().features(many, many, np.ones(3, dtype=bool)).matrix).all()


@pytest.mark.parametrize("network", [Linear(weights(2)), Constant(2), BreaksDown(weights(2), 1)])
def test_a_trigger_is_recovered_among_two_classes(network: torch.nn.Module) -> None:
    found = recover_trigger(network, grey(24), torch.arange(24) % 2, 1)
    assert found is not None and 0 <= found.flip_share <= 1 and np.isfinite(found.pattern).all()


def test_means_are_of_finite_margins_and_the_usual_ones_where_there_are_none() -> None:
    nan, inf = float("nan"), float("inf")
    margins = torch.tensor([[1.0, 3.0], [nan, nan], [5.0, nan], [-1.0, inf], [2.0, 2.0]])
    assert mean_margins(margins).tolist() == [2.0, 2.0, 5.0, -1.0, 2.0]
    assert mean_margins(torch.full((3, 2, 4), nan)).tolist() == [[0.0, 0.0]] * 3
    finite = torch.rand(4, 3, 5)
    assert torch.equal(mean_margins(finite), finite.mean(-1))
