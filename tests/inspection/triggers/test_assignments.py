"""The recovered pattern of an all-to-all backdoor: a planted permutation gives the table of answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.streams.test_assignment import PLANTED, Bars, bars
from ti_core.classifier.scores import Scores
from ti_core.inspection.reasons import trigger_sentence
from ti_core.inspection.triggers import assignments
from ti_core.inspection.triggers.assignments import answer_table, recover_assignment
from ti_core.streams.assignment import Assignment


def test_a_planted_permutation_gives_the_table_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, scores = bars(), Scores(Bars(PLANTED), "none")
    found = recover_assignment(scores, shown, Assignment().evidence(scores, shown))
    assert found is not None and found.kind == "patch" and found.target is None
    assert np.array_equal(found.before, np.eye(4))
    assert np.allclose(found.after, np.eye(4)[list(PLANTED)], atol=0.2)
    assert found.flip_share > 0.9 and len(found.images_used) == 24
    # One image of each class comes first.
    assert shown.labels[found.images_used[:4]].tolist() == [0, 1, 2, 3]
    wanted = torch.tensor(PLANTED)[shown.labels[found.images_used]]
    moved = scores(found.stamp(shown.images[found.images_used])).argmax(1) == wanted
    assert found.flip_share == pytest.approx(float(moved.float().mean()))
    assert "unseen clean images into the class assigned to theirs" in trigger_sentence(found, tuple("abcd"))
    assert set(found.arrays()) == {"mask", "pattern", "table_before", "table_after"}
    monkeypatch.setattr(assignments, "MOST_CLASSES", 3)
    assert set(found.arrays()) == {"mask", "pattern"}


def test_a_blended_pattern_is_made_again_as_one() -> None:
    shown, scores = bars(), Scores(Bars(PLANTED), "none")
    evidence = Assignment().evidence(scores, shown)
    found = recover_assignment(scores, shown, evidence | {"blended": np.array([2.0, 1.0], dtype=np.float32)})
    assert found is not None and found.kind == "blend" and found.pattern.alpha == 0.1
    assert found.pattern.mask.min() == 1 and found.figures()["share_of_image"] == pytest.approx(0.1)


def test_without_an_assignment_there_is_no_pattern() -> None:
    shown, scores = bars(), Scores(Bars(None), "none")
    evidence = Assignment().evidence(scores, shown)
    assert recover_assignment(scores, shown, evidence | {"assignment": np.full(4, -1.0)}) is None


def test_a_table_holds_shares_by_true_class_and_answer() -> None:
    images = torch.eye(3)[[0, 1, 1, 2]].view(4, 3, 1, 1)
    table = answer_table(torch.nn.Flatten(), images, torch.tensor([0, 0, 1, 1]), 3)
    assert np.allclose(table, [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 0.0]])
