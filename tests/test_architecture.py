"""The house keeps its order: no circle of imports, none that runs upwards, nothing too large."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architecture import circles, floors, importing, imports, modules, too_large, upward

ROOT = Path(__file__).resolve().parent.parent
OURS = ("ti_core", "app")


def drawn_order() -> list[str]:
    """The order of folders that CONTRIBUTING.md draws, the highest first, as names of packages and modules."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = page.partition("## Where things are")[2].partition("\n## ")[0]
    return [
        name.removesuffix(".py").replace("/", ".") for name in re.findall(r"^\| `([\w/.]+)` \|", table, re.M)
    ]


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_no_module_imports_in_a_circle() -> None:
    assert not circles(imports(modules(ROOT, (*OURS, "benchmarks"))))


def test_nothing_imports_upwards() -> None:
    assert not upward(imports(modules(ROOT, (*OURS, "benchmarks"))), drawn_order())


def test_the_library_knows_nothing_of_the_page() -> None:
    assert not importing(modules(ROOT, ["ti_core"]), ["streamlit", "app"])


def test_every_folder_stands_in_the_drawn_order() -> None:
    order = drawn_order()
    rooms = {f"ti_core.{p.stem}" for p in (ROOT / "ti_core").iterdir() if p.suffix == ".py" or p.is_dir()}
    hidden = {"ti_core.__pycache__", "ti_core.__init__", "ti_core.__main__"}
    assert rooms - hidden <= set(order)


def test_the_library_has_few_floors() -> None:
    found = floors(imports(modules(ROOT, ["ti_core"])), "ti_core")
    assert max(found.values()) <= 12, sorted(found.items(), key=lambda pair: -pair[1])


def test_a_room_stands_one_floor_above_what_it_imports(tmp_path: Path) -> None:
    files = {
        "made/__init__.py": "import made.top.a",
        "made/top/a.py": "def f():\n    from made.middle.b import x",
        "made/top/c.py": "",
        "made/middle/b.py": "from made.low import y\nimport made.middle.d",
        "made/middle/d.py": "",
        "made/low.py": "",
    }
    root = written(tmp_path, files)
    arrows = imports(modules(root, ["made"]))
    assert floors(arrows, "made") == {"low": 1, "middle": 2, "top": 3, "__init__": 4}
    with pytest.raises(ValueError, match="circle"):
        floors({**arrows, "made.low": {"made.top.c"}}, "made")


def test_nothing_is_too_large() -> None:
    assert not too_large(ROOT, modules(ROOT, OURS), "ti_core")


@pytest.mark.parametrize(
    "inner",
    [
        "import made.a",
        "def f():\n    import made.a",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from made import a",
    ],
)
def test_a_circle_is_named_wherever_the_import_stands(tmp_path: Path, inner: str) -> None:
    files = {
        "made/__init__.py": "",
        "made/a.py": "from made.b import x",
        "made/b.py": inner,
        "made/c.py": "import made.a",
    }
    root = written(tmp_path, files)
    assert circles(imports(modules(root, ["made"]))) == ["These import one another: made.a, made.b."]


def test_an_import_that_runs_upwards_is_named(tmp_path: Path) -> None:
    files = {
        "made/low/x.py": "from made.high import y",
        "made/high/y.py": "",
        "made/high/z.py": "import made.low.x",
    }
    arrows = imports(modules(written(tmp_path, files), ["made"]))
    assert upward(arrows, ["made.high", "made.low"]) == [
        "made.low.x imports made.high.y, which stands above it."
    ]
    with pytest.raises(ValueError, match=r"made\.low"):
        upward(arrows, ["made.high"])


def test_a_forbidden_package_is_named_wherever_it_is_imported(tmp_path: Path) -> None:
    files = {
        "made/a.py": "def f():\n    import streamlit.web as web\n",
        "made/b.py": "from app.jobs import desk\nimport application\n",
        "made/c.py": "from made import app\n",
    }
    found = importing(modules(written(tmp_path, files), ["made"]), ["streamlit", "app"])
    assert found == ["made.a imports streamlit.", "made.b imports app."]


def test_what_is_too_large_is_named(tmp_path: Path) -> None:
    long = "def f():\n" + "    pass\n" * 70
    files = {f"made/m{i}.py": "" for i in range(17)} | {"made/long.py": "x = 1\n" * 240 + long}
    files |= {f"made/room{i}/a.py": "" for i in range(10)}
    root = written(tmp_path, files)
    assert too_large(root, modules(root, ["made"]), "made") == [
        "made/long.py has 311 lines.",
        "made holds 18 modules.",
        "made holds 28 files and folders.",
        "made/long.py: f has 71 lines.",
    ]
