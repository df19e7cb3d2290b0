"""The rate of false alarms holds for clean networks that took no part in setting the thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from ti_core.detector.thresholds import FALSE_ALARMS
from ti_core.evaluation.scoring import evidence_of_all, score, split_pack
from ti_core.reference.pack import load_pack
from ti_core.reference.reference import Reference
from ti_core.streams import make_streams
from ti_core.system.cache import Cache

PERMUTATIONS = 6


@pytest.mark.parametrize("name", ["mnist", "cifar10", "gtsrb", "cifar100"])
def test_clean_members_in_random_order_raise_no_more_alarms_than_are_promised(name: str) -> None:
    """A random third of the clean groups takes the place of suspects, again and again."""
    pack = load_pack(name)
    settings = pack.settings.with_(streams=("universal", "windowed", "inversion"))
    streams = make_streams(settings)
    evidence = evidence_of_all(Reference(pack, settings, Cache(None)), streams)
    rng, alarms, count = np.random.default_rng(7), 0, 0
    groups = np.array([m.group for m in pack.members])
    clean = np.array([not m.trojaned for m in pack.members])
    for _ in range(PERMUTATIONS):
        own = np.unique(groups[clean])
        suspects = np.isin(groups, rng.permutation(own)[: len(own) // 3])
        fit, test = np.flatnonzero(~suspects), np.flatnonzero(suspects & clean)
        view = split_pack(pack, settings, streams, evidence, fit, test)
        fitted = {s.name: view.evidence(s, None) for s in streams}
        tested = {s.name: view.evidence(s, None, held_out=True) for s in streams}
        found = score(view, fitted, tested, [m for m in view.pack.members if m.held_out])["joint"]
        alarms, count = alarms + int(found.called.sum()), count + len(test)
    # At the promised rate more alarms than these would happen once in a hundred times. The same networks come again and
    # again, so that each counts once.
    networks = int(clean.sum())
    most = binom.ppf(0.99, networks, FALSE_ALARMS) / networks
    assert alarms / count <= most, f"{alarms} of {count}"
