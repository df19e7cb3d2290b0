"""Write the tables that the documentation quotes between their markers.

``python -m benchmarks.tables`` rewrites README.md and pages of docs/ from the packs' records, the settings schema and
the report's. It also writes the published schemas of the report. With ``--check`` it changes nothing and fails if they
differ.
``--shift`` (half a minute a pack) and ``--ablations`` (minutes, and FLAML) also make those tables anew.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import leaderboard
from ti_core.cli.tables import STREAM_TITLES
from ti_core.evaluation.methods import called_by_ours
from ti_core.evaluation.rates import auc
from ti_core.evaluation.table import FAMILIES, PAPER_AUC
from ti_core.methods import METHODS, method_class
from ti_core.methods.beside import measured
from ti_core.reference.families import performance_key
from ti_core.reference.pack import Pack, load_pack, pack_names
from ti_core.results.formats.taxonomy import RULES, every_term
from ti_core.results.report import SCHEMA_VERSION, report_schema
from ti_core.settings import Settings
from ti_core.system.cache import Cache, default_folder

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = ("all", *FAMILIES)
"""Families whose rows stand beside the paper's figures."""


def detection() -> str:
    """By data set and kind of trigger, what each bundled pack's detector finds among its held-out members."""
    lines = [
        "| data set | trigger | backdoored, clean | found | false alarms | AUC (95 % interval) |",
        "| --- " * 6 + "|",
    ]
    for pack in map(load_pack, pack_names()):
        for r in pack.record["table"]:
            if r["streams"] == "joint" and r["family"] == "all":
                what = _what(r)
                lines.append(
                    f"| {pack.name} | {what} | {r['trojaned']}, {r['clean']} | {r['found']:.0%} |"
                    f" {r['false_alarms']:.0%} | {r['auc']:.3f} ({r['low']:.3f} to {r['high']:.3f}) |"
                )
    return "\n".join(lines)


def _what(row: dict[str, Any]) -> str:
    return performance_key(row["kind"], row.get("mapping", "all to one"))


def table_1() -> str:
    """Table 1 of every bundled pack beside the paper's, as the pack recorded it when it was evaluated, in short."""
    lines = [
        "| data set | kind | trojans | the paper's AUC | its stream here: AUC (95 % interval), accuracy"
        " | all streams: AUC (95 % interval), accuracy | found | false alarms |",
        "| --- " * 8 + "|",
    ]
    for pack in map(load_pack, pack_names()):
        cells = {(r["streams"], r["kind"], r["family"]): r for r in pack.record["table"]}
        for kind in ("blend", "patch"):
            for family in ("standard", "challenge"):
                own, joint = (cells.get((which, kind, family)) for which in ("saliency", "joint"))
                if own is None and joint is None:
                    continue
                rates = (f"{joint['found']:.0%}", f"{joint['false_alarms']:.0%}") if joint else ("", "")
                cell = (_paper(pack, kind), _auc(own), _auc(joint), *rates)
                lines.append(f"| {pack.name} | {kind}/clean | {family} | " + " | ".join(cell) + " |")
    return "\n".join(lines)


def _paper(pack: Pack, kind: str) -> str:
    published = PAPER_AUC.get(pack.record["data_set"])
    return f"{published[kind]:.2f}" if published and kind in published else ""


def _auc(row: dict[str, Any] | None) -> str:
    return f"{row['auc']:.3f} ({row['low']:.3f} to {row['high']:.3f}), {row['accuracy']:.2f}" if row else ""


def table_1_whole() -> str:
    """Every row of every bundled pack's Table 1."""
    lines = [
        "| pack | streams | kind | family | trojaned, clean | AUC (95 % interval) | the paper's | accuracy | found"
        " | false alarms | target right |",
        "| --- " * 11 + "|",
    ]
    for pack in map(load_pack, pack_names()):
        for r in pack.record["table"]:
            published = _paper(pack, _what(r)) if r["family"] in PUBLISHED else ""
            target = "" if r["target"] is None else f"{r['target']:.0%}"
            lines.append(
                f"| {pack.name} | {STREAM_TITLES[r['streams']]} | {_what(r)}/clean | {r['family']} |"
                f" {r['trojaned']}, {r['clean']} | {r['auc']:.3f} ({r['low']:.3f} to {r['high']:.3f}) |"
                f" {published} | {r['accuracy']:.2f} | {r['found']:.0%} | {r['false_alarms']:.0%} |"
                f" {target} |"
            )
    return "\n".join(lines)


def shift_table() -> str:
    """What every bundled pack's detector is worth on what it was not fitted to; fits detectors, and runs no model."""
    from ti_core.evaluation.shift import shift

    lines = [
        "| pack | left out | streams | kind | trojaned, clean | AUC (95 % interval) | found | false alarms |",
        "| --- " * 8 + "|",
    ]
    for pack in map(load_pack, pack_names()):
        for s in shift(pack, Settings.parse(pack.record["settings"])).rows:
            r = s.row
            lines.append(
                f"| {pack.name} | {s.title} | {STREAM_TITLES[r.streams]} | {r.kind}/clean | {r.trojaned}, {r.clean} |"
                f" {r.auc:.3f} ({r.low:.3f} to {r.high:.3f}) | {r.found:.0%} | {r.false_alarms:.0%} |"
            )
    return "\n".join(lines)


