"""An opinion stands beside the statistics of a pack's members as long as all that these rest on is as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ti_core.methods import METHODS, method_class
from ti_core.methods import beside as module
from ti_core.methods.beside import TABLES, beside, measured
from ti_core.methods.inputs import digest_of_learning, digest_of_statistics
from ti_core.methods.opinion import Opinion
from ti_core.methods.published.strip import Strip, StripRates
from ti_core.reference.pack import Pack, load_pack

ONE = Opinion("strip", 0.5, None, None, "A sentence.")


def changed(pack: Pack, **record: Any) -> Pack:
    """The pack with another record, as after a change of its evidence or its files."""
    return replace(pack, record={**pack.record, **record}, sha256="1" * 64)


def table(pack: Pack, folder: Path) -> Path:
    """A record of the pack's held-out members, whose statistics are 0, 0.1, 0.2 and so on."""
    held_out = [m for m in pack.members if m.held_out]
    ids = [m.id for m in held_out]
    members = [
        {
            "id": m.id,
            "kind": "patch" if m.trojaned else "clean",
            "ours": False,
            "statistics": {"strip": i / 10, "mntd": 0.5},
            "called": ["mntd"],
        }
        for i, m in enumerate(held_out)
    ]
    names = ("strip", "mntd")
    record = {
        "pack": pack.name,
        "sha256": pack.sha256,
        "versions": {name: method_class(name).version for name in names},
        "rests_on": {name: digest_of_statistics(pack, method_class(name)(), ids) for name in names},
        "rows": [{"method": name, "kind": "all"} for name in names],
        "members": members,
    }
    (folder / f"{pack.name}.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Pack]]:
    """The packs that can be loaded by their names."""
    packs: list[Pack] = []
    monkeypatch.setattr(module, "load_pack", lambda name: next(p for p in packs if p.name == name))
    module._pack.cache_clear()
    yield packs
    module._pack.cache_clear()


def test_an_opinion_is_placed_among_members_of_both_sorts(
    tiny_pack: Pack, tmp_path: Path, known: list[Pack]
) -> None:
    known.append(tiny_pack)
    found = beside(ONE, tiny_pack.name, tiny_pack.sha256, table(tiny_pack, tmp_path))
    held_out = [m for m in tiny_pack.members if m.held_out]
    assert found is not None
    assert found.clean == tuple(i / 10 for i, m in enumerate(held_out) if not m.trojaned)
    assert found.backdoored == tuple(i / 10 for i, m in enumerate(held_out) if m.trojaned)
    placed = module.Beside((0.1, 0.6), (0.2, 0.4, 0.9))
    assert placed.shares_below(0.5) == (1 / 2, 2 / 3)
    assert placed.sentence(0.5) == (
        "The statistic is higher than that of 50% of 2 clean networks and of 67% of 3 backdoored ones."
    )


def test_other_evidence_and_another_detector_leave_the_figures_as_they_are(
    tiny_pack: Pack, tmp_path: Path, known: list[Pack]
) -> None:
    folder = table(tiny_pack, tmp_path)
    files = {**tiny_pack.record["files"], "baseline.npz": "2" * 64, "saliency.cbm": "3" * 64}
    later = changed(tiny_pack, files=files, performance={}, table=[])
    known.append(later)
    assert set((measured(later, folder) or {})["versions"]) == {"strip", "mntd"}
    assert beside(ONE, later.name, later.sha256, folder) is not None
    # A report of the former pack, whose record is gone, is not compared.
    assert beside(ONE, later.name, tiny_pack.sha256, folder) is None


def test_a_fitted_member_more_changes_what_is_learnt_and_no_other_statistic(
    tiny_pack: Pack, tmp_path: Path, known: list[Pack]
) -> None:
    folder = table(tiny_pack, tmp_path)
    fitted = next(m for m in tiny_pack.members if not m.held_out)
    later = replace(changed(tiny_pack), members=(*tiny_pack.members, replace(fitted, id="more")))
    known.append(later)
    found = measured(later, folder)
    assert found is not None and list(found["versions"]) == list(found["rests_on"]) == ["strip"]
    assert [row["method"] for row in found["rows"]] == ["strip"]
    assert all(set(m["statistics"]) == {"strip"} and m["called"] == [] for m in found["members"])
    assert beside(ONE, later.name, later.sha256, folder) is not None
    assert beside(replace(ONE, method="mntd"), later.name, later.sha256, folder) is None


def test_other_images_weights_members_versions_and_settings_end_what_was_measured(
    tiny_pack: Pack, tmp_path: Path, known: list[Pack], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, files = table(tiny_pack, tmp_path), tiny_pack.record["files"]
    others = [
        changed(tiny_pack, files={**files, "images.npz": "2" * 64}),
        changed(tiny_pack, files={**files, "zoo.safetensors": "2" * 64}),
        replace(tiny_pack, members=tuple(m for m in tiny_pack.members if not m.held_out), sha256="1" * 64),
        replace(
            tiny_pack, members=tuple(replace(m, label="blend") for m in tiny_pack.members), sha256="1" * 64
        ),
    ]
    for other in others:
        known[:] = [other]
        module._pack.cache_clear()
        assert measured(other, folder) is None
        assert beside(ONE, other.name, other.sha256, folder) is None
    known[:] = [tiny_pack]
    module._pack.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(Strip, "version", Strip.version + 1)
        assert beside(ONE, tiny_pack.name, tiny_pack.sha256, folder) is None
    digests = {
        digest_of_statistics(tiny_pack, Strip(protocol), [])
        for protocol in (StripRates(), StripRates(overlays=3), replace(StripRates(), overlays=3))
    }
    assert len(digests) == 2
    assert beside(ONE, tiny_pack.name, tiny_pack.sha256, folder) is not None


def test_what_is_learnt_rests_on_the_fitted_members_alone(tiny_pack: Pack) -> None:
    mntd = method_class("mntd")()
    held_out = next(m for m in tiny_pack.members if m.held_out)
    fewer = replace(tiny_pack, members=tuple(m for m in tiny_pack.members if m is not held_out))
    assert digest_of_learning(fewer, mntd) == digest_of_learning(tiny_pack, mntd)
    fitted = (
        tuple(m for m in tiny_pack.members if m.held_out)
        + tuple(m for m in tiny_pack.members if not m.held_out)[1:]
    )
    assert digest_of_learning(replace(tiny_pack, members=fitted), mntd) != digest_of_learning(tiny_pack, mntd)
    assert digest_of_statistics(tiny_pack, mntd, ["nobody"]) is None


def test_packs_and_methods_without_a_record_have_no_statistics(
    tiny_pack: Pack, tmp_path: Path, known: list[Pack]
) -> None:
    known.append(tiny_pack)
    folder, name, sha256 = table(tiny_pack, tmp_path), tiny_pack.name, tiny_pack.sha256
    assert beside(ONE, "others", sha256, folder) is None
    assert beside(replace(ONE, method="abs"), name, sha256, folder) is None
    (tmp_path / "inner").mkdir()
    stranger = changed(tiny_pack, name=f"../{name}")
    assert measured(stranger, tmp_path / "inner") is None
    assert beside(ONE, stranger.name, sha256, tmp_path / "inner") is None


@pytest.mark.parametrize("path", sorted(TABLES.glob("*.json")), ids=lambda p: p.stem)
def test_a_measured_table_is_of_a_bundled_pack_and_holds(path: Path) -> None:
    record, pack = json.loads(path.read_text()), load_pack(path.stem)
    assert record["pack"] == pack.name
    held = measured(pack)
    again = (
        f"run python -m benchmarks.method_records --pack {pack.name}, with the methods that are asked anew"
    )
    assert held is not None and held["versions"] == record["versions"], again
    held_out = {m.id: m.trojaned for m in pack.members if m.held_out}
    for member in record["members"]:
        assert held_out[member["id"]] == (member["kind"] != "clean")
    for name, version in record["versions"].items():
        assert name in METHODS and method_class(name).version == version
        rows = [r for r in record["rows"] if r["method"] == name]
        assert rows and all(r["low"] <= r["auc"] <= r["high"] for r in rows)
        counted = [m["kind"] for m in record["members"] if name in m["statistics"]]
        assert (rows[0]["kind"], rows[0]["clean"]) == ("all", counted.count("clean"))
        assert rows[0]["trojaned"] == len(counted) - counted.count("clean")
