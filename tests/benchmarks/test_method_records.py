"""The records of other methods: what is asked again replaces the former one, and the rest stays while it holds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import method_records
from benchmarks.method_records import combined, main, written
from ti_core.evaluation.methods import measure_methods
from ti_core.methods.beside import measured
from ti_core.reference.pack import Pack
from ti_core.system.cache import Cache


def test_methods_are_joined_member_by_member_in_the_order_of_the_registry(
    tiny_pack: Pack, tmp_path: Path
) -> None:
    held_out = [m.id for m in tiny_pack.members if m.held_out]
    ours = {one: number % 2 == 0 for number, one in enumerate(held_out)}
    few, whole = (
        measure_methods(tiny_pack, [name], tiny_pack.settings, Cache(None), None, count=count, ours=ours)
        for name, count in (("strip", 1), ("linear_weights", None))
    )
    former = combined(tiny_pack, None, few, ours)
    both = combined(tiny_pack, former, whole, ours)
    assert list(both["versions"]) == list(both["rests_on"]) == ["linear_weights", "strip"]
    assert [m["id"] for m in both["members"]] == held_out
    assert {m["id"]: m["ours"] for m in both["members"]} == ours
    for table, name in ((few, "strip"), (whole, "linear_weights")):
        said = {m["id"]: m["statistics"][name] for m in both["members"] if name in m["statistics"]}
        assert said == {m.id: m.statistics[name] for m in table.members}
        assert [r for r in both["rows"] if r["method"] == name] == [r.as_dict() for r in table.rows]
    assert json.loads(written(both)) == both
    (tmp_path / "bars.json").write_text(written(both))
    assert measured(tiny_pack, tmp_path) == both
    # Asked again, a method has the new statistics alone.
    again = replace(few, members=few.members[:1])
    assert [m["id"] for m in combined(tiny_pack, former, again, ours)["members"]] == [few.members[0].id]


def test_without_methods_the_command_makes_our_verdicts_anew_and_drops_what_no_longer_holds(
    tiny_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(method_records, "load_pack", lambda name: tiny_pack)
    main(["--pack", "bars", "--methods", "strip", "--count", "1"], tmp_path)
    path = tmp_path / "bars.json"
    record = json.loads(path.read_text())
    assert capsys.readouterr().out == "bars: strip.\n"
    stale = {"sha256": "0" * 64, "members": [m | {"ours": not m["ours"]} for m in record["members"]]}
    path.write_text(json.dumps(record | stale))
    main(["--pack", "bars"], tmp_path)
    assert json.loads(path.read_text()) == record
    path.write_text(json.dumps(record | {"rests_on": {"strip": "0" * 64}}))
    main(["--pack", "bars"], tmp_path)
    assert json.loads(path.read_text())["versions"] == {}
