"""Counts how often a network's normalisation is found from labelled images, if its file does not declare it.

``python -m benchmarks.preprocessing --pack mnist --every 4`` tests every fourth member of a pack without using its
recorded normalisation.
"""

from __future__ import annotations

import argparse
from collections import Counter

import torch

from ti_core.reconstruction.model import Model
from ti_core.reference.choosing import understand_with
from ti_core.reference.pack import load_pack


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--pack", default="mnist")
    options.add_argument("--every", type=int, default=4)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    pack = load_pack(chosen.pack)
    members = pack.members[:: chosen.every]
    wrong: Counter[str] = Counter()
    by_accuracy = 0
    for member in members:
        model = Model(pack.scores(member).network, member.id, "0" * 64, "", member.architecture, 0)
        found = understand_with(model, pack)
        by_accuracy += max(found.tried, key=found.tried.__getitem__) == member.normalisation
        if found.normalisation != member.normalisation:
            wrong[f"{found.normalisation} for {member.normalisation}"] += 1
    print(
        f"{pack.name}: the scaling of {len(members) - sum(wrong.values())} of {len(members)} members is found"
    )
    print(f"  taken by accuracy alone it would be {by_accuracy}; mistaken: {dict(wrong)}")


if __name__ == "__main__":
    main()
