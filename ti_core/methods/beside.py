"""The statistics of a pack's held-out members, beside which an opinion is shown.

They lie in ``assets/methods``, one file a pack, as ``benchmarks.method_records`` writes them. What a file says of a
method holds as long as all that it rests on is as it was (:mod:`ti_core.methods.inputs`). Evidence and detectors of a
pack are none of that.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ti_core.errors import PackError
from ti_core.methods import METHODS, method_class
from ti_core.methods.inputs import digest_of_statistics
from ti_core.methods.opinion import Opinion
from ti_core.reference.pack import Pack, load_pack
from ti_core.system.folders import assets_folder

TABLES = assets_folder() / "methods"


@dataclass(frozen=True)
class Beside:
    """A method's statistics of a pack's held-out members.

    Parameters
    ----------
    clean, backdoored : of each sort, in ascending order; neither is empty.
    """

    clean: tuple[float, ...]
    backdoored: tuple[float, ...]

    def shares_below(self, statistic: float) -> tuple[float, float]:
        """The shares of the clean and of the backdoored members with a smaller statistic."""
        clean = sum(other < statistic for other in self.clean) / len(self.clean)
        return clean, sum(other < statistic for other in self.backdoored) / len(self.backdoored)

    def sentence(self, statistic: float) -> str:
        """Where a statistic stands among them, in one sentence."""
        clean, backdoored = self.shares_below(statistic)
        return (
            f"The statistic is higher than that of {clean:.0%} of {len(self.clean)} clean networks and of"
            f" {backdoored:.0%} of {len(self.backdoored)} backdoored ones."
        )


def measured(pack: Pack, folder: Path = TABLES) -> dict[str, Any] | None:
    """The record of the measurement on a pack, with the methods of which it still holds; None if there is none.

    Parameters
    ----------
    folder : of the records.
    """
    record = _record(pack.name, folder)
    if record is None:
        return None
    kept = [name for name in record["versions"] if _holds(record, name, pack)]
    return restricted(record, kept) if kept else None


def restricted(record: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """A record with these methods alone. A member without a statistic is left out."""
    members = []
    for member in record["members"]:
        statistics = {name: value for name, value in member["statistics"].items() if name in names}
        if statistics:
            called = [name for name in member["called"] if name in names]
            members.append({**member, "statistics": statistics, "called": called})
    return {
        **record,
        "versions": {name: record["versions"][name] for name in names},
        "rests_on": {name: record["rests_on"][name] for name in names},
        "rows": [row for row in record["rows"] if row["method"] in names],
        "members": members,
    }


def beside(opinion: Opinion, pack: str, sha256: str, folder: Path = TABLES) -> Beside | None:
    """The statistics beside which an opinion is shown.

    Parameters
    ----------
    pack, sha256 : name and digest of the pack with which the opinion was asked for.
    folder : of the records.

    Returns
    -------
    None if they were not measured on this pack, or rest on something that has changed since.
    """
    record = _record(pack, folder)
    if record is None or opinion.method not in record["versions"]:
        return None
    try:
        whole = _pack(pack, sha256)
    except PackError:
        # That of a stranger, or a former one.
        return None
    if not _holds(record, opinion.method, whole):
        return None
    sorts: tuple[list[float], list[float]] = [], []
    for member in record["members"]:
        if opinion.method in member["statistics"]:
            sorts[member["kind"] != "clean"].append(float(member["statistics"][opinion.method]))
    clean, backdoored = (tuple(sorted(values)) for values in sorts)
    return Beside(clean, backdoored) if clean and backdoored else None


def _record(pack: str, folder: Path) -> dict[str, Any] | None:
    path = folder / f"{pack}.json"
    # A stranger's pack may have any name.
    if path.parent.resolve() != folder.resolve() or not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


@lru_cache(maxsize=8)
def _pack(name: str, sha256: str) -> Pack:
    found = load_pack(name)
    if found.sha256 != sha256:
        raise PackError(f"The pack {name} has another digest than {sha256}.")
    return found


def _holds(record: dict[str, Any], name: str, pack: Pack) -> bool:
    """Whether all that the method's statistics rest on is as it was."""
    if name not in METHODS or name not in record["rests_on"]:
        return False
    ids = [member["id"] for member in record["members"] if name in member["statistics"]]
    now: str | None = digest_of_statistics(pack, method_class(name)(), ids)
    return bool(now == record["rests_on"][name])
