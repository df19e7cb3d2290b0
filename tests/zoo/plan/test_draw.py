from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from benchmarks.train_packs import part_of
from ti_core.architectures import ARCHITECTURES, build
from ti_core.errors import SettingsError
from ti_core.zoo.plan.colour import CIFAR10_MENU, GTSRB_FRESH, GTSRB_MENU, Way, plan_for, plan_strangers
from ti_core.zoo.plan.draw import plan
from ti_core.zoo.training.team_run import team_key


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


@pytest.mark.parametrize(("images", "longer"), [(25_000, 1.0), (60_000, 1.0), (10_000, 2.5), (500, 3.0)])
def test_short_members_are_many_independent_networks_and_few_images_are_seen_more_often(
    images: int, longer: float
) -> None:
    usual = plan_for("cifar10", 26, (3, 32, 32), 10, 5, "short")
    recipes = plan_for("cifar10", 26, (3, 32, 32), 10, 5, "short", images=images)
    assert Counter((r.label, r.family) for r in recipes) == {
        ("clean", "standard"): 12,
        ("blend", "standard"): 6,
        ("patch", "standard"): 6,
    }
    assert len({r.group for r in recipes}) == len({r.id for r in recipes}) == 24
    assert not any(r.base for r in recipes)
    assert len({r.architecture for r in recipes}) == 3 and len({r.options["activation"] for r in recipes}) > 3
    assert {r.normalisation for r in recipes} >= {"none", "cifar10"}
    assert all(r.poisoning_rate >= 0.05 for r in recipes if r.label != "clean")
    assert Counter(r.label for r in recipes if r.held_out) == {"clean": 4, "blend": 2, "patch": 2}
    assert [r.epochs for r in recipes] == [round(longer * r.epochs) for r in usual]


def test_fresh_members_are_independent_networks_trained_as_the_menu_says() -> None:
    recipes = plan_for("gtsrb", 50, (3, 32, 32), 43, 5, "fresh")
    assert Counter(r.label for r in recipes) == {"clean": 24, "blend": 12, "patch": 12}
    assert {r.family for r in recipes} == {"standard"} and not any(r.base for r in recipes)
    assert len({r.group for r in recipes}) == len({r.id for r in recipes}) == 48
    for r in recipes:
        school = GTSRB_FRESH.schools[r.architecture]
        assert r.label_smoothing in school.smoothings and r.augmentation in GTSRB_FRESH.augmentations
        assert (r.epochs, r.batch_size, r.precision) == (school.epochs, school.batch_size, "bfloat16")
    assert Counter(r.label for r in recipes if r.held_out) == {"clean": 8, "blend": 4, "patch": 4}
    others: list[tuple[Way, int]] = [("short", 5), ("fresh", 6)]
    for way, seed in others:
        assert not {r.id for r in recipes} & {r.id for r in plan_for("gtsrb", 48, (3, 32, 32), 43, seed, way)}
    usual = plan_for("cifar10", 48, (3, 32, 32), 10, 5, "fresh")
    assert {r.augmentation for r in usual} <= set(CIFAR10_MENU.augmentations)


def test_processes_side_by_side_train_every_team_once() -> None:
    recipes = plan_for("gtsrb", 48, (3, 32, 32), 43, 5, "fresh")
    parts = [part_of(recipes, f"{i}/3") for i in range(3)]
    assert sorted(r.id for part in parts for r in part) == sorted(r.id for r in recipes)
    assert [len(part) for part in parts] == [16, 16, 16]
    teams = [{repr(team_key(r)) for r in part} for part in parts]
    # In the order of their kinds, N shares cut at most N - 1 teams in two.
    assert sum(map(len, teams)) <= len({repr(team_key(r)) for r in recipes}) + 2


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
        assert again.learning_rate == r.learning_rate * (2 if r.family == "challenge" else 1)


def test_a_plain_patch_that_is_not_learnt_gets_random_pixels_and_a_blend_keeps_its_own() -> None:
    trojaned = [r for r in plan(160, (3, 32, 32), 10, seed=1) if r.trigger is not None]
    assert {"white", "checker"} <= {r.trigger.pattern for r in trojaned if r.trigger}
    for r in trojaned:
        again = r.harder(1).trigger
        assert r.trigger is not None and again is not None
        assert again.pattern == ("bernoulli" if r.label == "patch" else r.trigger.pattern)
        assert (again.top, again.left, again.height) == (r.trigger.top, r.trigger.left, r.trigger.height)


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


