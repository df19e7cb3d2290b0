"""Mutation tests of the core formulae: ``python -m benchmarks.mutants``.

Each mutant of :mod:`benchmarks.mutations` is made in a copy of the package, and the tests that should detect it are run
on the copy. Exit code 0: every mutant failed at least one test. 1: a mutant passed. 2: a mutant cannot be made because
its line does not exist, or its tests fail on the original code.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from benchmarks.mutant import Mutant
from benchmarks.mutations import MUTANTS

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 300.0
"""Time limit of one run of tests in seconds. A mutant that exceeds it counts as detected."""
HANGS, ELSEWHERE = -1, 70
PASSED, FAILED = 0, 1
"""Exit codes of pytest. Any other code means that the tests were not run."""
SLOW_IMPORTS = (
    "torch",
    "captum.attr",
    "catboost",
    "sklearn.linear_model",
    "scipy.special",
    "pytest",
)


def stale(mutants: Iterable[Mutant], package: Path = ROOT / "ti_core") -> list[str]:
    """A sentence for each mutant that cannot be made."""
    found = []
    for m in mutants:
        path = package / m.file
        times = path.read_text().count(m.old) if path.is_file() else 0
        if times != 1 or m.old == m.new:
            found.append(f"{m.file}: {m.old!r} stands there {times} times, not once.")
        missing = [name for name in m.tests if not (package.parent / name.partition("::")[0]).is_file()]
        found += [f"{m.file}: there is no {name}." for name in missing]
    return found


def run_tests(tests: tuple[str, ...], copy: Path) -> int:
    """The exit code of pytest in a fresh process that has not imported the package."""
    pid = os.fork()
    if pid == 0:
        code = ELSEWHERE
        try:
            code = _in_child(tests, copy)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return HANGS


def _in_child(tests: tuple[str, ...], copy: Path) -> int:
    out = os.open(copy / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.chdir(copy)
    sys.dont_write_bytecode = True
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in [m for m in sys.modules if m.partition(".")[0] in ("benchmarks", "tests", "ti_core")]:
        del sys.modules[name]
    sys.path[:] = [str(copy), *(p for p in sys.path if p and Path(p).resolve() != ROOT)]
    import pytest

    import ti_core

    if Path(ti_core.__file__).resolve().parent != copy / "ti_core":
        raise ImportError(f"The package came from {ti_core.__file__}, not from the copy.")
    quick = ["-x", "-q", "--tb=line", "-p", "no:cacheprovider"]
    return int(pytest.main([*tests, *quick, "--rootdir", str(copy)]))


def try_one(mutant: Mutant, copy: Path) -> int:
    """The exit code of the mutant's tests."""
    path = copy / "ti_core" / mutant.file
    before = path.read_text()
    try:
        path.write_text(before.replace(mutant.old, mutant.new))
        return run_tests(mutant.tests, copy)
    finally:
        path.write_text(before)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--only", default="", metavar="TEXT", help="those whose file or line holds this")
    options.add_argument("--show", action="store_true", help="what pytest said of each that was not caught")
    chosen = options.parse_args()
    mutants = [m for m in MUTANTS if chosen.only in f"{m.file} {m.old}"]
    for sentence in (problems := stale(MUTANTS)):
        print(sentence)
    if problems or not mutants:
        return 2
    for name in SLOW_IMPORTS:
        # Done once, before the processes that need it.
        with suppress(ImportError):
            import_module(name)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder).resolve()
        for name in ("ti_core", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        return _try_all(mutants, copy, chosen.show)


def _try_all(mutants: list[Mutant], copy: Path, show: bool) -> int:
    for tests in dict.fromkeys(m.tests for m in mutants):
        if (code := run_tests(tests, copy)) != PASSED:
            print(f"{' '.join(tests)}: do not pass on the code as it is (exit code {code}).")
            print((copy / "said.txt").read_text()[-3000:])
            return 2
    worst = 0
    for m in mutants:
        code = try_one(m, copy)
        word = {PASSED: "MISSED", FAILED: "caught", HANGS: "caught (never ends)"}.get(
            code, f"no run ({code})"
        )
        print(f"{word:8} {m.file}: {m.old}  ->  {m.new}", flush=True)
        if not word.startswith("caught"):
            worst = max(worst, 1 if code == PASSED else 2)
            if show:
                print((copy / "said.txt").read_text()[-3000:])
    print(f"{len(mutants)} mistakes; {'each was caught' if worst == 0 else 'not every one was caught'}.")
    return worst


if __name__ == "__main__":
    sys.exit(main())
