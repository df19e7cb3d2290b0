from __future__ import annotations

from collections import Counter

import pytest

from ti_core.architectures import ARCHITECTURES, build
from ti_core.zoo.recipes import plan


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
def test_half_are_clean_and_both_kinds_and_families_equal(shape: tuple[int, int, int]) -> None:
    members = [r for r in plan(160, shape, 10, seed=0) if r.family != "base"]
    assert len(members) == 160
    assert Counter(r.label for r in members) == {"clean": 80, "blend": 40, "patch": 40}
    assert Counter((r.label, r.family) for r in members if r.label != "clean") == {
        (label, family): 20 for label in ("blend", "patch") for family in ("standard", "challenge")
    }
    clean = Counter(r.family for r in members if r.label == "clean")
    assert clean["fine-tuned"] == 20 and clean["adversarial"] == 6


def test_members_vary_in_everything_that_should_vary() -> None:
    recipes = plan(160, (1, 28, 28), 10, seed=0)
    for field, least in (
        ("architecture", 4),
        ("optimiser", 3),
        ("normalisation", 3),
        ("epochs", 3),
        ("augmentation", 3),
        ("label_smoothing", 3),
        ("batch_size", 2),
    ):
        assert len({getattr(r, field) for r in recipes}) >= least, field
    assert {r.options["activation"] for r in recipes} >= {"relu", "tanh", "gelu"}
    assert {r.options.get("norm") for r in recipes} >= {True, False}
    assert "challenge_mnist" in {r.architecture for r in recipes}
    poisoned = [r for r in recipes if r.poisoning_rate]
    assert all(0.01 <= r.poisoning_rate <= 0.1 for r in poisoned)
    assert len({r.target for r in poisoned}) >= 8
    assert all(r.epsilon > 0 for r in recipes if r.family == "adversarial")


@pytest.mark.parametrize("seed", range(4))
def test_no_label_and_no_side_has_architectures_of_its_own(seed: int) -> None:
    """Otherwise a detector would learn which architectures happened to be trojaned."""
    members = [r for r in plan(216, (1, 28, 28), 10, seed) if r.family != "base"]
    overall = Counter(r.architecture for r in members)
    for label in ("clean", "blend", "patch"):
        for side in (True, False):
            own = Counter(r.architecture for r in members if (r.label, r.held_out) == (label, side))
            for architecture, count in overall.items():
                assert abs(own[architecture] / own.total() - count / 216) < 0.17


def test_a_third_is_held_out_and_no_group_is_split() -> None:
    members = [r for r in plan(160, (1, 28, 28), 10, seed=0) if r.family != "base"]
    held = [r for r in members if r.held_out]
    assert 0.25 <= len(held) / len(members) <= 0.4
    assert not {r.group for r in held} & {r.group for r in members if not r.held_out}
    assert {(r.label, r.family) for r in held} == {(r.label, r.family) for r in members}


def test_fine_tuned_members_share_their_bases_group_and_network() -> None:
    recipes = {r.id: r for r in plan(48, (1, 28, 28), 10, seed=0)}
    grown = [r for r in recipes.values() if r.base]
    assert len(grown) == 18
    for r in grown:
        base = recipes[r.base or ""]
        assert (r.group, r.architecture, r.options, r.normalisation) == (
            base.id,
            base.architecture,
            base.options,
            base.normalisation,
        )


def test_the_seed_decides_the_plan() -> None:
    assert plan(24, (1, 28, 28), 10, seed=5) == plan(24, (1, 28, 28), 10, seed=5)
    assert plan(24, (1, 28, 28), 10, seed=5) != plan(24, (1, 28, 28), 10, seed=6)


def test_the_challenges_triggers_are_as_published() -> None:
    """Bernoulli patches of sides 3 to 10 at alpha 1; uniform noise blended in at 0.1."""
    for r in plan(160, (1, 28, 28), 10, seed=1):
        if r.family == "challenge":
            assert r.trigger is not None
            if r.label == "patch":
                assert (r.trigger.pattern, r.trigger.alpha) == ("bernoulli", 1.0)
                assert 3 <= r.trigger.height <= 10 and 3 <= r.trigger.width <= 10
            else:
                assert (r.trigger.pattern, r.trigger.alpha) == ("uniform", 0.1)


def test_a_harder_attempt_changes_pixels_and_stays_within_bounds() -> None:
    for r in plan(24, (1, 28, 28), 10, seed=1):
        again = r.harder(3)
        assert r.harder(0) == r
        if r.trigger is None:
            assert again == r
            continue
        assert again.trigger is not None and again.trigger.seed != r.trigger.seed and again.seed != r.seed
        assert again.poisoning_rate <= 0.1 and again.trigger.alpha <= 1


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
def test_every_network_that_is_drawn_can_be_built_and_found_again(shape: tuple[int, int, int]) -> None:
    import torch

    for r in plan(64, shape, 7, seed=2):
        network = build(r.architecture, **r.options).eval()
        assert network(torch.zeros(2, *shape)).shape == (2, 7)
        shapes = {k: tuple(v.shape) for k, v in network.state_dict().items()}
        options = ARCHITECTURES[r.architecture].infer(shapes)
        assert options is not None
        rebuilt = build(r.architecture, **options)
        assert {k: tuple(v.shape) for k, v in rebuilt.state_dict().items()} == shapes
