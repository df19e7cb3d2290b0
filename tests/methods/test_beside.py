"""An opinion stands beside the statistics of a pack's members where these were measured, and alone elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ti_core.methods import METHODS, method_class
from ti_core.methods.beside import TABLES, beside, measured
from ti_core.methods.opinion import Opinion
from ti_core.reference.pack import load_pack

ONE = Opinion("strip", 0.5, None, None, "A sentence.")


def table(folder: Path, version: int = 1) -> Path:
    rows = [("clean", 0.1), ("clean", 0.6), ("patch", 0.4), ("blend, all to all", 0.9), ("patch", 0.2)]
    members = [{"id": str(i), "kind": k, "statistics": {"strip": v}} for i, (k, v) in enumerate(rows)]
    record = {"sha256": "a" * 64, "versions": {"strip": version, "mm_bd": 1}, "members": members}
    (folder / "toys.json").write_text(json.dumps(record))
    return folder


def test_an_opinion_is_placed_among_members_of_both_sorts(tmp_path: Path) -> None:
    found = beside(ONE, "toys", "a" * 64, table(tmp_path))
    assert found is not None and found.clean == (0.1, 0.6) and found.backdoored == (0.2, 0.4, 0.9)
    assert found.shares_below(0.5) == (1 / 2, 2 / 3)
    assert found.sentence(0.5) == (
        "The statistic is higher than that of 50% of 2 clean networks and of 67% of 3 backdoored ones."
    )


def test_other_packs_versions_and_methods_have_no_statistics(tmp_path: Path) -> None:
    folder = table(tmp_path)
    assert beside(ONE, "toys", "b" * 64, folder) is None
    assert beside(ONE, "others", "a" * 64, folder) is None
    assert beside(Opinion("mm_bd", 1.0, 1.3, False, "."), "toys", "a" * 64, folder) is None
    assert beside(Opinion("abs", 1.0, 0.9, True, "."), "toys", "a" * 64, folder) is None
    assert beside(ONE, "toys", "a" * 64, table(tmp_path, version=2)) is None
    (tmp_path / "inner").mkdir()
    assert measured("../toys", "a" * 64, tmp_path / "inner") is None
    assert measured("toys", "a" * 64, tmp_path) is not None


@pytest.mark.parametrize("path", sorted(TABLES.glob("*.json")), ids=lambda p: p.stem)
def test_a_measured_table_is_of_a_bundled_pack(path: Path) -> None:
    record, pack = json.loads(path.read_text()), load_pack(path.stem)
    assert record["pack"] == pack.name
    if measured(pack.name, pack.sha256) is not None:
        held_out = {m.id: m.trojaned for m in pack.members if m.held_out}
        assert {m["id"]: m["kind"] != "clean" for m in record["members"]} == held_out
    for name, version in record["versions"].items():
        assert name in METHODS and method_class(name).version == version
        assert all(r["low"] <= r["auc"] <= r["high"] for r in record["rows"] if r["method"] == name)
