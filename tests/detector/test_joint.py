from __future__ import annotations

import numpy as np
import pytest

from ti_core.detector.joint import EASE, STRENGTH, combined, fewer_mistakes, joint_features, suspected

ONE = np.array([[0.0, 3.0, 1.0], [2.0, 0.0, 0.0]])
TWO = np.array([[0.0, 1.0, 2.5], [0.0, 0.0, 2.0]])
EVEN = np.zeros(1)


def test_a_class_that_two_streams_suspect_beats_one_that_one_suspects() -> None:
    np.testing.assert_allclose(combined([ONE, TWO]) ** 2, [[0, 10, 7.25], [4, 0, 4]], rtol=1e-6)
    assert suspected({"a": ONE, "b": TWO}).tolist() == [1, 0]


def test_streams_that_see_nothing_do_not_drown_the_one_that_does() -> None:
    blind, seeing = np.array([[-2.0, 1.0, 1.0]]), np.array([[5.0, 1.0, 1.0]])
    scores = {"a": blind, "b": blind, "c": seeing}
    assert suspected(scores).tolist() == [0] and combined(list(scores.values()))[0, 0] == 5.0


def test_features_are_the_largest_class_with_its_lead_and_each_streams_part_of_it() -> None:
    features = joint_features({"a": ONE, "b": TWO}, np.array([0.5, -1.0]))
    assert features.names == (STRENGTH, EASE, "a: at that class", "b: at that class")
    first, second = features.matrix
    assert first.tolist() == pytest.approx([10**0.5 - 7.25**0.5 / 2, 0.5, 3.0, 1.0])
    assert second.tolist() == [1.0, -1.0, 2.0, 0.0]


def test_half_the_mistakes_and_twice_as_many_are_as_far_from_the_usual() -> None:
    among = [0.8, 0.9, 0.97]
    found = fewer_mistakes([0.9, 0.95, 0.8, 0.6, 1.0], among)
    np.testing.assert_allclose(found, [0.0, 1.0, -1.0, -3.0, 19.0], rtol=1e-5)
    np.testing.assert_array_equal(fewer_mistakes([1.0, 0.998], [0.999, 1.0]), [0.0, 0.0])


def test_raising_the_suspected_classs_score_raises_the_first_feature_and_any_others_lowers_it_at_most() -> (
    None
):
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores = {"a": rng.normal(size=(1, 5)), "b": rng.normal(size=(1, 5))}
        before, target = joint_features(scores, EVEN).matrix[0, 0], int(suspected(scores)[0])
        for at in range(5):
            raised = {**scores, "a": scores["a"] + 0.01 * (np.arange(5) == at)}
            change = joint_features(raised, EVEN).matrix[0, 0] - before
            assert change >= -1e-6 if at == target else change <= 1e-6 or int(suspected(raised)[0]) == at
