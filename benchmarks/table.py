"""The table of ``docs/performance.md``: what every benchmark gives to it, and how it is put together.

``python -m benchmarks.table`` (``make bench``) runs every benchmark of :data:`MODULES` in a process of its own, keeps
the rows of each in ``build/bench/`` as it ends, and writes the table between its markers. ``--only NAME`` (may be
repeated) runs some anew and takes the others' rows from there; ``--write`` runs none.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "build" / "bench"
PAGE = ROOT / "docs" / "performance.md"
MODULES = {
    "saliency": "Saliency",
    "start": "An inspection from the command line",
    "worker": "An inspection on a warm server",
    "profile": "Quantiles and bins changed",
    "batching": "A zoo's evidence, many networks in one pass",
    "costs": "What the cost grows with",
    "memory": "Memory",
    "cleansing": "Against Neural Cleanse",
    "scan": "A scan of many models",
    "scan_ray": "A scan on a Ray cluster of this machine",
    "onnx_import": "Networks opened from ONNX",
    "gpu": "On a GPU",
}
"""Benchmarks in the order of the table, and what they are about; each is run as :func:`command` says."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Parameters
    ----------
    what : is measured.
    result : the figure, with its unit.
    of : how many runs, networks or models it is of.
    """

    what: str
    result: str
    of: str


def middle(values: Sequence[float], unit: str, digits: int = 2) -> str:
    """The median, and the span where there are several."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f} {unit}"
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} {unit} ({low:.{digits}f} to {high:.{digits}f})"


@dataclass
class Times:
    """Seconds on the clock, and of the processor in all processes together, of every run of one kind."""

    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def row(self, what: str, of: str) -> Row:
        busy = statistics.median(self.processor)
        return Row(what, f"{middle(self.clock, 's')}; {busy:.2f} s of the processor", of)


def told(name: str, rows: Iterable[Row]) -> None:
    """Print a benchmark's rows, and keep them for the table."""
    found = list(rows)
    for row in found:
        print(f"  {row.what}: {row.result}; {row.of}", flush=True)
    KEPT.mkdir(parents=True, exist_ok=True)
    part = KEPT / f"{name}.part"
    part.write_text(json.dumps([asdict(row) for row in found], indent=1) + "\n")
    part.replace(KEPT / f"{name}.json")


def kept(name: str) -> list[Row]:
    """A benchmark's rows when it ran last; none if it never did, or had none to give on this machine."""
    path = KEPT / f"{name}.json"
    return [Row(**row) for row in json.loads(path.read_text())] if path.exists() else []


def command(name: str) -> str:
    """What runs a benchmark."""
    return "benchmarks.scan --engine ray --count 12" if name == "scan_ray" else f"benchmarks.{name}"


def table() -> str:
    """All kept rows as a Markdown table."""
    lines = ["| | result | of |", "| --- | --- | --- |"]
    for name, title in MODULES.items():
        rows = kept(name)
        if rows:
            lines.append(f"| **{title}** | | `python -m {command(name)}` |")
            lines += [f"| {row.what} | {row.result} | {row.of} |" for row in rows]
    return "\n".join(lines)


def main() -> int:
    from benchmarks.tables import filled

    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument(
        "--only", action="append", choices=list(MODULES), help="run this one; may be repeated"
    )
    options.add_argument("--write", action="store_true", help="run none")
    given = options.parse_args()
    failed = []
    for name in () if given.write else given.only or MODULES:
        begin = time.monotonic()
        print(f"{MODULES[name]} (python -m {command(name)})", flush=True)
        done = subprocess.run([sys.executable, "-m", *command(name).split()], cwd=ROOT)
        if done.returncode:
            failed.append(name)
        print(f"  [{time.monotonic() - begin:.0f} s]", flush=True)
    PAGE.write_text(filled(PAGE.read_text(), {"benchmarks": table}))
    if failed:
        print(f"Ended with an error: {', '.join(failed)}; the table has their rows of before.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
