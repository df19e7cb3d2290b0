from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ti_core.cli.tables import shift_text
from ti_core.errors import PackError, SettingsError
from ti_core.evaluation.scoring import evidence_of_all, split_pack
from ti_core.evaluation.shift import recipe_of, shift, splits_of
from ti_core.reference.pack import Member, Pack
from ti_core.reference.reference import Reference
from ti_core.settings import Settings
from ti_core.streams import make_streams


def with_members(pack: Pack, members: list[Member]) -> Pack:
    return replace(pack, members=tuple(members))


@pytest.fixture(scope="module")
def two_architectures(tiny_pack: Pack) -> Pack:
    """The tiny pack with every other group said to be of another architecture; scores do not depend on the name."""
    groups = sorted({m.group for m in tiny_pack.members})
    names = {g: ("even", "odd")[i % 2] for i, g in enumerate(groups)}
    return with_members(tiny_pack, [replace(m, architecture=names[m.group]) for m in tiny_pack.members])


def test_clean_twins_count_to_the_recipe_of_their_trojans(tiny_pack: Pack) -> None:
    assert {recipe_of(m) for m in tiny_pack.members if m.family in ("challenge", "fine-tuned")} == {
        "challenge"
    }
    assert {recipe_of(m) for m in tiny_pack.members if m.family == "standard"} == {"standard"}


@pytest.mark.parametrize("members", ["fitted", "held-out", "all"])
def test_no_member_group_or_recipe_stands_on_both_sides(two_architectures: Pack, members: str) -> None:
    pack = two_architectures
    splits, _ = splits_of(pack, members)
    assert {s.by for s in splits} == {"recipe", "architecture"}
    for split in splits:
        fit, test = ([pack.members[i] for i in side] for side in (split.fit, split.test))
        assert not {m.group for m in fit} & {m.group for m in test}
        name_of = recipe_of if split.by == "recipe" else lambda m: m.architecture
        assert {name_of(m) for m in test} == {split.left_out}
        assert split.left_out not in {name_of(m) for m in fit}
        if members != "all":
            assert not any(m.held_out for m in fit)
            assert all(m.held_out == (members == "held-out") for m in test)
        assert {m.label for m in test} >= {"clean"} and len({m.label for m in test}) > 1


def test_members_that_share_a_group_with_a_tested_one_are_dropped(two_architectures: Pack) -> None:
    """A group that reaches across: its members on the fit side are in neither."""
    members = list(two_architectures.members)
    fitted = [i for i, m in enumerate(members) if not m.held_out and m.label == "clean"]
    even = next(i for i in fitted if members[i].architecture == "even")
    odd = next(i for i in fitted if members[i].architecture == "odd")
    members[odd] = replace(members[odd], group=members[even].group)
    splits, _ = splits_of(with_members(two_architectures, members))
    for split in splits:
        if split.by == "architecture":
            assert split.dropped >= 1
            assert not {odd, even} & set(split.fit.tolist())


def test_where_every_group_has_all_recipes_a_recipe_is_left_out_in_parts(tiny_pack: Pack) -> None:
    """As in a zoo whose members all grow from a few bases."""
    recipes = ("standard", "challenge")
    members = [
        replace(tiny_pack.members[0], id=f"{group}-{recipe}-{label}", held_out=False, label=label)
        for group in range(6)
        for recipe in recipes
        for label in ("clean", "blend", "patch")
    ]
    members = [replace(m, group=m.id[0], family=m.id.split("-")[1]) for m in members]
    splits, notes = splits_of(with_members(tiny_pack, members))
    assert not [n for n in notes if "recipe" in n]
    for recipe in recipes:
        parts = [s for s in splits if (s.by, s.left_out) == ("recipe", recipe)]
        assert len(parts) == 4
        tested = [i for s in parts for i in s.test]
        assert sorted(tested) == [i for i, m in enumerate(members) if m.family == recipe]
        for part in parts:
            fit, test = ([members[i] for i in side] for side in (part.fit, part.test))
            assert not {m.group for m in fit} & {m.group for m in test}
            assert {m.family for m in fit} == {r for r in recipes if r != recipe}
            assert part.dropped == len(test) and len(fit) + part.dropped == 18


