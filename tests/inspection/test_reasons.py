from __future__ import annotations

import math

import numpy as np
import pytest

from ti_core.detector.detector import Detector, fit_detector
from ti_core.detector.joint import EASE, STRENGTH, fewer_mistakes
from ti_core.detector.metamodels import Anchored
from ti_core.inspection.reason import Reason, of_reading
from ti_core.inspection.reasons import mistakes, recovered, trigger_sentence
from ti_core.inspection.result import Inspection
from ti_core.inspection.trigger_occlusion import Occlusion
from ti_core.inspection.trigger_recovery import RecoveredTrigger
from ti_core.paper.triggers import TriggerKind
from ti_core.streams import Reading


def fitted(loose: float) -> Detector:
    """Members of which the trojaned ones make fewer mistakes than the clean."""
    rng = np.random.default_rng(0)
    labels = np.array(["clean", "blend", "clean", "patch"])[np.arange(80) % 4]
    trojaned = labels != "clean"
    accuracy = np.where(trojaned, 0.9, 0.8) + rng.uniform(-0.1, 0.1, size=80)
    matrix = np.column_stack([rng.uniform(0, 3, size=80) + 3 * trojaned, fewer_mistakes(accuracy, [0.85])])
    groups = np.array([f"g{i}" for i in range(80)])
    return fit_detector((STRENGTH, EASE), matrix, labels, groups, fitter=Anchored(loose=(loose,)))


def test_a_model_that_errs_more_is_told_so_and_by_how_much_that_counts() -> None:
    detector = fitted(0.3)
    row = np.array([2.0, fewer_mistakes([0.4], [0.8])[0]])
    (sentence,) = mistakes(detector, row)
    less = -dict(detector.contributions(row))[EASE]
    assert less > 0.5
    assert "makes 3.0 times as many mistakes" in sentence and f"by {less:.1f} in log-odds" in sentence


def test_nothing_is_said_where_that_makes_no_difference() -> None:
    row = np.array([2.0, fewer_mistakes([0.4], [0.8])[0]])
    assert mistakes(fitted(1e9), row) == [], "in a pack where mistakes tell nothing"
    assert mistakes(fitted(0.3), np.array([2.0, 1.0])) == [], "of a model that makes fewer"
    noise, labels = (
        np.random.default_rng(1).normal(size=(40, 2)),
        np.array(["clean", "clean", "blend", "patch"] * 10),
    )
    saliency = fit_detector(("a", "b"), noise, labels, np.arange(40).astype(str))
    assert mistakes(saliency, np.zeros(2)) == [], "where the deep streams took no part"


@pytest.mark.parametrize(
    ("kind", "pixels", "alpha", "words"),
    [
        ("patch", 1, 1.0, "a patch of 1 pixel,"),
        ("patch", 9, 1.0, "a patch of 9 pixels,"),
        ("patch", 100, 1.0, "a patch on 25% of the image,"),
        ("blend", 400, 0.1, "a pattern blended in at 10%,"),
    ],
)
def test_the_trigger_is_told_by_its_size_or_its_strength(
    kind: TriggerKind, pixels: int, alpha: float, words: str
) -> None:
    mask = (np.arange(400) < pixels).astype(np.float32).reshape(20, 20)
    trigger = RecoveredTrigger(kind, 1, mask, mask[None], alpha, 0.97, np.arange(30))
    sentence = trigger_sentence(trigger, ("a", "b"))
    assert words in sentence and "turns 97% of 30 unseen clean images into class b" in sentence


@pytest.mark.parametrize(
    ("share", "leads", "speaks"),
    [
        (0.05, False, "for"),
        (0.051, True, "against"),
        (0.9, False, "against"),
        (math.nan, True, "for"),
        (math.nan, False, "neither"),
    ],
)
def test_a_stream_speaks_for_a_backdoor_where_few_clean_models_go_as_far(
    share: float, leads: bool, speaks: str
) -> None:
    reading = Reading(score=1.0, sentence="S.", clean_share=share)
    assert of_reading("universal", reading, leads) == Reason("S.", speaks, "universal")  # type: ignore[arg-type]


@pytest.mark.parametrize(("share", "speaks"), [(None, "for"), (0.05, "for"), (0.06, "against")])
def test_a_recovered_trigger_that_many_clean_models_give_way_to_speaks_against_one(
    share: float | None, speaks: str
) -> None:
    mask = np.ones((4, 4), np.float32)
    trigger = RecoveredTrigger("patch", 1, mask, mask[None], 1.0, 0.97, np.arange(30), clean_share=share)
    covered = Occlusion(mask, mask, 2, 2, 24, 0, 0, 1.0)
    reason, place = recovered(Inspection(trigger=trigger, occlusion=covered), ("a", "b"))
    assert (place.speaks, place.of) == ("for" if speaks == "for" else "neither", "recovered_trigger")
    assert (reason.speaks, reason.of) == (speaks, "recovered_trigger")
    assert ("no evidence" in reason.sentence) == (speaks == "against")
