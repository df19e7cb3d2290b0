"""Nothing in the repository unpickles untrusted bytes, and torch is not asked to."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path for folder in ("ti_core", "app", "benchmarks") for path in (ROOT / folder).rglob("*.py")
)

FORBIDDEN_IMPORTS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "marshal", "shelve", "jsonpickle"}
FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "torch.jit.load",
    "torch.hub.load",
    "torch.package.PackageImporter",
    "torch.export.load",
    "joblib.load",
    "yaml.load",
    "yaml.unsafe_load",
    "pandas.read_pickle",
    "pd.read_pickle",
}


def violations(source: str) -> list[str]:
    """Every call in ``source`` that could run what it reads."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.partition(".")[0] in FORBIDDEN_IMPORTS]
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").partition(".")[0] in FORBIDDEN_IMPORTS:
                found.append(node.module or "")
            found += [
                f"{node.module}.{a.name}" for a in node.names if f"{node.module}.{a.name}" in FORBIDDEN_CALLS
            ]
            if node.module == "torch" and any(a.name == "load" for a in node.names):
                found.append("torch.load under another name")
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
            if name in FORBIDDEN_CALLS or name.rpartition(".")[2] in ("Unpickler", "read_pickle"):
                found.append(name)
            if keywords.get("allow_pickle", "False") != "False":
                found.append(f"{name}(allow_pickle=...)")
            if name == "torch.load" and keywords.get("weights_only") != "True":
                found.append("torch.load without weights_only=True")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_source_file_runs_nothing_that_it_reads(path: Path) -> None:
    assert violations(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "import torch; torch.load(f)",
        "torch.load(f, weights_only=False)",
        "torch.load(f, weights_only=flag)",
        "from torch import load",
        "torch.jit.load(f)",
        "np.load(f, allow_pickle=True)",
        "joblib.load(f)",
        "yaml.load(f)",
        "eval(text)",
        "exec(text)",
    ],
)
def test_the_scan_sees(line: str) -> None:
    assert violations(line)


@pytest.mark.parametrize(
    "line", ["model.eval()", "np.load(f, allow_pickle=False)", "torch.load(f, weights_only=True)"]
)
def test_the_scan_passes(line: str) -> None:
    assert violations(line) == []


def calls_torch_load(source: str) -> bool:
    calls = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return any(ast.unparse(function) == "torch.load" for function in calls)


def test_torch_load_is_called_nowhere() -> None:
    """A command in a sentence for the user is text, and no call."""
    callers = [p.name for p in SOURCES if calls_torch_load(p.read_text(encoding="utf-8"))]
    assert callers == []
