"""The statistics of a pack's held-out members, beside which an opinion is shown.

They lie in ``assets/methods``, one file a pack, as ``evaluate --pack NAME --methods ... --json`` writes them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ti_core.methods import method_class
from ti_core.methods.opinion import Opinion

TABLES = Path(__file__).resolve().parent.parent.parent / "assets" / "methods"


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


def measured(pack: str, sha256: str, folder: Path = TABLES) -> dict[str, Any] | None:
    """The record of the measurement on the pack of this name and digest; None if there is none."""
    path = folder / f"{pack}.json"
    # A stranger's pack may have any name.
    if path.parent.resolve() != folder.resolve() or not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    # A pack that has changed since is another one.
    return record if record["sha256"] == sha256 else None


def beside(opinion: Opinion, pack: str, sha256: str, folder: Path = TABLES) -> Beside | None:
    """The statistics beside which an opinion is shown; None if they were not measured on this pack by this version."""
    record = measured(pack, sha256, folder)
    if record is None:
        return None
    if record["versions"].get(opinion.method) != method_class(opinion.method).version:
        return None
    sorts: tuple[list[float], list[float]] = [], []
    for member in record["members"]:
        if opinion.method in member["statistics"]:
            sorts[member["kind"] != "clean"].append(float(member["statistics"][opinion.method]))
    clean, backdoored = (tuple(sorted(values)) for values in sorts)
    return Beside(clean, backdoored) if clean and backdoored else None