def test_a_kind_is_left_out_with_clean_members_of_other_groups(tiny_pack: Pack) -> None:
    """A family of trojaned members alone is a kind: no member of it is fitted to, and clean ones are tested with it."""
    kinds = (("clean", "standard"), ("blend", "standard"), ("patch", "standard"), ("warp", "warp"))
    members = [
        replace(
            *(tiny_pack.members[0],),
            **{"id": f"g{group}-{label}", "group": f"g{group}-{label}", "held_out": False},
            label=label,
            family=family,
        )
        for group in range(8)
        for label, family in kinds
    ]
    splits = [s for s in splits_of(with_members(tiny_pack, members))[0] if s.by == "kind"]
    assert {s.left_out for s in splits} == {"warp"}
    for split in splits:
        fit, test = ([members[i] for i in side] for side in (split.fit, split.test))
        assert {m.label for m in fit} == {"clean", "blend", "patch"} and {m.label for m in test} == {
            "clean",
            "warp",
        }
        assert not {m.group for m in fit} & {m.group for m in test}
    tested = [members[i].id for s in splits for i in s.test]
    assert len(tested) == len(set(tested)) == 16


@pytest.mark.parametrize(("alone", "parts"), [(5, 4), (7, 1)])
def test_a_recipe_is_left_out_at_once_only_where_that_leaves_half_of_the_others(
    tiny_pack: Pack, alone: int, parts: int
) -> None:
    """Eighteen members of one recipe share groups with the other; three a time stand alone."""
    labels = ("clean", "blend", "patch")
    kinds = [(f"g{i}", recipe) for i in range(6) for recipe in ("standard", "challenge")]
    kinds += [(f"a{i}-{label}", "standard") for i in range(alone) for label in labels]
    members = [
        replace(
            tiny_pack.members[0],
            id=f"{group}-{recipe}-{label}",
            held_out=False,
            label=label,
            group=group,
            family=recipe,
        )
        for group, recipe in kinds
        for label in labels
        if group.startswith("g") or group.endswith(label)
    ]
    splits, _ = splits_of(with_members(tiny_pack, members))
    assert len([s for s in splits if s.left_out == "challenge"]) == parts


def test_a_split_fits_and_tests_the_evidence_of_its_own_members(
    tiny_pack: Pack, tiny_settings: Settings
) -> None:
    streams = make_streams(tiny_settings)
    everything = evidence_of_all(Reference(tiny_pack, tiny_settings, _no_cache()), streams)
    for stream in streams:
        for key, values in tiny_pack.baseline[stream.name].items():
            np.testing.assert_array_equal(everything[stream.name][key], values)
    fit, test = np.array([3, 0, 7]), np.array([5, 2])
    view = split_pack(tiny_pack, tiny_settings, streams, everything, fit, test)
    assert [m.id for m in view.fitted] == [tiny_pack.members[i].id for i in fit]
    for stream in streams:
        for held_out, rows in ((False, fit), (True, test)):
            found = view.evidence(stream, None, held_out=held_out)
            for key, values in found.items():
                np.testing.assert_array_equal(values, tiny_pack.baseline[stream.name][key][rows])


def _no_cache():  # type: ignore[no-untyped-def]
    from ti_core.system.cache import Cache

    return Cache(None)


def test_shift_runs_no_model_and_reports_every_split(
    two_architectures: Pack, tiny_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(self: Pack, member: Member) -> None:
        raise AssertionError("a model was run")

    monkeypatch.setattr(Pack, "scores", never)
    found = shift(two_architectures, tiny_settings)
    left_out = {(r.by, r.left_out) for r in found.rows}
    assert {("recipe", "standard"), ("recipe", "together"), ("architecture", "even")} <= left_out
    assert {r.row.streams for r in found.rows} == {"saliency", "joint"}
    for r in found.rows:
        assert 0 <= r.row.low <= r.row.auc <= r.row.high <= 1
        if r.left_out == "together":
            own = [
                s
                for s in found.rows
                if (s.by, s.row.streams, s.row.kind) == (r.by, r.row.streams, r.row.kind)
            ]
            assert r.row.trojaned == sum(s.row.trojaned for s in own if s.left_out != "together")
    assert any("adversarial" in note for note in found.notes)
    text = shift_text(two_architectures, found)
    assert "every recipe in turn" in text and "clean counterpart" in text


def test_a_pack_of_one_recipe_and_architecture_says_so(tiny_pack: Pack, tiny_settings: Settings) -> None:
    one = with_members(tiny_pack, [replace(m, family="standard") for m in tiny_pack.members])
    with pytest.raises(PackError, match=r"one recipe only \(standard\).*one architecture only \(mlp\)"):
        shift(one, tiny_settings)
    with pytest.raises(SettingsError, match="held-out"):
        shift(tiny_pack, tiny_settings, members="some")
