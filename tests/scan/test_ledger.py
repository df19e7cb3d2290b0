"""What a scan remembers of its lines."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ti_core.errors import SettingsError
from ti_core.scan.ledger import Ledger, known_lines, outcome, worst

SETTINGS = {"seed": 0}


def line(number: int, **more: Any) -> dict[str, Any]:
    return {"file": f"m{number}", "sha256": "d", "settings": {"seed": 0}, "verdict": "clean"} | more


def test_only_the_same_file_digest_settings_and_pack_are_the_same_work() -> None:
    ledger = Ledger(SETTINGS, None, [line(1), line(2, settings={"seed": 1}), line(3, sha256="other")])
    assert [ledger.outcome(Path(f"m{i}"), "d") for i in (1, 2, 3, 4)] == ["clean", None, None, None]


def test_an_error_is_of_the_pack_that_was_asked_for() -> None:
    broken = {"file": "m1", "sha256": "d", "error": "no", "settings": {"seed": 0}, "asked_pack": "mnist"}
    assert Ledger(SETTINGS, None, [broken]).outcome(Path("m1"), "d") is None
    assert Ledger(SETTINGS, "mnist", [broken]).outcome(Path("m1"), "d") == "error"


def test_a_report_of_another_pack_than_asked_for_is_other_work() -> None:
    reported = line(1, pack={"name": "gtsrb"})
    assert Ledger(SETTINGS, None, [reported]).outcome(Path("m1"), "d") == "clean"
    assert Ledger(SETTINGS, "/packs/gtsrb", [reported]).outcome(Path("m1"), "d") == "clean"
    assert Ledger(SETTINGS, "mnist", [reported]).outcome(Path("m1"), "d") is None


def test_what_is_kept_of_a_line_does_not_grow_with_it() -> None:
    def long_lines() -> Iterator[dict[str, Any]]:
        for number in range(200):
            yield line(number, streams=["x" * 50_000 + str(number)])

    tracemalloc.start()
    ledger = Ledger(SETTINGS, None, long_lines())
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(ledger) == 200 and held < 200_000, "a few hundred bytes a line, of 50,000"


def test_a_line_that_was_cut_short_is_taken_out_once_the_others_were_read(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    whole = json.dumps(line(1)) + "\n\n" + json.dumps(line(2)) + "\n"
    path.write_text(whole + '{"file": "m3"}')
    found = known_lines(path)
    assert next(found)["file"] == "m1"
    assert [f["file"] for f in found] == ["m2"] and path.read_text() == whole
    assert list(known_lines(path)) == [line(1), line(2)]
    assert list(known_lines(tmp_path / "none")) == []


def test_another_kind_of_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text('{"file": "m1"}\nmy notes\n')
    with pytest.raises(SettingsError, match="line 2"):
        list(known_lines(path))
    assert path.read_text() == '{"file": "m1"}\nmy notes\n'


def test_the_worst_outcome_decides() -> None:
    assert outcome({"error": "no"}) == "error" and outcome({"verdict": "clean"}) == "clean"
    assert worst(["clean"]) == "clean" and worst(["clean", "inconclusive"]) == "inconclusive"
    assert worst(["inconclusive", "error"]) == "error" and worst(["error", "backdoored"]) == "backdoored"
    assert worst([]) == "clean"
