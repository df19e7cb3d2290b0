from __future__ import annotations

import json

import pytest

from benchmarks import tables
from benchmarks.tables import PAGES, ROOT, SLOW, TABLES, filled
from ti_core.cli.tables import pack_text
from ti_core.evaluation.table import PAPER_AUC
from ti_core.methods.beside import TABLES as RECORDS
from ti_core.reference.pack import Pack


def test_every_table_has_its_place_in_a_page() -> None:
    pages = [(ROOT / name).read_text() for name in PAGES]
    for name in (*TABLES, *SLOW):
        assert sum(f"<!-- {name} -->\n" in page and f"<!-- /{name} -->" in page for page in pages) == 1, name


def test_the_page_of_methods_has_the_figures_of_every_method_that_was_measured() -> None:
    """A record that no longer holds must not empty the tables silently."""
    page = (ROOT / "docs" / "methods.md").read_text()
    figures, beyond = (
        page.split(f"<!-- {name} -->\n")[1].split(f"<!-- /{name} -->")[0]
        for name in ("method-figures", "methods-beyond")
    )
    records = [json.loads(path.read_text()) for path in sorted(RECORDS.glob("*.json"))]
    assert records
    for record in records:
        assert record["versions"]
        assert f"| {record['pack']} | our verdict | " in figures
        for name in record["versions"]:
            assert f"| {record['pack']} | {name} | all | " in figures
            assert f"- {record['pack']}, {name}: " in beyond


def test_what_our_verdict_misses_is_made_anew_where_the_pack_has_changed_since(
    tiny_pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [
        {"id": i, "kind": "patch", "ours": ours, "called": ["strip"]}
        for i, ours in (("a", True), ("b", False))
    ]
    record = {"sha256": tiny_pack.sha256, "versions": {"strip": 1}, "members": members}
    monkeypatch.setattr(tables, "pack_names", lambda: ["bars"])
    monkeypatch.setattr(tables, "load_pack", lambda name: tiny_pack)
    monkeypatch.setattr(tables, "measured", lambda pack: record)
    monkeypatch.setattr(tables, "called_by_ours", lambda pack, settings, cache: {"a": False, "b": True})
    assert tables.methods_beyond() == "- bars, strip: b."
    record["sha256"] = "0" * 64
    assert tables.methods_beyond() == "- bars, strip: a."


def test_the_best_other_method_is_one_asked_about_the_same_networks(
    tiny_pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = next(r for r in tiny_pack.record["table"] if (r["streams"], r["family"]) == ("joint", "all"))
    own = tables._what(ours)
    same = {"kind": own, "clean": ours["clean"], "trojaned": ours["trojaned"], "low": 0.0, "high": 1.0}
    rows = [
        same | {"method": "strip", "auc": ours["auc"] / 2},
        same | {"method": "mntd", "auc": ours["auc"] / 3},
        same | {"method": "abs", "auc": 2.0, "clean": ours["clean"] + 1},
        same | {"method": "aeva", "auc": 2.0, "kind": "another"},
    ]
    monkeypatch.setattr(tables, "pack_names", lambda: ["bars"])
    monkeypatch.setattr(tables, "load_pack", lambda name: tiny_pack)
    monkeypatch.setattr(tables, "measured", lambda pack: {"rows": rows})
    (line,) = tables.methods_best().splitlines()[2:]
    assert line.startswith(f"| bars | {own} | {ours['trojaned']}, {ours['clean']} | {ours['auc']:.3f} (")
    assert f"| strip {ours['auc'] / 2:.3f} (0.000 to 1.000) | ours |" in line
    rows[0]["auc"] = 1.5
    assert tables.methods_best().splitlines()[2].endswith("| strip 1.500 (0.000 to 1.000) | strip |")


def test_filling_a_page_touches_only_what_stands_between_the_markers() -> None:
    page = "before\n<!-- x -->\nold\n<!-- /x -->\nafter <!-- y -->\nkept\n<!-- /y -->\n"
    made = filled(page, {"x": lambda: "| a |\n| b |"})
    assert made == "before\n<!-- x -->\n| a |\n| b |\n<!-- /x -->\nafter <!-- y -->\nkept\n<!-- /y -->\n"
    assert filled(made, {"x": lambda: "| a |\n| b |"}) == made


def test_the_papers_figures_have_its_means() -> None:
    """Sec. 5.1 of the paper: .84 on average for blends, .57 to .59 for patches, over the four data sets."""
    blend, patch = (sum(row[kind] for row in PAPER_AUC.values()) / 4 for kind in ("blend", "patch"))
    assert blend == pytest.approx(0.84, abs=0.005) and patch == pytest.approx(0.59, abs=0.005)


def test_a_pack_is_described_with_its_architectures(tiny_pack: Pack) -> None:
    text = pack_text(tiny_pack)
    assert tiny_pack.sha256 in text and f"{len(tiny_pack.members)} mlp" in text
