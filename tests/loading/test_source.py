"""Nothing in the repository unpickles untrusted bytes, and torch is not asked to."""

from __future__ import annotations

import ast
from functools import lru_cache
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
TELLING = {"allow_pickle", "weights_only"}


@lru_cache(maxsize=1)
def nodes_of(source: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(source)))


def dotted(function: ast.expr) -> str:
    """The name of what is called; a question mark stands for anything but names."""
    if isinstance(function, ast.Attribute):
        return f"{dotted(function.value)}.{function.attr}"
    return function.id if isinstance(function, ast.Name) else "?"


def violations(source: str) -> list[str]:
    """Every call in ``source`` that could run what it reads."""
    found = []
    for node in nodes_of(source):
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
            name = dotted(node.func)
            keywords = {k.arg: ast.unparse(k.value) for k in node.keywords if k.arg in TELLING}
            if name in FORBIDDEN_CALLS or name.rpartition(".")[2] in ("Unpickler", "read_pickle"):
                found.append(name)
            if keywords.get("allow_pickle", "False") != "False":
                found.append(f"{name}(allow_pickle=...)")
            if name == "torch.load" and keywords.get("weights_only") != "True":
                found.append("torch.load without weights_only=True")
    return found


def calls_torch_load(source: str) -> bool:
    return any(isinstance(node, ast.Call) and dotted(node.func) == "torch.load" for node in nodes_of(source))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_source_file_runs_nothing_that_it_reads(path: Path) -> None:
    """A command in a sentence for the user is text, and no call."""
    source = path.read_text(encoding="utf-8")
    assert violations(source) == [] and not calls_torch_load(source)


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
        "files[0].Unpickler(f)",
        "loaded().read_pickle(f)",
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
