"""The list of mistakes keeps up with the code, and says so where it does not; ``make mutants`` makes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.mutant import Mutant
from benchmarks.mutants import FAILED, PASSED, run_tests, stale, try_one
from benchmarks.mutations import MUTANTS


def test_every_mistake_can_be_made_once_and_has_tests() -> None:
    assert not stale(MUTANTS)
    assert len({(m.file, m.old) for m in MUTANTS}) == len(MUTANTS) > 25


def test_a_mistake_whose_line_or_test_is_gone_is_named() -> None:
    good = MUTANTS[0]
    for gone in (
        replace(good, old="no such line"),
        replace(good, file="no/such/file.py"),
        replace(good, old="self"),
        replace(good, new=good.old),
        replace(good, tests=("tests/no_such_test.py",)),
    ):
        assert len(stale([good, gone])) == 1


def test_what_no_test_notices_is_told_from_what_one_does(tmp_path: Path) -> None:
    (tmp_path / "ti_core").mkdir()
    (tmp_path / "ti_core" / "__init__.py").write_text("def double(x):\n    return 2 * x + 0\n")
    (tmp_path / "test_it.py").write_text(
        "from ti_core import double\n\n\ndef test_it():\n    assert double(3) == 6\n"
    )
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    assert run_tests(("test_it.py",), tmp_path) == PASSED
    noticed = Mutant("__init__.py", "2 * x", "3 * x", ("test_it.py",))
    missed = Mutant("__init__.py", "+ 0", "- 0", ("test_it.py",))
    assert (try_one(noticed, tmp_path), try_one(missed, tmp_path)) == (FAILED, PASSED)
    assert "return 2 * x + 0" in (tmp_path / "ti_core" / "__init__.py").read_text()
