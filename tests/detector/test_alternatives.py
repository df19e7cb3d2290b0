"""Backdoors that a stream finds by itself: odds are added, and what is likelier than the classes leads."""

from __future__ import annotations

import numpy as np
import pytest

from ti_core.detector.alternatives import Alternatives
from ti_core.detector.detector import Assessment
from ti_core.stream_registry import STREAMS
from ti_core.streams import stream_class


def assessment(verdict: str, probability: float) -> Assessment:
    return Assessment(verdict, probability, None, 0.5, 0.0)


def test_odds_are_added() -> None:
    """Odds of 1, 3 and 1/4 are 4.25 together."""
    own = Alternatives({"a": np.log([3.0]), "b": np.log([0.25])})
    assert own.added(np.array([0.5]))[0] == pytest.approx(4.25 / 5.25)
    assert Alternatives({}).added(np.array([0.3])).tolist() == [0.3]


def test_the_likeliest_alternative_leads_if_it_is_likelier_than_the_classes() -> None:
    own = Alternatives({"a": np.array([2.0]), "b": np.array([5.0])})
    assert [own.leading(np.array([p])) for p in (0.9, 0.999)] == [["b"], [None]]
    assert Alternatives({}).leading(np.array([0.1])) == [None]


def test_a_stream_that_needs_reference_models_takes_part_only_with_them() -> None:
    """The stream for pairs compares with clean networks, the one for assignments does not."""
    streams = [stream_class(name)() for name in ("pairs", "assignment", "windowed")]
    rng = np.random.default_rng(0)
    pairs = {
        "margins": rng.normal(size=(8, 4, 4, 3)).astype(np.float32),
        "searched": np.ones((8, 4, 4, 3), dtype=np.float32),
        "blended": rng.normal(size=(8, 4, 4)).astype(np.float32),
    }
    moved = np.zeros((8, 4), dtype=np.float32)
    own = {
        "pairs": pairs,
        "assignment": {"success": np.full((8, 2), 0.6), "blended": np.zeros((8, 1)), "moved": moved},
        "windowed": {},
    }
    assert list(Alternatives.of(streams, own).by_stream) == ["assignment"]
    both = Alternatives.of(streams, own, {"pairs": pairs}, np.ones(8, dtype=bool))
    assert list(both.by_stream) == ["pairs", "assignment"] and both.by_stream["pairs"].shape == (8,)
    assert both.by_stream["assignment"] == pytest.approx(np.zeros(8))


@pytest.mark.parametrize(
    ("before", "log_odds", "after"),
    [
        (("clean", 0.05), 6.0, "backdoored"),
        (("clean", 0.05), -0.5, "inconclusive"),
        (("clean", 0.05), -9.0, "clean"),
        # Doubt that has other reasons, as evidence outside the reference, stays.
        (("inconclusive", 0.05), -9.0, "inconclusive"),
        (("backdoored", 0.9), -9.0, "backdoored"),
        # An alarm that had no ground stays one, unless a stream finds a backdoor by itself.
        (("inconclusive", 0.9), -9.0, "inconclusive"),
        (("inconclusive", 0.9), 4.0, "backdoored"),
    ],
)
def test_an_alternative_never_makes_a_verdict_less_suspicious(
    before: tuple[str, float], log_odds: float, after: str
) -> None:
    found = Alternatives({"a": np.array([log_odds])}).assess(assessment(*before), 0.2, 0.7)
    assert found.verdict == after and found.probability >= before[1] - 1e-9


def test_the_registry_knows_which_streams_judge_by_themselves() -> None:
    assert {name: entry.by_itself for name, entry in STREAMS.items()} == {
        name: stream_class(name).by_itself for name in STREAMS
    }


def test_a_stream_that_is_no_alternative_says_so() -> None:
    with pytest.raises(NotImplementedError, match="beside the joint score"):
        stream_class("windowed")().log_odds({}, {})
