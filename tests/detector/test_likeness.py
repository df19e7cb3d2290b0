"""Networks unlike the reference models: which traits say so, and how sure an alarm must be then."""

from __future__ import annotations

import pytest

from ti_core.detector.detector import Assessment
from ti_core.detector.likeness import BEYOND, NEAREST, UNLIKE_SURE, beside_nearest, nearest, surer, unlike

REFERENCE = [{"parameters": 20_000.0, "mistakes": 0.02}, {"parameters": 400_000.0, "mistakes": 0.1}]


def test_a_network_between_the_reference_models_is_like_them() -> None:
    assert unlike({"parameters": 90_000, "mistakes": 0.05}, REFERENCE) == ()
    assert unlike({"parameters": 400_000 * BEYOND, "mistakes": 0.02 / BEYOND}, REFERENCE) == ()


def test_each_trait_outside_has_a_sentence_with_both_sides() -> None:
    (said,) = unlike({"parameters": 11_200_000, "mistakes": 0.05}, REFERENCE)
    assert "parameters: 11.2 million, theirs are 20,000 to 400,000" in said
    both = unlike({"parameters": 900, "mistakes": 0.4}, REFERENCE)
    assert len(both) == 2 and "mistakes on clean images: 40.0%, theirs are 2.0% to 10.0%" in both[1]


def test_what_is_not_known_of_either_side_is_not_compared() -> None:
    assert unlike({"margin": 1e9}, REFERENCE) == () and unlike({"parameters": 1e9}, []) == ()


@pytest.mark.parametrize(
    ("probability", "said", "verdict"), [(0.79, ("x",), "inconclusive"), (0.79, (), "backdoored")]
)
def test_an_alarm_over_an_unlike_network_must_be_surer(
    probability: float, said: tuple[str, ...], verdict: str
) -> None:
    alarm = Assessment("backdoored", probability, "patch", 0.2, 0.5)
    assert surer(alarm, said).verdict == verdict
    assert surer(Assessment("backdoored", UNLIKE_SURE, "patch", 0.2, 0.5), said).verdict == "backdoored"
    assert surer(Assessment("clean", 0.02, None, 0.2, 0.5), said).verdict == "clean"


def test_the_nearest_reference_models_are_those_of_the_smallest_ratios() -> None:
    """Twice as many and half as many parameters are as near; a model that shares no trait comes last."""
    reference = [{"parameters": 10.0 * 2**k} for k in range(12)] + [{"margin": 1.0}]
    found = nearest({"parameters": 40.0, "mistakes": 0.1}, reference)
    assert found[0] == 2 and set(found[1:3]) == {1, 3} and len(found) == NEAREST and 12 not in found


@pytest.mark.parametrize(
    ("strength", "words"),
    [(9.0, "none stands out as far"), (4.0, "1 stands out as far"), (1.0, "3 stand out as far")],
)
def test_a_network_stands_beside_the_nearest_in_a_sentence(strength: float, words: str) -> None:
    said = beside_nearest(strength, [1.0, 2.0, 4.0])
    assert words in said and f"reaches {strength:.1f} deviations, theirs 1.0 to 4.0" in said
