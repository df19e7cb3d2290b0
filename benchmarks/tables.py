"""Write the tables that the documentation quotes between their markers.

``python -m benchmarks.tables`` rewrites README.md and docs/settings.md from the packs' records and the settings schema;
with ``--check`` it changes nothing and fails if they differ.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from ti_core.pack import Pack, load_pack, pack_names
from ti_core.settings import Settings
from ti_core.tables import PAPER_AUC, STREAM_TITLES

ROOT = Path(__file__).resolve().parent.parent


def table_1() -> str:
    """Table 1 of every bundled pack, as the pack recorded it when it was evaluated."""
    lines = [
        "| pack | streams | kind | family | trojaned, clean | AUC (95 % interval) | found | false alarms"
        " | target right |",
        "| --- " * 9 + "|",
    ]
    for name in pack_names():
        lines += _pack_rows(load_pack(name))
    return "\n".join(lines)


def _pack_rows(pack: Pack) -> list[str]:
    rows = []
    for r in pack.record["table"]:
        target = "" if r["target"] is None else f"{r['target']:.0%}"
        rows.append(
            f"| {pack.name} | {STREAM_TITLES[r['streams']]} | {r['kind']}/clean | {r['family']} |"
            f" {r['trojaned']}, {r['clean']} | {r['auc']:.3f} ({r['low']:.3f} to {r['high']:.3f}) |"
            f" {r['found']:.0%} | {r['false_alarms']:.0%} | {target} |"
        )
    return rows


def paper() -> str:
    """The paper's own AUC."""
    lines = ["| data set | blend/clean | patch/clean |", "| --- | --- | --- |"]
    lines += [f"| {name} | {row['blend']:.2f} | {row['patch']:.2f} |" for name, row in PAPER_AUC.items()]
    return "\n".join(lines)


def settings() -> str:
    """Every setting with its default and range."""
    lines = ["| setting | default | range | what it does |", "| --- | --- | --- | --- |"]
    for f in fields(Settings):
        m = f.metadata
        choices = m.get("choices")
        span = (
            ", ".join(choices)
            if choices
            else f"{m['low']:g} to {m['high']:g}"
            if m["low"] is not None
            else ""
        )
        default = ",".join(map(str, f.default)) if isinstance(f.default, tuple) else f.default
        lines.append(f"| `{f.name}` | `{default}` | {span} | {m['says']} |")
    return "\n".join(lines)


TABLES = {"table-1": table_1, "paper": paper, "settings": settings}


def filled(text: str) -> str:
    """The text with every table between its markers made anew."""
    for name, make in TABLES.items():
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if start in text:
            before, rest = text.split(start, 1)
            text = before + start + make() + "\n" + end + rest.split(end, 1)[1]
    return text


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--check", action="store_true")
    check = options.parse_args().check
    stale = []
    for path in (ROOT / "README.md", ROOT / "docs" / "settings.md"):
        text = path.read_text()
        if filled(text) != text:
            stale.append(path.name)
            if not check:
                path.write_text(filled(text))
    if check and stale:
        print(f"{', '.join(stale)} quote other figures than the packs hold: run python -m benchmarks.tables.")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
