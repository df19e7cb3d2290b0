from __future__ import annotations

import numpy as np
import pytest

from ti_core.methods.training_data.clusters import (
    principal_components,
    reclassified,
    two_clusters,
)


def planted(small: int, large: int, apart: float, seed: int = 0) -> np.ndarray:
    """Two clouds in four dimensions, the first ``small`` rows moved along one of them."""
    rows = np.random.default_rng(seed).normal(size=(small + large, 4)).astype(np.float32)
    rows[:small, 0] += apart
    return rows


def test_a_planted_cluster_is_found_to_the_image() -> None:
    found = two_clusters(planted(15, 85, 30.0))
    assert found is not None and found.apart
    assert found.smaller.nonzero()[0].tolist() == list(range(15)) and found.share == 0.15
    assert found.silhouette > 0.3


def test_one_cloud_is_not_apart() -> None:
    found = two_clusters(planted(0, 200, 0.0))
    assert found is not None and found.silhouette < 0.3 and not found.apart
    # Two halves lie apart, but poison is the smaller part of a class.
    few = two_clusters(planted(4, 96, 30.0))
    assert few is not None and few.smaller.sum() == 4 and not few.apart
    halves = two_clusters(planted(50, 50, 30.0))
    assert halves is not None and halves.share == pytest.approx(0.5) and not halves.apart


def test_where_nothing_varies_there_are_no_clusters() -> None:
    assert two_clusters(np.ones((30, 5), dtype=np.float32)) is None
    assert principal_components(np.ones((30, 5), dtype=np.float32), 3) is None
    two_values = np.repeat(np.eye(2, dtype=np.float32), [5, 25], axis=0)
    found = two_clusters(two_values)
    assert found is not None and found.smaller.sum() == 5 and found.silhouette == pytest.approx(1.0)


def test_principal_components_keep_distances() -> None:
    rows = planted(10, 30, 5.0)
    found = principal_components(rows, 20)
    assert found is not None
    near = np.linalg.norm(rows[3] - rows[20])
    assert np.linalg.norm(found[3] - found[20]) == pytest.approx(near, rel=1e-3)


def test_a_cluster_of_another_class_is_poison_and_a_rare_one_of_its_own_is_not() -> None:
    rng = np.random.default_rng(1)
    centres = np.array([[0.0, 0, 0], [10, 0, 0], [0, 10, 0]], dtype=np.float32)
    labels = np.repeat([0, 1, 2], 50)
    rows = (centres[labels] + rng.normal(size=(150, 3))).astype(np.float32)
    suspicious = np.zeros(150, dtype=bool)
    suspicious[:10] = True
    rare = reclassified(rows, labels, suspicious)
    assert rare is not None and rare.as_label == 10 and rare.as_other == 0 and not rare.poison
    rows[:10] += [0, 10, 3]  # of class 2, with something of their own
    poison = reclassified(rows, labels, suspicious)
    assert (
        poison is not None
        and (poison.as_label, poison.as_other, poison.other) == (0, 10, 2)
        and poison.poison
    )
    assert reclassified(rows[:60], np.where(suspicious, 0, 1)[:60], suspicious[:60]) is None