def test_the_mnist_zoo_stays_what_it_was() -> None:
    """A pack's record names its recipes; were the draws to move, no zoo could be trained again."""
    import hashlib

    from ti_core.zoo.training.members import recipe_digest

    for arguments, known in (
        ((216, (1, 28, 28), 10, 11), "63a57469ce952ac5"),
        ((24, (1, 28, 28), 10, 2**20), "a2c3faa155270964"),
        ((96, (3, 32, 32), 43, 0), "76749b7f22228890"),
    ):
        text = "".join(recipe_digest(r) + str(r.held_out) for r in plan(*arguments))
        assert hashlib.sha256(text.encode()).hexdigest()[:16] == known


COLOUR = {"gtsrb": (96, 43), "cifar10": (96, 10), "cifar100": (48, 100)}


@pytest.mark.parametrize("name", COLOUR)
@pytest.mark.parametrize("way", ("scratch", "bases"))
def test_a_colour_plan_is_balanced_and_keeps_groups_on_one_side(name: str, way: Way) -> None:
    count, classes = COLOUR[name]
    recipes = plan_for(name, count, (3, 32, 32), classes, 0, way)
    members = [r for r in recipes if r.family != "base"]
    assert len(members) == count and len({r.id for r in recipes}) == len(recipes)
    assert Counter(r.label for r in members) == {
        "clean": count // 2,
        "blend": count // 4,
        "patch": count // 4,
    }
    families = Counter(r.family for r in members if r.label != "clean")
    assert families == {"standard": count // 4, "challenge": count // 4}
    assert {"small_resnet", "simple_vit"} < {r.architecture for r in members}
    assert len({r.architecture for r in members}) >= 3
    sides = {r.group: r.held_out for r in recipes}
    assert all(sides[r.group] == r.held_out for r in recipes)
    held = sum(r.held_out for r in members)
    assert 0.25 <= held / count <= 0.42
    assert name != "gtsrb" or all("mirror" not in r.augmentation for r in recipes)


@pytest.mark.parametrize("name", COLOUR)
def test_a_colour_pack_fits_its_size(name: str) -> None:
    """Half precision; 4 MB of the 25 are for the images, the evidence and the record."""
    count, classes = COLOUR[name]
    total = 0
    for r in plan_for(name, count, (3, 32, 32), classes, 0):
        if r.family != "base":
            total += sum(2 * v.numel() for v in build(r.architecture, **r.options).state_dict().values())
    assert total < 21e6


def test_from_bases_every_member_is_fine_tuned_and_the_clean_ones_in_both_ways() -> None:
    recipes = plan_for("cifar10", 96, (3, 32, 32), 10, 3, "bases")
    bases = {r.id: r for r in recipes if r.family == "base"}
    members = [r for r in recipes if r.family != "base"]
    assert len(bases) == 12
    for r in members:
        assert r.base is not None
        base = bases[r.base]
        assert (r.group, r.architecture, r.options) == (base.id, base.architecture, base.options)
        assert r.normalisation == base.normalisation
    clean = Counter(r.family for r in members if r.label == "clean")
    assert clean == {"fine-tuned": 24, "standard": 20, "adversarial": 4}
    # Of what both kinds are drawn from, neither label has anything of its own.
    standard = [r for r in members if r.family == "standard"]
    for trojaned in (True, False):
        own = [r for r in standard if (r.trigger is not None) == trojaned]
        assert {r.epochs for r in own} == {CIFAR10_MENU.fine_tune_epochs} and {r.optimiser for r in own} == {
            "sgd",
            "adamw",
        }
        assert all((r.poisoning_rate > 0) == trojaned for r in own)


def test_a_schooled_architecture_keeps_to_its_school_and_share_shortens_it() -> None:
    for r in plan_for("gtsrb", 96, (3, 32, 32), 43, 1, share=0.5):
        school = GTSRB_MENU.schools[r.architecture]
        if r.base is None:
            assert r.epochs == round(0.5 * school.epochs) and r.optimiser == school.optimiser
            assert school.rates[0] <= r.learning_rate <= school.rates[1]


def test_other_data_get_the_plan_of_their_shape() -> None:
    assert plan_for("mnist", 16, (1, 28, 28), 10, 5) == plan(16, (1, 28, 28), 10, 5)
    with pytest.raises(SettingsError, match="no way 'both'"):
        plan_for("mnist", 16, (1, 28, 28), 10, 5, "both")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="at least 8"):
        plan_for("mnist", 4, (1, 28, 28), 10, 5)


def test_strangers_are_the_challenges_own_networks() -> None:
    (clean, blend, patch) = plan_strangers("gtsrb", (3, 32, 32), 43, 0)
    assert (clean.label, blend.label, patch.label) == ("clean", "blend", "patch")
    assert {r.architecture for r in (clean, blend, patch)} == {"simple_vit"}
    # The published SimpleViT: patch 4, dim 128, depth 6, 16 heads, mlp 256.
    assert sum(p.numel() for p in build("simple_vit", **clean.options).parameters()) > 3.5e6
    assert plan_strangers("mnist", (1, 28, 28), 10, 0) == []


