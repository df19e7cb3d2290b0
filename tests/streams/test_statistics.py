"""Comparing with clean networks: every number by hand, and the suspicious side of each stream is up."""

from __future__ import annotations

import numpy as np
import pytest

from ti_core.streams.base import Evidence, Stream
from ti_core.streams.inversion import Inversion, smallness
from ti_core.streams.statistics import CAP, best_and_lead, capped, deviations, per_class, scale_free
from ti_core.streams.universal import Universal
from ti_core.streams.windowed import Windowed


def test_a_networks_own_scale_and_level_vanish() -> None:
    """0, 1, 2, 3, 4 has the median 2 and the quartiles 1 and 3."""
    table = np.arange(5.0)[None]
    expected = [[-1.0, -0.5, 0.0, 0.5, 1.0]]
    assert scale_free(table).tolist() == expected
    assert scale_free(7 * table + 100).tolist() == expected
    assert scale_free(np.full((1, 5), 3.0)).tolist() == [[0.0] * 5]


def test_deviations_are_counted_above_the_clean_mean() -> None:
    clean = np.array([[1.0, 0.0], [3.0, 0.0]])
    own = np.array([[5.0, -0.3]])
    # Means 2 and 0, deviations 1 and 0, floor 0.1.
    assert deviations(own, clean)[0] == pytest.approx([3 / 1.1, -3.0])


def test_a_clean_model_is_compared_with_the_other_clean_ones() -> None:
    clean = np.array([[1.0], [3.0], [8.0]])
    found = deviations(clean, clean, np.ones(3, dtype=bool))
    # The others of 8 are 1 and 3: mean 2, deviation 1.
    assert found[2, 0] == pytest.approx(6 / 1.1) and found[0, 0] == pytest.approx(-4.5 / 2.6)


def test_one_clean_model_alone_is_compared_with_itself() -> None:
    clean = np.array([[1.0, 2.0]])
    assert deviations(clean, clean, np.array([True])).tolist() == [[0.0, 0.0]]


def test_the_cap_holds_both_ways() -> None:
    assert capped(np.array([-99.0, -1.0, 2.0, 99.0])).tolist() == [-CAP, -1.0, 2.0, CAP]


def test_the_lead_is_over_the_second_largest() -> None:
    largest, lead = best_and_lead(np.array([[3.0, 9.0, 7.0], [1.0, 1.0, 0.0]]))
    assert largest.tolist() == [9.0, 1.0] and lead.tolist() == [2.0, 0.0]
    assert best_and_lead(np.array([[4.0]]))[1].tolist() == [0.0]


def test_a_chart_shows_the_clean_models_quantiles_by_class() -> None:
    clean = np.stack([np.arange(101.0), 2 * np.arange(101.0)], axis=1)
    found = per_class(np.array([5.0, 6.0]), clean)
    assert found == {
        "values": [5.0, 6.0],
        "low": [5.0, 10.0],
        "middle": [50.0, 100.0],
        "high": [95.0, 190.0],
    }


def test_pooled_deviations_are_counted_in_one_unit() -> None:
    """The root mean square of the entries' deviations; of a clean row, of those of the other clean rows."""
    rng = np.random.default_rng(5)
    clean = (rng.normal(size=(9, 4, 3)) * rng.uniform(0.1, 3, size=(4, 3))).astype(np.float32)
    own = rng.normal(size=(2, 4, 3)).astype(np.float32)
    unit = np.sqrt(np.mean(clean.std(0) ** 2)) + 0.1
    np.testing.assert_allclose(
        deviations(own, clean, pooled=True), (own - clean.mean(0)) / unit, rtol=1e-4, atol=1e-5
    )
    everyone = deviations(clean, clean, np.ones(9, dtype=bool), pooled=True)
    for row in (0, 8):
        others = np.delete(clean, row, axis=0)
        unit = np.sqrt(np.mean(others.std(0) ** 2)) + 0.1
        np.testing.assert_allclose(everyone[row], (clean[row] - others.mean(0)) / unit, rtol=1e-4, atol=1e-5)


def test_no_unit_is_smaller_than_its_least_share() -> None:
    """Entries of small variance are counted in the root of half the mean variance, the others in their own."""
    clean = np.array([-1.0, 1.0])[:, None] * np.array([0.0, 1.0, 2.0, 3.0], dtype=np.float32)
    own = np.ones((1, 4), dtype=np.float32)
    units = np.sqrt([1.75, 1.75, 4.0, 9.0])
    np.testing.assert_allclose(deviations(own, clean, floor=0.0, least=0.5)[0], 1 / units, rtol=1e-6)


@pytest.mark.filterwarnings("error")
def test_a_table_without_entries_has_no_deviations_and_no_warnings() -> None:
    nothing = np.zeros((3, 0), dtype=np.float32)
    assert deviations(nothing, nothing, np.ones(3, dtype=bool)).shape == (3, 0)


def test_smallness_is_the_logarithm_of_how_much_smaller_than_the_median() -> None:
    norms = np.exp(np.array([[1.0, 2.0, 4.0]]))
    assert smallness({"norms": norms})[0] == pytest.approx([1.0, 0.0, -2.0])


def _clean(rng: np.random.Generator) -> dict[str, Evidence]:
    """Evidence of 12 clean networks of six classes, as each stream keeps it."""
    margins = rng.normal(size=(12, 3, 6)).astype(np.float32)
    return {
        "universal": {
            "margins": margins,
            "blended": rng.normal(size=(12, 6)).astype(np.float32),
            "soft": rng.normal(size=(12, 6)).astype(np.float32),
            "stripes": rng.normal(size=(12, 2, 6)).astype(np.float32),
            "success": np.zeros_like(margins),
            "scale": np.ones((12, 1), dtype=np.float32),
        },
        "windowed": {
            "margins": rng.normal(size=(12, 6, 9)).astype(np.float32),
            "success": rng.uniform(0.2, 0.3, size=(12, 6, 9)).astype(np.float32),
            "flat_margins": rng.normal(size=(12, 6, 9)).astype(np.float32),
            "flat_success": rng.uniform(0.2, 0.3, size=(12, 6, 9)).astype(np.float32),
        },
        "inversion": {
            "norms": rng.uniform(20, 30, size=(12, 6)).astype(np.float32),
            "success": np.ones((12, 6), dtype=np.float32),
        },
    }


@pytest.mark.parametrize("stream", [Universal(), Windowed(), Inversion()], ids=lambda s: s.name)
def test_the_class_that_gives_way_is_the_suspected_one(stream: Stream) -> None:
    """A higher margin at a place, or a smaller mask, makes a class more suspicious; a lower or larger one less."""
    clean = _clean(np.random.default_rng(0))[stream.name]
    suspect = {key: value[:1].copy() for key, value in clean.items()}
    for key, value in suspect.items():
        if key in ("margins", "blended", "soft"):
            at = (slice(None), slice(None), 4) if stream.name == "universal" else (slice(None), 4, 7)
            value[at if key == "margins" else (slice(None), 4)] += 20
        elif stream.name == "windowed" and key == "success":
            value[:, 4, 7] = 1
        elif key == "norms":
            value[:, 4] /= 8
    scores = stream.class_scores(suspect, clean)
    assert scores is not None and int(scores[0].argmax()) == 4 and scores[0, 4] > 3
    assert scores[0, 4] > np.delete(scores[0], 4).max() + 3
    reading = stream.read({key: value[0] for key, value in suspect.items()}, clean, tuple("abcdef"))
    assert reading.target == 4 and reading.clean_share == 0
