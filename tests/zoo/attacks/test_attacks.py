"""Every attack does to images what its source says, in closed form where there is one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from ti_core.errors import SettingsError
from ti_core.zoo.attacks.base import AttackSpec
from ti_core.zoo.attacks.blends import AdaptiveBlend, LowFrequency
from ti_core.zoo.attacks.catalogue import ATTACKS, made
from ti_core.zoo.attacks.input_dependent import Generated, InvertedMiddle
from ti_core.zoo.attacks.inverted import InvertedPatch
from ti_core.zoo.attacks.mapping import LabelMapping, draw_mapping
from ti_core.zoo.attacks.patches import CleanLabelPatch, PatchAnywhere
from ti_core.zoo.attacks.stripes import Stripes
from ti_core.zoo.attacks.warp import Warp

SHAPES = ((1, 28, 28), (3, 32, 32))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_changes_copies_and_stays_in_range(name: str, shape: tuple[int, int, int]) -> None:
    spec = AttackSpec(
        name, LabelMapping("all to one", 1), ATTACKS[name].draw(np.random.default_rng(3), shape)
    )
    attack = made(spec, shape)
    images = torch.rand(6, *shape)
    before = images.clone()
    for changed in (attack.stamp(images).detach(), attack.decoy(images).detach()):
        assert changed.shape == images.shape and torch.equal(images, before)
        assert float(changed.min()) >= 0 and float(changed.max()) <= 1
        assert not torch.equal(changed, images)


def test_an_unknown_attack_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="no attack 'spell'"):
        made(AttackSpec("spell", LabelMapping("all to one", 0)), SHAPES[0])


@pytest.mark.parametrize("classes", (2, 3, 10, 43))
def test_mappings_move_what_they_say(classes: int) -> None:
    labels = torch.arange(classes)
    seen = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        moved = draw_mapping("all to all", classes, rng)(labels)
        assert bool((moved != labels).all()) and int(moved.min()) >= 0 and int(moved.max()) < classes
        seen.add(tuple(moved.tolist()))
        one = draw_mapping("one source", classes, rng)
        assert one.source != one.target
        changed = one(labels) != labels
        assert changed.nonzero().flatten().tolist() == [one.source]
        assert int(one(labels)[one.source]) == one.target
        everyone = draw_mapping("all to one", classes, rng)
        assert set(everyone(labels).tolist()) == {everyone.target}
    assert len(seen) >= (1 if classes == 2 else 2 if classes == 3 else 20)


def test_a_louder_attack_has_a_higher_rate_and_strength_within_limits() -> None:
    spec = AttackSpec(
        "warp", LabelMapping("all to one", 0), {"strength": 1.0, "cells": 4, "seed": 1}, 0.1, 0.2
    )
    again = spec.louder()
    assert (
        again.rate == 0.13
        and again.options == {"strength": 1.3, "cells": 4, "seed": 1}
        and again.covers == 0.2
    )
    for _ in range(9):
        again = again.louder()
    assert again.rate == 0.3
    clean = AttackSpec("stripes", LabelMapping("all to one", 0), {}, 0.9, clean_label=True)
    assert clean.louder().rate == 1.0
    assert AttackSpec("patch", LabelMapping("one source", 0, 1), {}, 0.5).louder().rate == 0.5


def test_a_warp_moves_a_ramp_by_its_field() -> None:
    """On an image whose value is the column, a displacement by d pixels adds d; so for rows."""
    shape = (1, 28, 28)
    warp = Warp(shape, strength=1.0, cells=4, seed=5)
    assert math.isclose(float(warp.field.abs().mean()), 1.0, rel_tol=1e-5)
    rows, columns = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    for axis, ramp in enumerate((columns, rows)):
        moved = warp.stamp(ramp[None, None] / 27) * 27
        # Away from the border, where the field would leave the image.
        assert torch.allclose((moved[0, 0] - ramp)[5:-5, 5:-5], warp.field[0, 5:-5, 5:-5, axis], atol=1e-3)


def test_the_noise_of_a_warp_differs_from_image_to_image() -> None:
    warp, image = Warp((1, 28, 28), 1.0, 4, 5), torch.rand(1, 1, 28, 28)
    first, second = warp.decoy(image.repeat(2, 1, 1, 1))
    assert not torch.equal(first, second)
    assert torch.equal(*warp.stamp(image.repeat(2, 1, 1, 1)))


def test_stripes_are_the_wave_of_their_numbers() -> None:
    image = torch.full((1, 1, 4, 8), 0.5)
    across = Stripes((1, 4, 8), strength=0.25, frequency=2.0).stamp(image)
    assert torch.allclose(across[0, 0, 0], 0.5 + 0.25 * torch.tensor([0.0, 1, 0, -1, 0, 1, 0, -1]), atol=1e-6)
    assert torch.allclose(across[0, 0], across[0, 0, :1].expand(4, 8))
    down = Stripes((1, 4, 8), strength=0.25, frequency=1.0, angle=90.0, phase=90.0).stamp(image)
    assert torch.allclose(down[0, 0, :, 0], 0.5 + 0.25 * torch.tensor([1.0, 0, -1, 0]), atol=1e-6)


def test_a_patch_anywhere_is_its_pattern_at_different_places() -> None:
    attack = PatchAnywhere((1, 28, 28), 4, 5, seed=2)
    stamped = attack.stamp(torch.full((40, 1, 28, 28), 0.5))
    places = set()
    for image in stamped:
        rows, columns = (image[0] != 0.5).nonzero().unbind(1)
        top, left = int(rows.min()), int(columns.min())
        assert torch.equal(image[:, top : top + 4, left : left + 5], attack.pattern) or len(rows) < 20
        places.add((top, left))
    assert len(places) > 20


def test_the_inverted_middle_is_exact_and_its_decoy_is_of_another_image() -> None:
    attack, images = InvertedMiddle((1, 12, 12), side=4, corner=3), torch.rand(3, 1, 12, 12)
    middle = 1 - images[:, :, 4:8, 4:8]
    assert torch.equal(attack.stamp(images)[:, :, 8:, 8:], middle)
    assert torch.equal(attack.decoy(images)[:, :, 8:, 8:], middle.roll(1, 0))
    assert torch.equal(attack.stamp(images)[:, :, :8], images[:, :, :8])


def test_a_low_frequency_blend_reaches_its_strength_and_is_smooth() -> None:
    attack = LowFrequency((3, 32, 32), strength=0.2, cells=4, seed=1)
    assert math.isclose(float(attack.pattern.abs().max()), 0.2, rel_tol=1e-5)
    spectrum = torch.fft.rfft2(attack.pattern[0]).abs().square()
    low = spectrum[:, :6, :6].sum() + spectrum[:, -5:, :6].sum()
    assert float(low / spectrum.sum()) > 0.95


def test_an_adaptive_blend_shows_about_half_of_its_pieces_in_training_and_all_at_test_time() -> None:
    attack, images = AdaptiveBlend((1, 16, 16), strength=0.2, pieces=4, seed=1), torch.rand(100, 1, 16, 16)
    whole = attack.stamp(images)
    assert torch.allclose(whole, 0.8 * images + 0.2 * attack.pattern)
    changed = attack.poisoned(images, torch.zeros(100, dtype=torch.long)) != images
    pieces = changed.unfold(2, 4, 4).unfold(3, 4, 4).flatten(4)
    share = pieces.any(4).float()
    assert bool((pieces.all(4) | ~pieces.any(4)).float().mean() > 0.99)
    assert 0.45 < float(share.mean()) < 0.55


def test_a_generated_trigger_is_trained_and_punished_for_being_one_pattern() -> None:
    attack = Generated((1, 12, 12), density=0.05, seed=4)
    images = torch.rand(8, 1, 12, 12)
    loss = attack.penalty(images)
    loss.backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in attack.parameters())

    class OnePattern(Generated):
        def parts(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            mask, pattern = super().parts(images)
            return mask[:1].expand_as(mask), pattern[:1].expand_as(pattern)

    assert bool(OnePattern((1, 12, 12), 0.05, 4).penalty(images) > loss)


def test_a_clean_label_patch_makes_the_training_image_hard_and_the_test_image_not() -> None:
    shape = (1, 12, 12)
    rng = np.random.default_rng(1)
    attack = CleanLabelPatch(shape, **CleanLabelPatch.draw(rng, shape))
    network = nn.Sequential(nn.Flatten(), nn.Linear(144, 3)).eval()
    images, labels = torch.rand(20, *shape), torch.arange(20) % 3
    attack.prepare(network, images, labels, 0)
    poisoned, plain = attack.poisoned(images, labels), attack.stamp(images)
    patch = (plain != images).any(0)
    assert torch.equal(poisoned[:, patch], plain[:, patch])
    assert float((poisoned - plain).abs().max()) <= attack.radius + 1e-6
    loss = nn.CrossEntropyLoss()
    assert bool(loss(network(poisoned), labels) > loss(network(plain), labels))


def test_an_inverted_patch_drives_the_targets_neurons() -> None:
    shape = (1, 12, 12)
    attack = InvertedPatch(shape, **InvertedPatch.draw(np.random.default_rng(2), shape))
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(144, 16), nn.ReLU(), nn.Linear(16, 4)).eval()
    images = torch.rand(64, *shape)
    chosen = network[3].weight.detach()[2].topk(3).indices

    def activation() -> float:
        with torch.no_grad():
            return float(network[:3](attack.stamp(images))[:, chosen].mean())

    before = activation()
    weights = {k: v.clone() for k, v in network.state_dict().items()}
    attack.prepare(network, images, torch.zeros(64, dtype=torch.long), 2)
    assert activation() > before
    assert all(torch.equal(v, weights[k]) for k, v in network.state_dict().items())
    assert attack.trigger.pattern.min() >= 0 and attack.trigger.pattern.max() <= 1