def ablation_table() -> str:
    """The paper's stream with one thing changed at a time; where probes change, the fitted members are run."""
    from ti_core.evaluation.ablations import ablate

    lines = ["| pack | part | changed to | blend/clean | patch/clean |", "| --- " * 5 + "|"]
    for pack in map(load_pack, pack_names()):
        found: dict[tuple[str, str], dict[str, str]] = {}
        settled = Settings.parse(pack.record["settings"])
        for r in ablate(pack, settled, cache=Cache(default_folder())).rows:
            cell = f"{r.auc:.3f} ({r.low:.3f} to {r.high:.3f})"
            found.setdefault((r.topic, r.name), {})[r.kind] = cell
        lines += [
            f"| {pack.name} | {topic} | {name} | {cells.get('blend', '')} | {cells.get('patch', '')} |"
            for (topic, name), cells in found.items()
        ]
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
        says = m["says"].replace("|", r"\|")
        lines.append(f"| `{f.name}` | `{default}` | {span} | {says} |")
    return "\n".join(lines)


def taxonomy() -> str:
    """The kinds of finding, and the entries of published taxonomies that they are related to."""
    lines = ["| id | finding | what it means |", "| --- " * 3 + "|"]
    lines += [f"| `{rule.id}` | {rule.title} | {rule.says} |" for rule in RULES]
    lines += ["", "| taxonomy | entry | name | findings |", "| --- " * 4 + "|"]
    for term in every_term():
        numbers = ", ".join(f"`{rule.id}`" for rule in RULES if term in rule.terms)
        scheme = f"{term.scheme.name} ({term.scheme.version})"
        lines.append(f"| {scheme} | [{term.id}]({term.address}) | {term.name} | {numbers} |")
    return "\n".join(lines)


def method_names() -> str:
    """Every method of another publication: what it needs, and its statistic."""
    lines = ["| method | publication | needs | statistic | threshold |", "| --- " * 5 + "|"]
    for name in METHODS:
        method = method_class(name)
        place = f"../{METHODS[name].module.replace('.', '/')}.py"
        first = method.source.authors.split(",")[0].split(" ")[-1]
        needs = "; ".join(need.value for need in method.needs)
        limit = "none: it judges images" if method.threshold is None else f"{method.threshold:.3g}"
        lines.append(
            f"| [`{name}`]({place}): {method.title} | [{first} et al. {method.source.year}]({method.source.link}),"
            f" {method.source.venue} | {needs} | {method.measures} | {limit} |"
        )
    return "\n".join(lines)


def method_differences() -> str:
    """What each method looks for, what its publication reports, and where the implementation differs."""
    return "\n".join(
        f"- **{m.title}** looks for {m.sees}. Its publication reports {m.source.figure}."
        + (f" {m.differs}" if m.differs else "")
        for m in map(method_class, METHODS)
    )


def method_figures() -> str:
    """What the methods find among the packs' held-out members, where it was measured, and what our verdict finds.

    One network of a kind says nothing, so that such rows are left out.
    """
    lines = [
        "| pack | method | backdoor | backdoored, clean | AUC (95 % interval) | found | false alarms | target right"
        " | seconds |",
        "| --- " * 9 + "|",
    ]
    for name in pack_names():
        pack = load_pack(name)
        record = measured(pack)
        ours = [
            r for r in pack.record["table"] if record and r["streams"] == "joint" and r["family"] == "all"
        ]
        rows = [(r["method"], r["kind"], r) for r in (record["rows"] if record else ())]
        rows += [("our verdict", _what(r), r) for r in ours]
        for method, kind, r in (row for row in rows if row[2]["trojaned"] > 1):
            shares = (
                "" if r[key] is None else f"{r[key]:.0%}" for key in ("found", "false_alarms", "target")
            )
            seconds = f"{r['seconds']:.2f}" if "seconds" in r else ""
            lines.append(
                f"| {name} | {method} | {kind} | {r['trojaned']}, {r['clean']} | {r['auc']:.3f}"
                f" ({r['low']:.3f} to {r['high']:.3f}) | {' | '.join(shares)} | {seconds} |"
            )
    return "\n".join(lines)


def methods_best() -> str:
    """By pack and kind of backdoor, our verdict beside the method of the largest AUC on the same networks."""
    lines = [
        "| pack | backdoor | backdoored, clean | our AUC (95 % interval) | largest AUC of another method | larger |",
        "| --- " * 6 + "|",
    ]
    for pack in map(load_pack, pack_names()):
        rows = (measured(pack) or {"rows": ()})["rows"]
        for r in pack.record["table"]:
            # What was asked about fewer networks is not compared.
            same = (_what(r), r["trojaned"], r["clean"])
            others = [row for row in rows if (row["kind"], row["trojaned"], row["clean"]) == same]
            if r["streams"] == "joint" and r["family"] == "all" and others:
                best = max(others, key=lambda row: row["auc"])
                larger = (
                    "ours"
                    if r["auc"] > best["auc"]
                    else best["method"]
                    if r["auc"] < best["auc"]
                    else "equal"
                )
                mine, theirs = (f"{x['auc']:.3f} ({x['low']:.3f} to {x['high']:.3f})" for x in (r, best))
                lines.append(
                    f"| {pack.name} | {_what(r)} | {r['trojaned']}, {r['clean']} | {mine} | {best['method']} {theirs} |"
                    f" {larger} |"
                )
    return "\n".join(lines)


