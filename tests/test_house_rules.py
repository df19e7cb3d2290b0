"""Rules of the repository that no other tool enforces."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = sorted((ROOT / "ti_core").rglob("*.py"))
APP = sorted((ROOT / "app").rglob("*.py"))


@pytest.mark.parametrize("path", [*CORE, *APP], ids=lambda p: str(p.relative_to(ROOT)))
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_shipped_files_are_small_and_none_is_a_pickle() -> None:
    files = [p for p in (ROOT / "assets").rglob("*") if p.is_file()]
    assert not [p for p in files if p.stat().st_size > 25e6]
    assert not [p for p in files if p.suffix in {".pkl", ".pickle", ".pt", ".pth", ".joblib"}]
