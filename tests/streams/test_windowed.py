"""Windowed inversion: a planted one-pixel trigger is found in its window and class, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.streams.toys import Constant, Linear, NotFinite, OnePixel, context, grey, weights
from ti_core.streams.base import stack
from ti_core.streams.searches.patches import WindowSearch
from ti_core.streams.searches.window_scores import WEIGHT, about_one_place, command, flip_odds, places
from ti_core.streams.statistics import CAP, deviations, scale_free
from ti_core.streams.windowed import Windowed

NAMES = ("zero", "one", "two")


def test_windows_cover_the_image_and_touch_its_edges() -> None:
    for height, width in ((28, 28), (32, 32), (12, 20), (5, 5), (1, 1), (64, 48)):
        masks = WindowSearch.for_images(height, width, 10).masks(height, width)
        assert bool((masks.sum(0) > 0).all())
        assert len({m.numpy().tobytes() for m in masks}) == len(masks)
    corners = WindowSearch.for_images(28, 28, 10).windows(28, 28)
    assert corners[0] == (0, 0) and corners[-1] == (20, 20) and len(corners) == 25


def test_many_classes_get_less_effort_each() -> None:
    ten, hundred = (WindowSearch.for_images(32, 32, k) for k in (10, 100))
    assert hundred.effort.steps < ten.effort.steps and hundred.effort.images_a_step < ten.effort.images_a_step


def test_a_planted_one_pixel_trigger_is_found_in_its_window_and_class() -> None:
    images, labels = grey(60, low=0.0, high=0.25), torch.arange(60) % 3
    network = OnePixel(weights(3, size=0.02), row=2, column=9, target=1)
    evidence = Windowed().evidence(network, context(images, labels, 3))
    masks = WindowSearch.for_images(12, 12, 3).masks(12, 12)
    holds = masks[:, 2, 9].bool().numpy()
    assert 0 < holds.sum() < len(holds)
    # The pixel at 1 commands 40 x 0.55 = 22; nothing else reaches a tenth of that.
    assert (evidence["margins"][1, holds] > 19).all()
    rest = evidence["margins"].copy()
    rest[1, holds] = -np.inf
    assert rest.max() < 3
    assert (evidence["success"][1, holds] == 1).all()

    plain = [
        Windowed().evidence(Linear(weights(3, size=0.02, seed=s)), context(images, labels, 3))
        for s in range(3)
    ]
    reading = Windowed().read(evidence, stack(plain), NAMES)
    assert reading.target == 1 and "class one" in reading.sentence
    assert reading.score == CAP and reading.clean_share == 0
    assert reading.figures is not None and holds[reading.figures["window"]]
    own = Windowed().class_scores(stack([evidence]), stack(plain))
    assert int(own[0].argmax()) == 1 and float(own[0, 1]) == pytest.approx(CAP)


def test_the_evidence_does_not_depend_on_the_scale_of_the_scores() -> None:
    images, labels = grey(40), torch.arange(40) % 3
    one, ten = (Windowed().evidence(Linear(s * weights(3)), context(images, labels, 3)) for s in (1.0, 10.0))
    tables = [scale_free(stack([e])["margins"]) for e in (one, ten)]
    np.testing.assert_allclose(tables[0], tables[1], rtol=1e-3, atol=1e-3)


def _evidence(rows: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "margins": rng.normal(size=(rows, 5, 9)).astype(np.float32),
        "success": rng.uniform(0.1, 0.4, size=(rows, 5, 9)).astype(np.float32),
    }


def test_an_easy_class_is_less_suspicious_than_one_with_a_place() -> None:
    """One is raised by the same everywhere, the other in one window only."""
    clean, own = _evidence(20, 0), _evidence(1, 1)
    own["margins"][0, 1] += 6
    own["success"][0, 1] += 0.4
    own["margins"][0, 3, 4] += 6
    own["success"][0, 3, 4] += 0.4
    found = places(own, clean)[0]
    assert found.shape == (5, 9) and found.min() >= 0
    assert np.unravel_index(int(found.argmax()), found.shape) == (3, 4)
    assert found[3, 4] > 1.4 * found[1].max()


@pytest.mark.parametrize("changed", ["margins", "success"])
def test_either_view_alone_makes_a_place_suspicious(changed: str) -> None:
    clean, own = _evidence(20, 0), {key: values.mean(0)[None] for key, values in _evidence(20, 0).items()}
    before = places(own, clean)[0, 2, 6]
    own[changed][0, 2, 6] = own[changed].max() + (3 if changed == "margins" else 0.5)
    assert places(own, clean)[0, 2, 6] > before + 2


def test_a_class_that_is_raised_in_every_window_has_no_place_but_counts() -> None:
    """A network that pools over places obeys its trigger anywhere."""
    clean, own = _evidence(20, 0), {key: values.mean(0)[None] for key, values in _evidence(20, 0).items()}
    before, place = command(own, clean)[0, 2], places(own, clean)[0, 2].max()
    own["success"][0, 2] += 0.4
    own["margins"][0, 2] += 2
    assert command(own, clean)[0, 2] > before + 3 and places(own, clean)[0, 2].max() < place + 1


def test_one_place_and_all_windows_add_up_as_squares() -> None:
    clean, own = _evidence(20, 0), _evidence(3, 1)
    parts = []
    for key, scaled in (("margins", scale_free), ("success", flip_odds)):
        middle, others = (np.median(scaled(table[key]), axis=2) for table in (own, clean))
        spread = np.sqrt(others.var(0).mean()) + 0.1
        parts.append(np.maximum((middle - others.mean(0)) / spread, 0) ** 2)
    expected = WEIGHT * np.hypot(about_one_place(places(own, clean)), np.sqrt((parts[0] + parts[1]) / 2))
    np.testing.assert_allclose(command(own, clean), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("windows", "count", "length"),
    [
        ((12,), 25, 1.0),
        ((12, 13), 25, 2**0.5),
        ((12, 18), 25, 2**0.5),
        ((12, 13, 17, 18), 25, 2.0),
        ((12, 14), 25, 1.0),
        ((4, 5), 25, 1.0),
        ((20, 0), 25, 1.0),
        ((0, 24), 25, 1.0),
        ((2, 3), 7, 2**0.5),
        ((0,), 1, 1.0),
    ],
    ids=["alone", "beside", "slanting", "four", "apart", "next-row", "column", "corners", "one-row", "only"],
)
def test_four_windows_about_one_place_count_together(
    windows: tuple[int, ...], count: int, length: float
) -> None:
    found = np.zeros((1, 2, count), dtype=np.float32)
    found[0, 1, list(windows)] = 3
    np.testing.assert_allclose(about_one_place(found), [[0, 3 * length]], rtol=1e-6)


def test_the_place_is_the_one_where_neighbours_find_most() -> None:
    found = np.random.default_rng(0).exponential(size=(3, 4, 16)).astype(np.float32)
    grid = found.reshape(3, 4, 4, 4)
    corners = [(i, j) for i in range(3) for j in range(3)]
    expected = np.max(
        [np.linalg.norm(grid[..., i : i + 2, j : j + 2], axis=(2, 3)) for i, j in corners], axis=0
    )
    np.testing.assert_allclose(about_one_place(found), expected, rtol=1e-5)


def test_log_odds_of_flip_shares_are_finite_and_centred() -> None:
    shares = np.array([[[0.0, 0.5, 1.0]], [[0.5, 0.5, 0.9]]], dtype=np.float32)
    odds = flip_odds(shares)
    assert odds[0, 0].tolist() == pytest.approx([-np.log(51), 0, np.log(51)], rel=1e-5)
    assert odds[1, 0].tolist() == pytest.approx([0, 0, np.log(0.92 / 0.12)], rel=1e-5)


def test_a_clean_reference_model_is_compared_with_the_others_only() -> None:
    rng = np.random.default_rng(0)
    clean = rng.normal(size=(5, 3, 4)).astype(np.float32)
    suspect = rng.normal(size=(2, 3, 4)).astype(np.float32)
    both = np.concatenate([clean[:2], suspect, clean[2:]])
    among = np.array([True, True, False, False, True, True, True])
    found = deviations(both, clean, among)
    rest = np.delete(clean, 1, axis=0)
    np.testing.assert_allclose(
        found[1], (clean[1] - rest.mean(0)) / (rest.std(0) + 0.1), rtol=1e-3, atol=1e-4
    )
    np.testing.assert_allclose(
        found[2], (suspect[0] - clean.mean(0)) / (clean.std(0) + 0.1), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("network", "count", "labels"),
    [
        (Constant(3), 30, [0, 1, 2]),
        (NotFinite(weights(3)), 30, [0, 1, 2]),
        (Linear(weights(2)), 30, [0, 1]),
        (Linear(weights(3)), 1, [0]),
        (Linear(weights(3)), 2, [2, 2]),
        (Linear(weights(3)), 5, [0, 1]),
    ],
    ids=["constant", "not finite", "two classes", "one image", "one label", "few images"],
)
def test_bad_input_ends_in_finite_numbers_and_a_sentence(
    network: torch.nn.Module, count: int, labels: list[int]
) -> None:
    y = torch.tensor([labels[i % len(labels)] for i in range(count)])
    classes = 2 if labels == [0, 1] and count == 30 else 3
    evidence = Windowed().evidence(network, context(grey(count, low=0.0, high=1.0), y, classes))
    assert all(np.isfinite(a).all() for a in evidence.values())
    many = stack([evidence] * 3)
    assert Windowed().read(evidence, many, NAMES[:classes]).sentence.endswith(".")
    assert np.isfinite(Windowed().features(many, many, np.ones(3, dtype=bool)).matrix).all()
    assert np.isfinite(Windowed().features(stack([evidence]), many).matrix).all()


def test_the_network_is_left_as_it_was_found() -> None:
    network = Linear(weights(3))
    network.weight.grad = None
    Windowed().evidence(network, context(grey(12), torch.arange(12) % 3, 3))
    assert network.weight.grad is None and network.training