def methods_families() -> str:
    """By pack and method, its AUC on both kinds of trigger: of standard poisoning, and as the challenge made them."""
    columns = [(kind, family) for kind in ("blend", "patch") for family in FAMILIES]
    names = (f"{kind}, {family}" for kind, family in columns)
    lines = [f"| pack | method | {' | '.join(names)} |", "| --- " * (2 + len(columns)) + "|"]
    for pack in map(load_pack, pack_names()):
        record = measured(pack) or {"versions": (), "members": ()}
        about = {m.id: m for m in pack.members}
        for method in record["versions"]:
            said = [
                (about[m["id"]], m["statistics"][method])
                for m in record["members"]
                if method in m["statistics"]
            ]
            clean = np.array([value for member, value in said if not member.trojaned])
            areas = []
            for kind, family in columns:
                own = np.array(
                    [value for m, value in said if m.label == kind and m.family.startswith(family)]
                )
                areas.append(f"{auc(clean, own):.3f} ({len(own)})" if len(own) > 1 and len(clean) else "")
            if any(areas):
                lines.append(f"| {pack.name} | {method} | {' | '.join(areas)} |")
    return "\n".join(lines)


def methods_beyond() -> str:
    """By pack and method, the backdoored held-out members that it finds and our verdict does not."""
    lines = []
    for pack in map(load_pack, pack_names()):
        record = measured(pack)
        if record is None:
            continue
        ours = {m["id"]: m["ours"] for m in record["members"]}
        if record["sha256"] != pack.sha256:
            # The pack's evidence or detector has changed since: half a minute.
            ours = called_by_ours(pack, pack.settings, Cache(None))
        missed = [m for m in record["members"] if m["kind"] != "clean" and not ours[m["id"]]]
        for method in record["versions"]:
            ids = [m["id"] for m in missed if method in m["called"]]
            lines.append(f"- {pack.name}, {method}: {', '.join(ids) or 'none'}.")
    return "\n".join(lines)


TABLES: dict[str, Callable[[], str]] = {
    "detection": detection,
    "table-1": table_1,
    "table-1-whole": table_1_whole,
    "settings": settings,
    "method-names": method_names,
    "method-differences": method_differences,
    "method-figures": method_figures,
    "methods-best": methods_best,
    "methods-families": methods_families,
    "methods-beyond": methods_beyond,
    "report-schema": lambda: report_schema().table(),
    "taxonomy": taxonomy,
    "leaderboard": lambda: leaderboard.table(leaderboard.read(leaderboard.LEADERBOARD)),
}
SLOW: dict[str, Callable[[], str]] = {"shift": shift_table, "ablations": ablation_table}
"""Made anew only when they are asked for."""
PAGES = (
    "README.md",
    *(
        f"docs/{name}.md"
        for name in ("detection", "table-1", "settings", "report-schema", "formats", "methods", "benchmark")
    ),
)
PUBLISHED_SCHEMAS = {"docs/report-schema.json": SCHEMA_VERSION}
"""The schema of the JSON report as JSON Schema, by file, with its version. That of version 1 is never made anew."""


def filled(text: str, tables: Mapping[str, Callable[[], str]] = TABLES) -> str:
    """The text with every table between its markers made anew."""
    for name, make in tables.items():
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if start in text:
            before, rest = text.split(start, 1)
            text = before + start + make() + "\n" + end + rest.split(end, 1)[1]
    return text


def published_schema(version: int) -> str:
    """The text of one of :data:`PUBLISHED_SCHEMAS`."""
    return json.dumps(report_schema(version).json, indent=2) + "\n"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--check", action="store_true", help="change nothing; fail where a page is out of date"
    )
    for name in SLOW:
        options.add_argument(f"--{name}", action="store_true", help=f"make the table of {name} anew, too")
    chosen = options.parse_args()
    tables = TABLES | {name: make for name, make in SLOW.items() if getattr(chosen, name)}
    stale = []
    for name in (*PAGES, *PUBLISHED_SCHEMAS):
        path = ROOT / name
        text = path.read_text() if path.exists() else ""
        version = PUBLISHED_SCHEMAS.get(name)
        made = published_schema(version) if version else filled(text, tables)
        if made != text:
            stale.append(name)
            if not chosen.check:
                path.write_text(made)
    if chosen.check and stale:
        print(f"{', '.join(stale)} quote other figures than the packs hold: run python -m benchmarks.tables.")
    return 1 if chosen.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
