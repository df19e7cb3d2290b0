"""Waves: all low frequencies once, closed forms on linear classifiers, a planted wave found, usual ones not counted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.streams.toys import Linear, NotFinite, grey, weights
from ti_core.streams.searches.search import pools
from ti_core.streams.searches.waves import STRENGTHS, answers, standing, under_stripes, waves
from ti_core.streams.universal import LEAST, Universal

LABELS = torch.arange(40) % 3


class Waved(torch.nn.Module):
    """A linear classifier that one wave sends to ``target``, from an amplitude of 0.08 on; others are nothing to it."""

    def __init__(self, wave: torch.Tensor, target: int) -> None:
        super().__init__()
        self.linear, self.wave, self.target = Linear(0.1 * weights(3)), wave, target

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.linear(x)
        found = (x[:, 0] * self.wave).mean((1, 2)) / self.wave.square().mean()
        z[:, self.target] += 200 * torch.relu(found - 0.08)
        return z


def test_every_low_frequency_is_there_once_in_every_phase() -> None:
    found = waves(16, 12, reach=5, phases=4)
    spectrum = torch.fft.fft2(found).abs()
    places = set()
    for own in spectrum:
        peaks = torch.nonzero(own > 1e-3 * own.max())
        signed = {(u - 16 * (u > 8), v - 12 * (v > 6)) for u, v in peaks.tolist()}
        assert len(signed) == 2 and all(0 < u * u + v * v <= 25 for u, v in signed)
        places.add(frozenset(signed))
    wanted = {(u, v) for u in range(-5, 6) for v in range(-5, 6) if 0 < u * u + v * v <= 25}
    assert set().union(*places) == wanted and len(found) == 4 * len(places)
    apart = torch.cdist(found.flatten(1), found.flatten(1)) + 100 * torch.eye(len(found))
    assert float(apart.min()) > 1
    torch.testing.assert_close(found.square().mean((1, 2)), torch.full((len(found),), 0.5))


def test_a_linear_classifiers_answer_is_the_closed_form() -> None:
    """Of two classes, the difference of the weights by the images of the other class and by the change."""
    w, images, labels = weights(2), grey(20), torch.arange(20) % 2
    shapes = 0.1 * waves(*images.shape[2:])[:37]
    found = answers(Linear(w), images, labels, shapes)
    for c in (0, 1):
        difference = (w[c] - w[1 - c])[0]
        usual = (images[labels != c, 0] * difference).sum((1, 2)).mean()
        torch.testing.assert_close(
            found[:, c], usual + (shapes * difference).sum((1, 2)), atol=1e-4, rtol=1e-4
        )


def test_a_planted_wave_is_found_and_leads_to_its_class_alone() -> None:
    images = grey(40)
    wave = waves(*images.shape[2:])[77]
    pool = pools(LABELS, 3, 12)
    plain = under_stripes(Linear(0.1 * weights(3)), images, LABELS, pool, 12)
    found = under_stripes(Waved(wave, 2), images, LABELS, pool, 12)
    assert found.shape == (len(STRENGTHS), 3)
    for i, strength in enumerate(STRENGTHS):
        gained = 200 * (strength - 0.08)
        assert found[i, 2] - plain[i, 2] == pytest.approx(gained, rel=0.25)
    np.testing.assert_allclose(found[:, :2], plain[:, :2], atol=0.5)


def test_what_most_clean_models_reach_is_nothing_and_more_than_that_counts_for_itself() -> None:
    rng = np.random.default_rng(0)
    clean = {"stripes": rng.normal(size=(80, 2, 10)).astype(np.float32)}
    everyone = np.ones(80, dtype=bool)
    further = standing(clean, clean, LEAST, everyone)
    assert (further.max(1) > 0).sum() == 2
    suspect = {"stripes": clean["stripes"][:1].copy()}
    suspect["stripes"][:, :, 7] += np.array([4.0, 8.0])
    above = standing(suspect, clean, LEAST)[0]
    assert above.argmax() == 7 and above[7] > 1 and (np.delete(above, 7) < 0).all()


def test_waves_add_to_the_other_searches_and_take_nothing_away() -> None:
    rng = np.random.default_rng(1)
    clean = {
        "margins": rng.normal(size=(40, 3, 6)).astype(np.float32),
        "blended": rng.normal(size=(40, 6)).astype(np.float32),
        "soft": rng.normal(size=(40, 6)).astype(np.float32),
        "stripes": rng.normal(size=(40, 2, 6)).astype(np.float32),
        "scale": np.ones((40, 1), dtype=np.float32),
    }
    one = {key: value[:1].copy() for key, value in clean.items()}
    one["stripes"][:] = clean["stripes"].mean(0)
    one["soft"][:, 4] += 6
    plain = Universal().class_scores(one, clean)
    lower = Universal().class_scores(one | {"stripes": one["stripes"] - 1}, clean)
    higher = one | {"stripes": one["stripes"].copy()}
    higher["stripes"][:, :, 4] += 9
    above = standing(higher, clean, LEAST)
    found = Universal().class_scores(higher, clean)
    np.testing.assert_array_equal(plain, lower)
    assert plain[0, 4] > 0 and found[0].argmax() == 4
    assert found[0, 4] == pytest.approx(np.hypot(plain[0, 4], above[0, 4]))
    np.testing.assert_array_equal(np.delete(found, 4), np.delete(plain, 4))
    reading = Universal().read({k: v[0] for k, v in higher.items()}, clean, tuple("abcdef"))
    assert "Under waves laid over all images class e stands out" in reading.sentence
    assert (
        "Under waves"
        not in Universal().read({k: v[0] for k, v in one.items()}, clean, tuple("abcdef")).sentence
    )


def test_scores_that_are_not_finite_end_in_finite_margins() -> None:
    found = under_stripes(NotFinite(weights(3)), grey(40), LABELS, pools(LABELS, 3, 12), 12)
    assert found.shape == (2, 3) and np.isfinite(found).all()