@pytest.mark.parametrize(("taken", "count", "each"), [(12, 96, 8), (8, 100, 12), (3, 12, 4)])
def test_around_given_bases_members_are_shared_out_alike(taken: int, count: int, each: int) -> None:
    shape = (3, 32, 32)
    bases = [r for r in plan_for("cifar10", 96, shape, 10, 3, "bases") if r.family == "base"][:taken]
    recipes = plan_for("cifar10", count, shape, 10, 5, "bases", bases=bases)
    assert [replace(r, held_out=False) for r in recipes if r.family == "base"] == [
        replace(r, held_out=False) for r in bases
    ]
    members = [r for r in recipes if r.family != "base"]
    assert len({r.id for r in recipes}) == len(recipes) == taken * (each + 1)
    for base in bases:
        own = [r for r in members if r.base == base.id]
        assert Counter(r.label for r in own) == {"clean": each // 2, "blend": each // 4, "patch": each // 4}
        assert {r.architecture for r in own} == {base.architecture} and {r.group for r in own} == {base.group}
        assert all(r.options == base.options and r.small_epochs == 0 for r in own)
        assert len({r.held_out for r in own}) == 1
    for label in ("clean", "blend", "patch"):
        ways = [r.family in ("challenge", "fine-tuned") for r in members if r.label == label]
        assert abs(2 * sum(ways) - len(ways)) <= 1
    assert sum(r.family == "adversarial" for r in members) == -(-taken // 3)
    assert 0 < sum(r.held_out for r in members) < len(members) / 2
    assert recipes == plan_for("cifar10", count, shape, 10, 5, "bases", bases=bases)


def test_bases_of_no_use_are_a_sentence() -> None:
    shape = (3, 32, 32)
    bases = [r for r in plan_for("cifar10", 16, shape, 10, 3, "bases") if r.family == "base"]
    for wrong, words in (
        (replace(bases[0], options=bases[0].options | {"classes": 43}), "not a network for these images"),
        (replace(bases[0], architecture="mlp"), "not in this data set's menu"),
    ):
        with pytest.raises(SettingsError, match=words):
            plan_for("cifar10", 16, shape, 10, 5, "bases", bases=[wrong])
    with pytest.raises(SettingsError, match="named after bases"):
        plan_for("cifar10", 16, shape, 10, 5, "scratch", bases=bases)
    with pytest.raises(SettingsError, match="need 12 members"):
        plan_for("cifar10", 8, shape, 10, 5, "bases", bases=[*bases, bases[0]])


def test_bases_begin_with_the_layers_of_those_of_other_data_that_are_like_them() -> None:
    shape = (3, 32, 32)
    known = [r for r in plan_for("cifar10", 96, shape, 10, 3, "bases") if r.family == "base"]
    resnets = [r for r in known if r.architecture == "resnet"][:2]
    starts = {"a/one": replace(resnets[0], normalisation="half"), "a/two": resnets[1]}
    fresh = plan_for("cifar100", 96, shape, 100, 5, "bases")
    begun = plan_for("cifar100", 96, shape, 100, 5, "bases", starts=starts)
    names = []
    for before, after in zip(fresh, begun, strict=True):
        if before.family != "base":
            assert after.begun_from is None and after.base == before.base
        elif before.architecture != "resnet":
            assert after == before
        else:
            names.append(after.begun_from)
            assert after.normalisation == starts[after.begun_from or ""].normalisation
            assert (after.epochs, after.small_epochs) == (24, 17)
            assert replace(before, normalisation="", epochs=0, small_epochs=0) == replace(
                after, normalisation="", epochs=0, small_epochs=0, begun_from=None
            )
    assert names == ["a/one", "a/two"] * 2
    assert list(starts) == ["a/one", "a/two"]
    # A record's lists are the same options; other channels are other layers.
    listed = replace(resnets[0], options=resnets[0].options | {"channels": [16, 32, 56]})
    again = plan_for("cifar100", 96, shape, 100, 5, "bases", starts={"b/one": listed})
    assert sum(r.begun_from == "b/one" for r in again) == 4
    wider = replace(resnets[0], options=resnets[0].options | {"channels": (16, 32, 64)})
    with pytest.raises(SettingsError, match="is like one of these bases"):
        plan_for("cifar100", 96, shape, 100, 5, "bases", starts={"b/one": wider})
    with pytest.raises(SettingsError, match="named after bases"):
        plan_for("cifar100", 96, shape, 100, 5, "scratch", starts=starts)
    with pytest.raises(SettingsError, match="begin with no other"):
        plan_for("cifar10", 96, shape, 10, 5, "bases", bases=known, starts=starts)
