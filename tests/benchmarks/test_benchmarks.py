"""The benchmarks' own arithmetic: a figure in the documentation is no better than what computed it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import further_streams, sizes, table
from benchmarks.batching import Stacked, alike
from benchmarks.costs import exponent
from benchmarks.rounding import Outcome, told
from benchmarks.scan import check, make_models
from benchmarks.table import MODULES, PAGE, Row
from ti_core.classifier import first_pass
from ti_core.classifier.first_pass import FirstPass
from ti_core.loading.digest import digest_of
from ti_core.paper.saliency import saliency_maps
from ti_core.reference.pack import Pack


def test_the_exponent_of_a_power_law_is_found() -> None:
    sizes = [1.0, 2.0, 5.0, 9.0]
    assert exponent(sizes, [3 * s**1.5 for s in sizes]) == pytest.approx(1.5)


def test_a_benchmark_that_runs_again_replaces_its_rows_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "KEPT", tmp_path / "performance.json")
    table.told("start", [Row("a start", "9 s", "1 run")])
    table.told("saliency", [Row("maps", "1.01 times", "5 rounds")])
    table.told("start", [Row("a start", "2 s", "1 run")])
    table.told("gpu", [])
    lines = table.table().splitlines()
    assert [line for line in lines if "9 s" in line] == []
    assert lines.index("| maps | 1.01 times | 5 rounds |") < lines.index("| a start | 2 s | 1 run |")
    assert not any(MODULES["gpu"] in line for line in lines), "without a GPU its rows are left out"


def test_the_page_has_a_place_for_the_table_and_every_benchmark_exists() -> None:
    page = PAGE.read_text()
    assert page.count("<!-- benchmarks -->\n") == 1 and "<!-- /benchmarks -->" in page
    root = Path(table.__file__).parent
    for name in MODULES:
        module = table.command(name).split()[0].removeprefix("benchmarks.")
        assert (root / f"{module}.py").is_file(), name


def test_a_hub_is_a_million_models_on_a_hundred_machines() -> None:
    assert sizes.days(8.64) == pytest.approx(1.0)


def test_a_network_of_many_classes_costs_more_and_a_quick_look_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_pass, "measure", lambda *_, **__: FirstPass(0.001, 0.003))
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 40))
    few, many = (sizes.by_itself(network, 16, classes) for classes in (10, 40))
    assert few["quick"] < few["standard"] <= few["thorough"] and few["standard"] < many["standard"]


def test_models_of_a_scan_differ_and_every_one_needs_one_line(tiny_pack: Pack, tmp_path: Path) -> None:
    count = len(tiny_pack.members) + 3
    make_models(tmp_path / "models", count, str(tiny_pack.folder))
    files = sorted((tmp_path / "models").glob("*.safetensors"))
    assert len({digest_of(f) for f in files}) == len(files) == count
    out = tmp_path / "lines.jsonl"
    lines = [json.dumps({"file": str(f), "verdict": "clean"}) for f in files]
    out.write_text("\n".join(lines) + "\n")
    assert check(out, tmp_path / "models", count) == {"clean": count}
    out.write_text("\n".join(lines[1:]) + "\n")
    with pytest.raises(SystemExit, match="1 models have no line"):
        check(out, tmp_path / "models", count)
    out.write_text("\n".join([*lines, lines[0]]) + "\n")
    with pytest.raises(SystemExit, match="1 have several"):
        check(out, tmp_path / "models", count)


def test_networks_in_one_pass_have_the_maps_that_each_has_alone(tiny_pack: Pack) -> None:
    members = max(alike(tiny_pack.members, 3), key=len)
    networks = [tiny_pack.scores(m) for m in members]
    shown = tiny_pack.images[:5]
    alone = torch.stack([saliency_maps(n, shown) for n in networks])
    torch.testing.assert_close(Stacked(networks).maps(shown, 2), alone, rtol=1e-4, atol=1e-5)


def test_both_precisions_are_compared_network_by_network() -> None:
    def found(verdict: str, probability: float, target: int | None, seconds: float) -> Outcome:
        return Outcome(verdict, probability, target, seconds)

    pairs = [
        ("a", found("clean", 0.1, None, 4.0), found("clean", 0.13, None, 2.0)),
        ("b", found("backdoored", 0.9, 3, 4.0), found("backdoored", 0.9, 4, 2.0)),
        ("c", found("clean", 0.19, None, 4.0), found("inconclusive", 0.2, None, 2.0)),
    ]
    said = told("mnist", pairs)
    assert "3 networks" in said and "at most 0.030 (median 0.0100)" in said and "1/2.00" in said
    assert "change: c clean to inconclusive" in said and "targets that change: 1" in said


def test_further_streams_are_those_that_a_pack_holds_and_does_not_use(tiny_pack: Pack) -> None:
    assert further_streams.further(tiny_pack) == ()
    settings = tiny_pack.settings.with_(
        streams=tuple(s for s in tiny_pack.settings.streams if s != "inversion")
    )
    less = replace(tiny_pack, record=dict(tiny_pack.record) | {"settings": settings.as_dict()})
    assert further_streams.further(less) == ("inversion",)
    own, added = (further_streams.line(less, names) for names in ((), ("inversion",)))
    assert "and nothing:" in own and "and inversion:" in added
    assert own.partition(":")[2] != added.partition(":")[2]
