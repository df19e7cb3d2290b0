"""Makes the table of ``docs/performance.md`` from the rows of all benchmarks.

``python -m benchmarks.table`` (``make bench``) runs every benchmark of :data:`MODULES` in its own process, keeps its
rows in ``docs/performance.json``, and writes the table between its markers. ``--only NAME``, which may be repeated,
runs only some benchmarks and keeps the other rows. ``--write`` runs none.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "performance.md"
KEPT = PAGE.with_suffix(".json")
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
    "scan_refused": "A scan of many files that are refused at once",
    "scan_ray": "A scan on a Ray cluster of this machine",
    "onnx_import": "Networks opened from ONNX",
    "dashboard": "The dashboard in a browser",
    "sizes": "Networks of real size",
    "gpu": "On a GPU",
}
"""Benchmarks in the order of the table, and what they are about; each is run as :func:`command` says."""

OTHERS = {"scan_refused": "scan --refused --count 1000", "scan_ray": "scan --engine ray --count 12"}
"""Benchmarks that are another module's with these options."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Parameters
    ----------
    what : the measured quantity.
    result : the figure, with its unit.
    of : the number of runs, networks or models.
    """

    what: str
    result: str
    of: str


def middle(values: Sequence[float], unit: str, digits: int = 2) -> str:
    """The median, with the range if there are several values."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f} {unit}"
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} {unit} ({low:.{digits}f} to {high:.{digits}f})"


def count(number: int, noun: str) -> str:
    """``1 round``, ``2 rounds``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


@dataclass
class Times:
    """Seconds on the clock, and of the processor in all processes together, of every run of one kind."""

    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def row(self, what: str, of: str) -> Row:
        """Processor seconds first: beside other work, seconds on the clock are mostly waiting."""
        return Row(
            what,
            f"{middle(self.processor, 's')} of the processor; {middle(self.clock, 's')} on the clock",
            of,
        )


def told(name: str, rows: Iterable[Row]) -> None:
    """Print a benchmark's rows, and keep them for the table with the machine's load of the last minutes."""
    found = list(rows)
    for row in found:
        print(f"  {row.what}: {row.result}; {row.of}", flush=True)
    around = {"cores": os.cpu_count(), "load": round(os.getloadavg()[1], 1)}
    everything = kept() | {name: around | {"rows": [asdict(row) for row in found]}}
    part = KEPT.with_suffix(".part")
    part.write_text(json.dumps({k: everything[k] for k in MODULES if k in everything}, indent=1) + "\n")
    part.replace(KEPT)


def kept() -> dict[str, Any]:
    """Rows and load of the last run of every benchmark."""
    found: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    return found


def command(name: str) -> str:
    """The command that runs a benchmark."""
    return f"benchmarks.{OTHERS.get(name, name)}"


def table() -> str:
    """All kept rows as a Markdown table."""
    lines = ["| | result | of |", "| --- | --- | --- |"]
    found = kept()
    for name in [name for name in MODULES if found.get(name, {}).get("rows")]:
        around = f"{found[name]['cores']} cores, load {found[name]['load']}"
        lines.append(f"| **{MODULES[name]}** | `python -m {command(name)}` | {around} |")
        lines += [f"| {row['what']} | {row['result']} | {row['of']} |" for row in found[name]["rows"]]
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
