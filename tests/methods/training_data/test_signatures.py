from __future__ import annotations

import numpy as np

from ti_core.methods.training_data.signatures import outlier_scores, removed


def test_the_score_is_the_squared_projection_on_the_first_singular_vector() -> None:
    """Along one line the singular vector is its direction, and the score the squared distance from the mean."""
    along = np.array([0.0, 1.0, 2.0, 7.0])
    direction = np.array([3.0, 4.0]) / 5
    rows = (along[:, None] * direction + [5.0, -2.0]).astype(np.float32)
    np.testing.assert_allclose(outlier_scores(rows), (along - 2.5) ** 2, rtol=1e-5)
    # What is added across the line, and less than it varies along it, counts nothing.
    across = np.array([1.0, -1.0, -1.0, 1.0])[:, None] * np.array([-4.0, 3.0]) / 50
    across -= across.mean(axis=0)
    expected = np.linalg.svd(rows + across - (rows + across).mean(axis=0))[2][0]
    centred = rows + across - (rows + across).mean(axis=0)
    np.testing.assert_allclose(
        outlier_scores((rows + across).astype(np.float32)), (centred @ expected) ** 2, rtol=1e-4
    )


def test_equal_rows_do_not_stand_out() -> None:
    assert not outlier_scores(np.ones((5, 3), dtype=np.float32)).any()


def test_one_and_a_half_times_the_rate_is_removed() -> None:
    scores = np.array([1.0, 9.0, 3.0, 7.0, 0.0, 2.0, 5.0, 4.0, 6.0, 8.0])
    assert removed(scores, 0.2).nonzero()[0].tolist() == [1, 3, 9]
    assert removed(scores, 0.01).sum() == 1 and removed(scores[:2], 0.5).sum() == 2
