from __future__ import annotations

import json
from pathlib import Path

import pytest

from ti_core.cli.main import main
from ti_core.evaluation import ablations as module
from ti_core.evaluation.ablations import Ablation
from ti_core.reference.pack import Pack
from ti_core.settings import Settings


def test_shift_prints_its_table_and_writes_its_rows(
    tiny_pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "shift.json"
    assert main(["evaluate", "--pack", str(tiny_pack.folder), "--shift", "--json", str(out)]) == 0
    printed = capsys.readouterr()
    assert "recipe challenge" in printed.out and "one architecture only (mlp)" in printed.out
    assert printed.err == ""
    rows = json.loads(out.read_text())
    assert {r["left_out"] for r in rows} == {"challenge", "standard", "together"}
    assert all(r["low"] <= r["auc"] <= r["high"] for r in rows)


def test_ablations_print_both_kinds_side_by_side(
    tiny_pack: Pack,
    tiny_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def two(settings: Settings) -> list[Ablation]:
        assert settings == tiny_settings, "an evaluation stands at the pack's own settings"
        return [
            Ablation("as set", "all parts", settings),
            Ablation("meta-model", "AutoML", settings, automl=True),
        ]

    monkeypatch.setattr(module, "ablations", two)
    arguments = ["evaluate", "--pack", str(tiny_pack.folder), "--ablations", "--automl-budget", "0"]
    assert main([*arguments, "--members", "held-out"]) == 0
    printed = capsys.readouterr().out
    assert "members held out from fitting" in printed and "time budget is 0" in printed
    assert "blend/clean" in printed and "as set" in printed


def test_two_evaluations_at_once_are_a_typing_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", "--pack", "mnist", "--shift", "--ablations"])
    assert "not allowed with" in capsys.readouterr().err
