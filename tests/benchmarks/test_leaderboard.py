"""The comparison of detectors: figures in closed form, wrong detectors, and the leaderboard file."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import leaderboard
from tests.documentation.blocks import blocks
from ti_core.errors import PackError, SettingsError
from ti_core.evaluation.benchmark import (
    OURS,
    Entry,
    Network,
    entry,
    held_out,
    measure,
    name_of_held_out,
    ours,
    ranked,
)
from ti_core.evaluation.measure import Measurement
from ti_core.evaluation.rates import cross_entropy
from ti_core.methods.base import Subject
from ti_core.reference.pack import Pack
from ti_core.system.cache import Cache

LN2 = math.log(2)


class Undecided:
    """Says one half of every network."""

    def probability(self, subject: Subject) -> float:
        return 0.5


class Broken:
    """Has no figure."""

    def probability(self, subject: Subject) -> float:
        return math.nan


class Knowing:
    """Was told the kinds of the networks."""

    def __init__(self, kinds: dict[int, str]) -> None:
        self.kinds = kinds

    def probability(self, subject: Subject) -> float:
        return float(self.kinds[id(subject)] != "clean")


@pytest.fixture(scope="module")
def networks(tiny_pack: Pack) -> list[Network]:
    return list(held_out(tiny_pack))


def test_one_half_costs_the_logarithm_of_two(tiny_pack: Pack, networks: list[Network]) -> None:
    found = measure(Undecided(), networks, name_of_held_out(tiny_pack), tiny_pack)
    assert found.key == ("Undecided", "held-out members of bars") and found.pack_sha256 == tiny_pack.sha256
    for row in found.rows:
        assert row.auc == 0.5 and row.auc_low < 0.5 < row.auc_high
        assert (row.cross_entropy, row.cross_entropy_low, row.cross_entropy_high) == pytest.approx((LN2,) * 3)
    whole, *kinds = found.rows
    assert whole.kind == "all" and whole.clean + whole.trojaned == len(networks) == len(found.figures)
    assert sum(row.trojaned for row in kinds) == whole.trojaned
    assert {row.kind for row in kinds} == {n.kind for n in networks} - {"clean"}


def test_who_knows_everything_has_an_area_of_one_and_no_loss(
    tiny_pack: Pack, networks: list[Network]
) -> None:
    knowing = Knowing({id(n.subject): n.kind for n in networks})
    shares: list[float] = []
    whole = measure(knowing, networks, "held out", tiny_pack, shares.append).rows[0]
    assert (whole.auc, whole.auc_high) == (1.0, 1.0) and whole.auc_low < 1
    assert whole.cross_entropy == pytest.approx(0, abs=1e-9)
    assert shares == [i / len(networks) for i in range(len(networks))]


def test_the_interval_is_of_the_mean_and_a_sure_mistake_costs_much_but_not_everything() -> None:
    mean, low, high = cross_entropy(np.array([0.2, 0.5]), np.array([0.9]))
    losses = [-math.log(0.8), -math.log(0.5), -math.log(0.9)]
    assert mean == pytest.approx(sum(losses) / 3)
    half = 1.959964 * np.std(losses) / math.sqrt(3)
    assert high - mean == pytest.approx(half) and low == pytest.approx(max(0.0, mean - half))
    assert cross_entropy(np.array([1.0]), np.array([1.0]))[0] == pytest.approx(-math.log(1e-12) / 2)
    assert cross_entropy(np.array([0.0]), np.array([0.0]))[0] == pytest.approx(-math.log(1e-12) / 2)


def test_what_is_no_comparison_is_one_sentence(tiny_pack: Pack, networks: list[Network]) -> None:
    with pytest.raises(SettingsError, match="Broken returned nan"):
        measure(Broken(), networks, "held out", tiny_pack)
    clean = [n for n in networks if n.kind == "clean"]
    with pytest.raises(SettingsError, match="some of both"):
        measure(Undecided(), clean, "held out", tiny_pack)
    fitted = replace(tiny_pack, members=tuple(m for m in tiny_pack.members if not m.held_out))
    for ask in (lambda: list(held_out(fitted)), lambda: ours(fitted, Cache(None))):
        with pytest.raises(PackError, match="no member out"):
            ask()


def test_our_own_entry_is_what_evaluate_measures(tiny_pack: Pack) -> None:
    found = ours(tiny_pack, Cache(None))
    table = Measurement().of(tiny_pack, tiny_pack.settings, Cache(None))
    expected = {r.what: r.auc for r in table if r.streams == "joint" and r.family == "all"}  # type: ignore[union-attr]
    assert {row.kind: row.auc for row in found.rows[1:]} == pytest.approx(expected)
    assert found.detector == OURS and found.seconds is None


def test_a_statistic_that_is_no_probability_has_no_cross_entropy_and_stands_last(tiny_pack: Pack) -> None:
    kinds = {"a": "clean", "b": "patch"}
    index = entry("Index", "n", tiny_pack, kinds, {"a": 1.0, "b": 7.0}, probabilities=False)
    assert index.rows[0].auc == 1 and index.rows[0].cross_entropy is None
    unsure = entry("Unsure", "n", tiny_pack, kinds, {"a": 0.5, "b": 0.5})
    sure = entry("Sure", "n", tiny_pack, kinds, {"a": 0.1, "b": 0.9})
    assert [e.detector for e in ranked([index, unsure, sure])] == ["Sure", "Unsure", "Index"]
    lines = leaderboard.table([index, unsure]).splitlines()
    assert "| 1, 1 | 0.693 (0.693 to 0.693) | 0.500 (" in lines[2] and "| 1, 1 | - | 1.000 (" in lines[3]


def test_the_file_keeps_one_entry_of_a_detector_and_its_networks(tiny_pack: Pack, tmp_path: Path) -> None:
    kinds, path = {"a": "clean", "b": "patch"}, tmp_path / "board.json"

    def said(detector: str, b: float) -> Entry:
        return entry(detector, "n", tiny_pack, kinds, {"a": 0.5, "b": b}, 3.21)

    leaderboard.kept(path, [said("X", 0.1), said("Y", 0.6)])
    leaderboard.kept(path, [said("X", 0.9)])
    assert leaderboard.read(path) == (said("X", 0.9), said("Y", 0.6))
    assert leaderboard.read(tmp_path / "none.json") == ()
    path.write_text('[{"detector": 1}]')
    with pytest.raises(SettingsError, match="no leaderboard file"):
        leaderboard.read(path)


def test_the_published_methods_are_entered_as_they_were_measured(
    tiny_pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A method that was asked about some of the networks is not entered.
    members = [
        {"id": i, "kind": kind, "statistics": {"mntd": said, "neural_cleanse": 3 * said} | few}
        for i, kind, said, few in (("a", "clean", 0.2, {"mm_bd": 1.0}), ("b", "patch", 0.8, {}))
    ]
    record = {"versions": {"mm_bd": 1, "mntd": 1, "neural_cleanse": 1}, "members": members}
    monkeypatch.setattr(leaderboard, "measured", lambda pack: record)
    mntd, cleanse = leaderboard.published(tiny_pack)
    assert (
        mntd.rows[0].cross_entropy == pytest.approx(-math.log(0.8)) and cleanse.rows[0].cross_entropy is None
    )


def test_the_command_asks_the_pages_detector_about_members_and_strangers(
    tiny_pack: Pack,
    tiny_models: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The detector of ``docs/benchmark.md``, word for word."""
    (block,) = (b for b in blocks() if b.page.name == "benchmark.md" and b.language == "python")
    (tmp_path / "my_detector.py").write_text(block.text)
    monkeypatch.syspath_prepend(tmp_path)
    folder = str(tiny_pack.folder)
    asked = ["--detector", "my_detector:Lopsided", "--pack", folder, "--file", str(tmp_path / "board.json")]
    leaderboard.main(asked)
    (found,) = leaderboard.read(tmp_path / "board.json")
    assert all(0.25 <= figure <= 1 for figure in found.figures.values()) and found.seconds is not None
    strange = tmp_path / "strangers"
    strange.mkdir()
    for name, trigger, success in (
        ("clean", "clean", None),
        ("patch", "square", 0.97),
        ("blend", "sinusoid", 0.3),
    ):
        torch.save(_state(tiny_models[name]), strange / f"{name}.pt")
        (strange / f"{name}.json").write_text(json.dumps({"trigger": trigger, "success": success}))
    leaderboard.main([*asked, "--strangers", str(strange)])
    strangers = leaderboard.read(tmp_path / "board.json")[1]
    # The blend did not learn its trigger.
    assert set(strangers.figures) == {"clean", "patch"} and strangers.rows[1].kind == "patch"
    with pytest.raises(SettingsError, match="has no report"):
        leaderboard.main(["--pack", folder, "--strangers", str(strange)])
    for name, probability in (("clean", 0.1), ("patch", 0.8)):
        report = strange / f"{name}.{tiny_pack.sha256[:12]}.json"
        report.write_text(json.dumps({"report": {"probability": probability}}))
    leaderboard.main(["--pack", folder, "--strangers", str(strange)])
    assert "| networks of another trainer, with bars |" in capsys.readouterr().out


def _state(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no_such_module:X", "no detector"),
        ("benchmarks.leaderboard", "no detector"),
        ("benchmarks.leaderboard:Entry", "no detector"),
        ("pathlib:Path", "no method probability"),
    ],
)
def test_a_name_that_is_no_detector_is_one_sentence(name: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        leaderboard.detector_named(name)
