"""Put what methods of other publications say of a pack's held-out members into ``assets/methods``.

``python -m benchmarks.method_records --pack mnist --methods strip,abs`` asks them as ``evaluate --methods`` does, and
puts their figures in the place of the former ones. Those of other methods stay where all that they rest on is as it
was. ``--count N`` is that of ``evaluate``. Without ``--methods`` nothing is asked: methods whose figures no longer hold
go, and our verdicts are made anew.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ti_core.cli.bar import Bar
from ti_core.cli.output import a_count
from ti_core.evaluation.methods import MethodTable, called_by_ours, kind_of, measure_methods
from ti_core.methods import METHODS, chosen_methods
from ti_core.methods.beside import TABLES, measured, restricted
from ti_core.methods.learnt import root
from ti_core.reference.pack import Pack, load_pack
from ti_core.system.cache import Cache, default_folder
from ti_core.system.memory import keep_freed_memory


def combined(
    pack: Pack, former: dict[str, Any] | None, found: MethodTable | None, ours: Mapping[str, bool]
) -> dict[str, Any]:
    """The record of a pack: the former one's methods that hold and were not asked again, and those of ``found``.

    Parameters
    ----------
    former : as :func:`ti_core.methods.beside.measured` gives it.
    ours : by id of a held-out member, whether our verdict calls it backdoored.
    """
    later = json.loads(json.dumps(found.as_dict())) if found else {}
    parts = [later] if later else []
    if former:
        parts.append(
            restricted(former, [n for n in former["versions"] if n not in later.get("versions", {})])
        )
    names = [name for name in METHODS if any(name in part["versions"] for part in parts)]
    members = []
    for member in (m for m in pack.members if m.held_out):
        said: dict[str, float] = {}
        called: set[str] = set()
        for part in parts:
            for own in (m for m in part["members"] if m["id"] == member.id):
                said |= own["statistics"]
                called |= set(own["called"])
        if said:
            about = {"id": member.id, "kind": kind_of(member), "ours": ours[member.id]}
            statistics = {n: said[n] for n in names if n in said}
            members.append(about | {"statistics": statistics, "called": [n for n in names if n in called]})
    whole = {
        key: {n: p[key][n] for n in names for p in parts if n in p[key]} for key in ("versions", "rests_on")
    }
    rows = [row for n in names for part in parts for row in part["rows"] if row["method"] == n]
    return {"pack": pack.name, "sha256": pack.sha256, **whole, "rows": rows, "members": members}


def written(record: dict[str, Any]) -> str:
    """The text of a record, with a line for each row and member."""
    lists = {key: "[\n" + ",\n".join(map(json.dumps, record[key])) + "\n]" for key in ("rows", "members")}
    heads = {key: json.dumps(value) for key, value in record.items() if key not in lists}
    return "{\n" + ",\n".join(f'"{key}": {text}' for key, text in (heads | lists).items()) + "\n}\n"


def main(arguments: list[str] | None = None, folder: Path = TABLES) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pack", required=True, metavar="NAME")
    options.add_argument("--methods", metavar="NAME,...")
    options.add_argument("--count", type=a_count, metavar="N")
    chosen = options.parse_args(arguments)
    keep_freed_memory()
    pack, cache, bar = load_pack(chosen.pack), Cache(default_folder()), Bar(chosen.pack)
    ours = called_by_ours(pack, pack.settings, cache)
    found = None
    if chosen.methods:
        names = chosen_methods(chosen.methods)
        found = measure_methods(pack, names, pack.settings, cache, root(), bar, chosen.count, ours)
    bar.close()
    cache.close()
    record = combined(pack, measured(pack, folder), found, ours)
    (folder / f"{pack.name}.json").write_text(written(record), encoding="utf-8")
    print(f"{pack.name}: {', '.join(record['versions']) or 'no method'}.")


if __name__ == "__main__":
    main()
