"""Verdicts on networks of every kind, counted by family."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks import kinds
from ti_core.reference.pack import Pack

ASSIGNMENT = [1, 2, 0]


def attack(kind: str, **where: Any) -> dict[str, Any]:
    return {"target": None, "attack": {"mapping": {"kind": kind, "source": None, "target": None} | where}}


def led(kind: str, **where: Any) -> dict[str, Any]:
    return {"mapping": {"kind": kind, "source": None, "target": None, "assignment": []} | where}


def pairs(*targets: int) -> list[dict[str, int]]:
    return [{"source": k, "target": t} for k, t in enumerate(targets)]


@pytest.mark.parametrize(
    ("record", "report", "right"),
    [
        (attack("all to one", target=2), led("all to one", target=2), True),
        (attack("all to one", target=2), led("all to one", target=1), False),
        ({"target": 2, "attack": None}, led("all to one", target=2), True),
        (attack("one source", target=2, source=1), led("one source", target=2, source=1), True),
        (attack("one source", target=2, source=1), led("one source", target=2, source=0), False),
        (attack("one source", target=2, source=1), led("all to one", target=2), True),
        (attack("all to one", target=2), led("one source", target=2, source=0), False),
        (attack("all to all", assignment=ASSIGNMENT), led("all to all", assignment=pairs(1, 2, 0)), True),
        (attack("all to all", assignment=ASSIGNMENT), led("all to all", assignment=pairs(2, 2, 0)), False),
        (attack("all to one", target=2), {"mapping": None}, False),
    ],
)
def test_where_a_backdoor_leads_is_held_against_the_truth(
    record: dict[str, Any], report: dict[str, Any], right: bool
) -> None:
    assert kinds.rightly_led(record, report) is right


def test_every_family_has_a_line_and_reports_are_kept(
    tiny_zoo: Path,
    tiny_pack: Pack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for member in [next(m for m in tiny_pack.members if m.trojaned is t) for t in (False, True)]:
        for end in ("json", "safetensors"):
            shutil.copyfile(tiny_zoo / f"{member.id}.{end}", tmp_path / f"{member.id}.{end}")
    command = ["--pack", str(tiny_pack.folder), "--zoo", str(tmp_path)]
    kinds.main(command)
    said = capsys.readouterr().out
    assert said.count(", clean: 1 networks") == said.count(", backdoored: 1 networks") == 1
    reports = sorted(tmp_path.glob("*.report"))
    assert len(reports) == 2 and json.loads(reports[0].read_text())["verdict"]
    monkeypatch.setattr(kinds, "inspect", None)
    kinds.main([*command, "--minutes", "1"])
    assert capsys.readouterr().out == said, "a report that is there must not be made again"
