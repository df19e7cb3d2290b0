from __future__ import annotations

import numpy as np

from ti_core.streams.joint import joint_features, summed, suspected

ONE = np.array([[0.0, 3.0, 1.0], [2.0, 0.0, 0.0]])
TWO = np.array([[0.0, 1.0, 2.5], [0.0, 0.0, 2.0]])


def test_a_class_that_two_streams_suspect_beats_one_that_one_suspects() -> None:
    assert summed([ONE, TWO]).tolist() == [[0.0, 4.0, 3.5], [2.0, 0.0, 2.0]]
    assert suspected({"a": ONE, "b": TWO}).tolist() == [1, 0]


def test_features_are_the_largest_sum_its_lead_and_each_streams_part_of_it() -> None:
    features = joint_features({"a": ONE, "b": TWO})
    assert features.names == (
        "all streams: largest class",
        "all streams: lead",
        "a: at that class",
        "b: at that class",
    )
    assert features.matrix.tolist() == [[4.0, 0.5, 3.0, 1.0], [2.0, 0.0, 2.0, 0.0]]


def test_raising_any_class_score_never_lowers_the_largest_sum() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores = {"a": rng.normal(size=(1, 5)), "b": rng.normal(size=(1, 5))}
        before = joint_features(scores).matrix[0, 0]
        scores["a"][0, rng.integers(5)] += 1
        assert joint_features(scores).matrix[0, 0] >= before - 1e-6
