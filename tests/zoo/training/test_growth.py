"""A zoo that grows keeps the networks that are trained."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ti_core.cli.main import main
from ti_core.errors import SettingsError
from ti_core.zoo.packs.own import plan_for
from ti_core.zoo.plan import colour
from ti_core.zoo.plan.draw import hold_out, plan
from ti_core.zoo.plan.recipe import Recipe
from ti_core.zoo.training.data import ImageData, load_data
from ti_core.zoo.training.growth import (
    Plan,
    digest_of_images,
    grown,
    keep_plan,
    reused,
    settled,
)
from ti_core.zoo.training.members import keep_record, recipe_digest

GREY = (1, 12, 12)


@pytest.fixture(scope="module")
def data(tiny_data: Path) -> ImageData:
    return load_data(tiny_data)


def of_count(data: ImageData, count: int, **changes: Any) -> Plan:
    return replace(Plan(digest_of_images(data), ("mlp:hidden=8",), 0, (count,)), **changes)


def train(recipes: list[Recipe], zoo: Path) -> None:
    """Records as the training leaves them, without its work."""
    zoo.mkdir(exist_ok=True)
    for recipe in recipes:
        measured = {"clean_accuracy": 0.9, "attack_success": None if recipe.label == "clean" else 1.0}
        record = recipe.as_dict() | measured | {"plan_digest": recipe_digest(recipe)}
        keep_record(record, zoo / f"{recipe.id}.json")


@pytest.mark.parametrize("written", [True, False], ids=["of this version", "of an earlier version"])
def test_a_raised_count_keeps_what_is_trained(written: bool, data: ImageData, tmp_path: Path) -> None:
    def draw(count: int, seed: int) -> list[Recipe]:
        return plan_for(data, ["mlp:hidden=8"], count, seed)

    zoo = tmp_path / "zoo"
    first = grown(zoo, of_count(data, 16), draw)
    assert first == draw(16, 0)
    train(first, zoo)
    if written:
        keep_plan(zoo, of_count(data, 16))
    second = grown(zoo, of_count(data, 40), draw)
    assert {r.id for r in first} <= {r.id for r in second} and len({r.id for r in second}) == len(second)
    members = [r for r in second if r.family != "base"]
    assert len(members) == 40 and reused(second, zoo) == {r.id for r in first}
    assert Counter(r.label for r in members) == {"clean": 20, "blend": 10, "patch": 10}
    by_id = {r.id: r for r in second}
    for r in members:
        assert r.base is None or (by_id[r.base].family == "base" and by_id[r.base].group == r.group)
    held = {r.group for r in members if r.held_out}
    assert not held & {r.group for r in members if not r.held_out}
    assert all(r.held_out == by_id[r.id].held_out for r in first), "a network stays on its side of the split"
    keep_plan(zoo, settled(zoo, of_count(data, 40), draw))
    assert grown(zoo, of_count(data, 40), draw) == second
    assert grown(zoo, of_count(data, 16), draw) == second, "what is trained stays a part"
    third = grown(zoo, of_count(data, 48), draw)
    assert len({r.id for r in third}) == len(third) and {r.id for r in second} < {r.id for r in third}


def test_a_zoo_of_other_images_is_not_taken_for_this_one(data: ImageData, tmp_path: Path) -> None:
    def draw(count: int, seed: int) -> list[Recipe]:
        return plan_for(data, ["mlp:hidden=8"], count, seed)

    keep_plan(tmp_path, of_count(data, 16))
    others = replace(data, x_train=255 - data.x_train)
    for wanted, words in (
        (of_count(data, 16, images=digest_of_images(others)), "other images"),
        (of_count(data, 16, seed=1), "another seed"),
        (of_count(data, 16, architectures=("lenet5",)), "other architectures"),
        (of_count(data, 16, way="bases"), "another plan"),
        (of_count(data, 16, bases=("base-000",)), "other bases"),
        (of_count(data, 16, starts=("b/one",)), "other networks to begin with"),
    ):
        with pytest.raises(SettingsError, match=f"trained for {words}; give another folder with --(zoo|out)"):
            grown(tmp_path, wanted, draw)
    for text in ("{", "[]", "7", '{"images": "x", "architectures": [], "seed": 0, "counts": []}'):
        (tmp_path / "zoo.plan").write_text(text)
        with pytest.raises(SettingsError, match="is not the plan of a zoo"):
            grown(tmp_path, of_count(data, 16), draw)


def test_a_damaged_record_is_trained_anew(data: ImageData, tmp_path: Path) -> None:
    recipes = plan_for(data, ["mlp:hidden=8"], 8, 0)
    train(recipes, tmp_path)
    for text in ("", "[1]", "{}"):
        (tmp_path / f"{recipes[0].id}.json").write_text(text)
        assert reused(recipes, tmp_path) == {r.id for r in recipes[1:]}


def test_members_that_are_held_out_already_count_towards_the_share() -> None:
    first = plan(24, GREY, 4, 0)
    more = [replace(r, id=f"{r.id}-x", group=f"{r.group}-x") for r in plan(48, GREY, 4, 1) if r.base is None]
    all_held = [replace(r, held_out=True) for r in first]
    later = hold_out(more, 1 / 3, np.random.default_rng(0), first)
    for kind in {(r.label, r.family) for r in more}:
        both = [r for r in (*first, *later) if r.base is None and (r.label, r.family) == kind]
        assert sum(r.held_out for r in both) == round(len(both) / 3)
    fewer = hold_out(more, 1 / 3, np.random.default_rng(0), all_held)
    assert sum(r.held_out for r in fewer) < sum(r.held_out for r in later)


class Zoo:
    """``zoo train`` on the bars, without the work of training."""

    def __init__(
        self, folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder, self.data, self.capsys = folder, data, capsys
        self.recipes: list[Recipe] = []
        self.stop_after: int | None = None
        monkeypatch.setattr("ti_core.zoo.training.members.train_zoo", self._train)

    def _train(self, *_: Any, recipes: list[Recipe], **__: Any) -> list[dict[str, Any]]:
        self.recipes = recipes
        train(recipes[: self.stop_after], self.folder)
        return []

    def run(self, *options: str, seed: str = "101") -> str:
        fixed = "zoo", "train", "--data", str(self.data), "--out", str(self.folder), "--seed", seed
        self.code = main([*fixed, *options])
        captured = self.capsys.readouterr()
        return captured.out + captured.err


@pytest.fixture
def zoo(
    tmp_path: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Zoo:
    return Zoo(tmp_path / "zoo", tiny_data, monkeypatch, capsys)


FAMILIES = "--way", "kinds", "--families", "warp,small"


@pytest.mark.parametrize("stopped", [None, 5], ids=["finished", "stopped"])
@pytest.mark.parametrize("written", [True, False], ids=["of this version", "of an earlier version"])
def test_more_of_every_family_are_added(written: bool, stopped: int | None, zoo: Zoo) -> None:
    zoo.stop_after = stopped
    assert "again" not in zoo.run(*FAMILIES, "--count", "9")
    first = zoo.recipes
    assert first == colour.plan_for("bars", 9, GREY, 4, 101, "kinds", families=("warp", "small"))
    if not written:
        (zoo.folder / "kinds101.plan").unlink()
    said = zoo.run(*FAMILIES, "--count", "12")
    assert "The plan grew to 9 + 3 = 12 members of each family; what is trained is kept." in said
    assert f"{stopped or 18} of 24 networks are trained already" in said
    assert zoo.recipes[:18] == first
    added = zoo.recipes[18:]
    assert Counter(r.family for r in added) == {"warp": 3, "small": 3}
    assert all(r.id.startswith("kinds101-") and r.id.endswith("-after9") for r in added)
    assert len({r.seed for r in zoo.recipes}) == 24
    assert sum(r.held_out for r in zoo.recipes) == 8
    zoo.stop_after = None
    assert "+" not in zoo.run(*FAMILIES, "--count", "10").split("trained already")[1]
    again = zoo.run(*FAMILIES, "--count", "12")
    assert "24 of 24 networks are trained already" in again


def test_a_smaller_count_takes_no_network_away(zoo: Zoo) -> None:
    zoo.run(*FAMILIES, "--count", "9")
    said = zoo.run(*FAMILIES, "--count", "8")
    assert "has 9 members of each family already; --count 8 takes none away." in said
    assert "18 of 18" in said and len(zoo.recipes) == 18


@pytest.mark.parametrize(("way", "named"), [("scratch", "zoo"), ("fresh", "fresh101"), ("short", "short")])
def test_a_plan_of_every_way_grows(way: str, named: str, zoo: Zoo) -> None:
    zoo.run("--way", way, "--count", "8")
    first = zoo.recipes
    assert "has 8 members and grows by at least 8; it stays as it is." in zoo.run(
        "--way", way, "--count", "12"
    )
    assert zoo.recipes == first
    said = zoo.run("--way", way, "--count", "16")
    assert f"{len(first)} of {len(zoo.recipes)} networks are trained already" in said
    assert zoo.recipes[: len(first)] == first and len({r.id for r in zoo.recipes}) == 2 * len(first)
    assert json.loads((zoo.folder / f"{named}.plan").read_text())["counts"] == [8, 8]


def test_further_members_of_given_bases_stay_in_the_groups_of_their_bases(zoo: Zoo, tmp_path: Path) -> None:
    there = tmp_path / "there"
    bases = [r for r in colour.plan_for("bars", 16, GREY, 4, 1, "bases") if r.family == "base"]
    train(bases, there)
    for base in bases:
        (there / f"{base.id}.safetensors").write_bytes(b"weights")
    own = "--way", "bases", "--bases", str(there)
    zoo.run(*own, "--count", "8")
    first = zoo.recipes
    said = zoo.run(*own, "--count", "16")
    assert f"{len(first)} of {len(zoo.recipes)} networks are trained already" in said
    assert zoo.recipes[: len(first)] == first and len(zoo.recipes) == 18
    sides = {r.id: (r.group, r.held_out) for r in first if r.family == "base"}
    assert all((r.group, r.held_out) == sides[r.base] for r in zoo.recipes if r.base)


def test_networks_of_another_plan_are_not_overwritten_unsaid(zoo: Zoo) -> None:
    zoo.run("--count", "8")
    said = zoo.run("--count", "8", seed="7")
    assert zoo.code == 2 and "trained for another seed; give another folder with --out" in said
    (zoo.folder / "zoo.plan").unlink()
    zoo.stop_after = 0
    said = zoo.run("--count", "8", seed="7")
    assert zoo.code == 0 and "Trained by other recipes before, and trained again: adversarial-000" in said
