from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from ti_core.errors import PackError
from ti_core.evaluation import pack_summary as contents
from ti_core.reference.pack import Pack, load_pack
from ti_core.reference.verify import check_files


def with_record(pack: Pack, **changes: object) -> Pack:
    return dataclasses.replace(pack, record={**pack.record, **changes})


def test_groups_count_every_member_once_and_begin_with_the_clean_ones(tiny_pack: Pack) -> None:
    groups = contents.groups(tiny_pack)
    assert groups[0].label == "clean" and {g.label for g in groups} == {"clean", "blend", "patch"}
    assert sum(g.fitted + g.held_out for g in groups) == len(tiny_pack.members)
    assert sum(g.held_out for g in groups) == len(tiny_pack.where(fitted=False))
    ids = [i for g in groups for i in g.ids]
    assert sorted(ids) == sorted(m.id for m in tiny_pack.members)
    for group in groups:
        assert len(group.accuracy) == len(group.ids)
        assert len(group.success) == (0 if group.label == "clean" else len(group.ids))


def test_architectures_and_labels_add_up(tiny_pack: Pack) -> None:
    found = contents.architectures(tiny_pack)
    assert list(found) == ["mlp"]
    assert sum(found["mlp"].values()) == len(tiny_pack.members)


def test_recipes_say_the_range_of_each_choice(tiny_pack: Pack) -> None:
    members = list(tiny_pack.members)
    own = [m for m in members if (m.label, m.family) == ("patch", "standard")]
    line = next(r for r in contents.recipes(tiny_pack) if (r.label, r.family) == ("patch", "standard"))
    sides = [m.trigger[k] for m in own if m.trigger for k in ("height", "width")]
    low, high = min(sides), max(sides)
    assert line.members == len(own)
    assert line.choices["patch_sides"] == (f"{low}" if low == high else f"{low} to {high}")
    assert line.choices["poisoning_rate"] == "0.1" and "base" not in line.choices


def test_a_choice_that_only_some_made_says_so(tiny_pack: Pack) -> None:
    first, *others = [m for m in tiny_pack.members if m.label == "clean"]
    changed = dataclasses.replace(
        tiny_pack,
        members=tuple(
            dataclasses.replace(m, family="standard", recipe={"weight_decay": 0.01} if m is first else {})
            for m in (first, *others)
        ),
    )
    (line,) = contents.recipes(changed)
    assert line.choices["weight_decay"] == "none or 0.01"


def test_table_one_is_read_from_the_record_or_refused_in_a_sentence(tiny_pack: Pack) -> None:
    rows = contents.table(tiny_pack)
    assert {r.kind for r in rows} == {"blend", "patch"} and all(r.low <= r.auc <= r.high for r in rows)
    with pytest.raises(PackError, match="records no evaluation"):
        contents.table(with_record(tiny_pack, table=[]))
    with pytest.raises(PackError, match="in another form"):
        contents.table(with_record(tiny_pack, table=[{"auc": 1.0}]))


def test_evidence_of_another_version_is_named(tiny_pack: Pack) -> None:
    assert contents.outdated(tiny_pack) == []
    versions = {**tiny_pack.record["stream_versions"], "universal": 0}
    assert contents.outdated(with_record(tiny_pack, stream_versions=versions)) == ["universal"]
    with pytest.raises(PackError, match="does not say how its evidence was made"):
        contents.outdated(with_record(tiny_pack, settings=None))


def test_examples_are_spread_over_the_members_and_classes(tiny_pack: Pack) -> None:
    own = [m for m in tiny_pack.members if m.label == "patch"]
    chosen = contents.examples(tiny_pack, "patch", 3)
    assert [m.id for m in (chosen[0], chosen[-1])] == [own[0].id, own[-1].id] and len(chosen) == 3
    assert contents.examples(tiny_pack, "clean", 3) == []
    found = contents.example_of_each_class(tiny_pack, which=1)
    assert list(found) == list(range(len(tiny_pack.class_names)))
    assert all(int(tiny_pack.labels[i]) == c for c, i in found.items())
    assert contents.example_of_each_class(tiny_pack, which=10**6).keys() == found.keys()


def test_an_altered_and_a_missing_file_are_each_told(tiny_pack: Pack, tmp_path: Path) -> None:
    assert check_files(tiny_pack) == []
    copy = tmp_path / "bars"
    shutil.copytree(tiny_pack.folder, copy)
    with (copy / "baseline.npz").open("ab") as file:
        file.write(b"x")
    (copy / "images.npz").unlink()
    problems = check_files(load_pack(copy))
    assert len(problems) == 2
    assert any("baseline.npz is not the file" in p for p in problems) and any(
        "lacks its file images.npz" in p for p in problems
    )
