"""Which trigger is shown: that of the kind and mapping of the stream that the verdict rests on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.streams import test_stripes, test_warp
from tests.streams.toys import OnePixel, context, grey, weights
from ti_core.classifier.scores import Scores
from ti_core.inspection.findings.recovered import recovered as suspects_trigger
from ti_core.inspection.findings.recovered import show_recovered
from ti_core.inspection.reasons import recovered
from ti_core.inspection.result import Inspection
from ti_core.inspection.trigger_recovery import RecoveredTrigger
from ti_core.inspection.triggers.stripes import RecoveredStripes
from ti_core.inspection.triggers.warps import RecoveredWarp
from ti_core.streams import Reading
from ti_core.streams.base import FoundMapping
from ti_core.streams.searches.patches import WindowSearch
from ti_core.streams.searches.sparing import Sparing

IMAGE = np.zeros((28, 28), dtype=np.float32)
PATTERN = RecoveredTrigger("blend", 1, IMAGE, IMAGE[None], 0.1, 0.5, np.arange(3), clean_share=0.01)


def led_by(name: str, target: int, reading: Reading | None = None) -> Inspection:
    """An inspection whose verdict rests on the class scores of that stream."""
    scores = np.zeros((1, 6), dtype=np.float32)
    scores[0, target] = 9.0
    return Inspection(class_scores={name: scores}, readings={name: reading or Reading(9.0, 0.0, "x", target)})


def test_a_warp_that_leads_is_shown_and_the_pattern_stays_among_the_reasons() -> None:
    shown, scores = test_warp.bars(), Scores(test_warp.Columns(1), "none")
    result = led_by("warp", 1)
    show_recovered(result, scores, shown, PATTERN, None)
    assert isinstance(result.trigger, RecoveredWarp) and result.beside is PATTERN
    first, second = (r.sentence for r in recovered(result, tuple("abcdef")))
    assert "a warp that moves" in first and "into class b." in first
    assert "a pattern blended in at 10%" in second and "at most 1.0% of the clean" in second


@pytest.mark.parametrize("stream", ["windowed", "universal"])
def test_a_stream_of_patterns_shows_the_pattern(stream: str) -> None:
    result = led_by(stream, 1)
    show_recovered(result, torch.nn.Identity(), test_warp.bars(), PATTERN, None)
    assert result.trigger is PATTERN and result.beside is None


@pytest.mark.parametrize(("waves", "stripes"), [(8.0, True), (2.0, False)])
def test_universal_shows_a_wave_if_it_leads_by_its_waves(waves: float, stripes: bool) -> None:
    shown = test_stripes.squares()
    scores = Scores(test_stripes.Tuned(2, test_stripes.of((0.0, 6.0), (0.4,))), "none")
    figures = {"waves": [0.0, 0.0, waves, 0.0, 0.0, 0.0]}
    result = led_by("universal", 2, Reading(9.0, 0.0, "x", 2, figures))
    show_recovered(result, scores, shown, PATTERN, None)
    assert isinstance(result.trigger, RecoveredStripes) == stripes
    assert (result.trigger is PATTERN) != stripes


def test_a_pair_that_leads_shows_a_trigger_for_images_of_its_source() -> None:
    images, labels = grey(60, low=0.0, high=0.25), torch.arange(60) % 3
    network = OnePixel(weights(3, size=0.002), 2, 9, target=1, head_start=5.0)
    mapping = FoundMapping("one source", target=1, source=2)
    result = led_by("pairs", 1, Reading(9.0, 0.0, "x", 1, mapping=mapping))
    show_recovered(result, network, context(images, labels, 3), PATTERN, None)
    assert result.trigger is not None and result.trigger.source == 2
    assert (labels[result.trigger.images_used] == 2).all() and result.trigger.flip_share == 1.0
    assert "unseen clean images of class c into class b" in recovered(result, tuple("abc"))[0].sentence


def test_before_windows_of_large_images_were_looked_at_only_pictures_are_tried() -> None:
    """A pixel that commands a class is found by a window, and by no picture that is blended in."""
    images, labels = grey(60, low=0.0, high=0.25), torch.arange(60) % 3
    network = OnePixel(weights(3, size=0.002), 2, 9, target=1, head_start=5.0)
    result = led_by("universal", 1)
    result.evidence["universal"] = {}
    for large, kind in ((False, "patch"), (True, "blend")):
        result.sparing = Sparing(alone=True, level=1, large=large)
        found = suspects_trigger(result, network, context(images, labels, 3))
        assert found is not None and found.kind == kind and (found.flip_share == 1.0) != large
    over = WindowSearch.for_images(12, 12, 0).masks(12, 12)[:, 2, 9].numpy()
    result.evidence["windowed"] = {"margins": np.tile(over, (3, 1))}
    found = suspects_trigger(result, network, context(images, labels, 3))
    assert found is not None and found.kind == "patch"
