"""Second opinions on held-out members: areas, shares at the published threshold, and resuming."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ti_core.cli.main import main
from ti_core.errors import PackError
from ti_core.evaluation import methods as module
from ti_core.evaluation.measure import Measurement
from ti_core.evaluation.methods import MethodTable, kind_of, measure_methods, some
from ti_core.methods.base import Method, Source, Subject
from ti_core.methods.opinion import Opinion
from ti_core.reference.pack import Pack
from ti_core.settings import Settings
from ti_core.system.cache import Cache


class Oracle(Method):
    """Knows the truth of a member by the digest of its weights, and errs on the first clean one."""

    name, title = "mm_bd", "Oracle"
    source = Source("nobody", 2020, "nowhere", "https://example.org", "everything")
    sees, measures, threshold = "all", "truth", 0.5
    truth: dict[float, tuple[float, int | None]]
    asked = 0
    protocol = Settings()

    def opinion(self, subject: Subject, progress: Any = None) -> Opinion:
        type(self).asked += 1
        statistic, target = self.truth[_sum(subject)]
        return self.said(statistic, "The truth.", target)


def _sum(subject: Any) -> float:
    return float(sum(p.double().abs().sum() for p in subject.scores.network.parameters()))


@pytest.fixture
def oracle(tiny_pack: Pack, monkeypatch: pytest.MonkeyPatch) -> type[Oracle]:
    members = [m for m in tiny_pack.members if m.held_out]
    truth = {
        _sum(Subject(tiny_pack.scores(m), tiny_pack.images, tiny_pack.labels, ("a",))): (
            float(m.trojaned),
            m.target_class,
        )
        for m in members
    }
    first = next(m for m in members if not m.trojaned)
    truth[_sum(Subject(tiny_pack.scores(first), tiny_pack.images, tiny_pack.labels, ("a",)))] = (0.9, None)
    monkeypatch.setattr(Oracle, "truth", truth, raising=False)
    monkeypatch.setattr(Oracle, "asked", 0)
    monkeypatch.setattr(module, "method_class", lambda name: Oracle)
    return Oracle


def test_the_table_counts_what_the_method_says_and_a_second_run_asks_nothing(
    tiny_pack: Pack, oracle: type[Oracle], tmp_path: Path
) -> None:
    held_out = [m for m in tiny_pack.members if m.held_out]
    clean = sum(not m.trojaned for m in held_out)
    cache = Cache(tmp_path / "cache")
    table = measure_methods(tiny_pack, ["mm_bd"], tiny_pack.settings, cache, None)
    assert oracle.asked == len(held_out)
    rows = {r.kind: r for r in table.rows}
    assert set(rows) == {"all", *(kind_of(m) for m in held_out if m.trojaned)}
    whole = rows["all"]
    assert (whole.clean, whole.trojaned) == (clean, len(held_out) - clean)
    # One clean member lies below all backdoored ones, since these have 1.
    assert whole.auc == 1.0 and whole.found == 1.0 and whole.target == 1.0
    assert whole.false_alarms == pytest.approx(1 / clean)
    assert measure_methods(tiny_pack, ["mm_bd"], tiny_pack.settings, cache, None) == table
    assert oracle.asked == len(held_out)
    missed = {m.id for m in table.members if m.kind != "clean" and not m.ours}
    assert set(table.beyond("mm_bd")) == missed
    cache.close()


def test_so_many_of_each_kind_are_the_same_in_every_run_and_half_of_them_clean(
    tiny_pack: Pack, oracle: type[Oracle]
) -> None:
    held_out = [m for m in tiny_pack.members if m.held_out]
    assert some(held_out, None) == held_out == some(held_out, len(held_out))
    chosen = some(held_out, 1)
    kinds = [kind_of(m) for m in chosen if m.trojaned]
    assert sorted(kinds) == sorted({kind_of(m) for m in held_out if m.trojaned})
    clean = sum(not m.trojaned for m in held_out)
    assert len(chosen) - len(kinds) == min(clean, len(kinds))
    numbers = [held_out.index(m) for m in chosen]
    assert numbers == sorted(numbers) and chosen == some(held_out, 1)
    # Spread evenly: of 9 of one sort, every third.
    many = [replace(held_out[0], id=str(i), label="blend") for i in range(9)]
    assert [m.id for m in some(many, 3)] == ["0", "3", "6"]
    table = measure_methods(tiny_pack, ["mm_bd"], tiny_pack.settings, Cache(None), None, count=1)
    assert oracle.asked == len(chosen) and [m.id for m in table.members] == [m.id for m in chosen]
    assert all(r.trojaned == 1 for r in table.rows if r.kind != "all")


def test_a_method_that_cannot_judge_has_no_rows(
    tiny_pack: Pack, oracle: type[Oracle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "unmet", lambda method, subject: "It needs more.")
    table = measure_methods(tiny_pack, ["mm_bd"], tiny_pack.settings, Cache(None), None)
    assert table.rows == () and oracle.asked == 0 and not any(m.statistics for m in table.members)


def test_a_method_that_is_not_learnt_yet_and_a_pack_without_held_out_members_are_said(
    tiny_pack: Pack,
) -> None:
    with pytest.raises(
        PackError, match="MNTD must be learnt on pack 'bars' first: run python -m ti_core pack"
    ):
        measure_methods(tiny_pack, ["mntd"], tiny_pack.settings, Cache(None), None)
    fitted = replace(tiny_pack, members=tuple(m for m in tiny_pack.members if not m.held_out))
    with pytest.raises(PackError, match="holds no member out from fitting"):
        measure_methods(fitted, ["strip"], tiny_pack.settings, Cache(None), None)


def test_the_command_writes_the_table_in_the_worker(
    tiny_pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "methods.json"
    asked = ["--methods", "linear_weights", "--json", str(out)]
    assert main(["evaluate", "--pack", str(tiny_pack.folder), *asked]) == 0
    printed = capsys.readouterr().out
    assert "linear_weights" in printed and "false alarms" in printed
    record = json.loads(out.read_text())
    wanted = Measurement("methods", methods=("linear_weights",))
    table = wanted.from_json(record, "bars")
    assert isinstance(table, MethodTable) and table.sha256 == tiny_pack.sha256
    assert json.loads(wanted.as_json(table)) == record
    assert {r.method for r in table.rows} == {"linear_weights"}
    statistics = np.array([m.statistics["linear_weights"] for m in table.members])
    assert len(statistics) == len([m for m in tiny_pack.members if m.held_out])
    assert ((statistics >= 0) & (statistics <= 1)).all()
    few = [*asked[:2], "--count", "1", "--json", str(out)]
    assert main(["evaluate", "--pack", str(tiny_pack.folder), *few]) == 0
    fewer = json.loads(out.read_text())
    assert all(r["trojaned"] == 1 for r in fewer["rows"] if r["kind"] != "all")
    assert fewer["rests_on"] != record["rests_on"]
    capsys.readouterr()
    assert main(["evaluate", "--pack", str(tiny_pack.folder), "--count", "1"]) == 2
    assert "--count says how many members --methods asks about" in capsys.readouterr().err
