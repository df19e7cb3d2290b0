"""What streams say of their work is what they do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.streams.toys import Linear
from ti_core.classifier.first_pass import FirstPass
from ti_core.paper.probes import make_probes
from ti_core.settings import Settings
from ti_core.stream_registry import STREAMS
from ti_core.streams import Context, Evidence, in_turn, make_streams
from ti_core.streams.passes import Passes, portions

SETTINGS = Settings(images=4, actmax_iterations=1, streams=tuple(STREAMS))


class Counted(nn.Module):
    """A network that counts its images."""

    def __init__(self, classes: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.inner = Linear(torch.randn(classes, *shape, generator=generator))
        self.seen = {"forward": 0, "both": 0}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen["both" if torch.is_grad_enabled() else "forward"] += len(x)
        return self.inner(x)

    def __deepcopy__(self, memo: object) -> Counted:
        return self


@pytest.mark.parametrize(("classes", "shape"), [(4, (3, 12, 12)), (20, (1, 12, 12))])
def test_the_work_that_streams_tell_is_the_work_they_do(classes: int, shape: tuple[int, int, int]) -> None:
    network = Counted(classes, shape)
    images = torch.rand(60, *shape, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(60) % classes
    probes = make_probes(network.inner, images[:4], SETTINGS)
    context = Context(images, labels, classes, SETTINGS, probes)
    found: dict[str, Evidence] = {}
    for stream in in_turn(make_streams(SETTINGS)):
        network.seen = {"forward": 0, "both": 0}
        shares: list[float] = []
        found[stream.name] = stream.evidence(network, replace(context, found=found), shares.append)
        told = stream.passes(classes, shape)
        assert told is not None and told.both == network.seen["both"], stream.name
        # Some streams look at the clean images once, which is left out or counted as a whole batch.
        assert abs(network.seen["forward"] - told.forward) <= 256, stream.name
        assert shares == sorted(shares) and shares[-1] == pytest.approx(1.0), stream.name


@pytest.mark.parametrize(("classes", "shape"), [(4, (3, 12, 12)), (20, (1, 12, 12))])
def test_the_order_in_which_streams_run_changes_no_evidence(
    classes: int, shape: tuple[int, int, int]
) -> None:
    """Also where they share a shortlist, which the first of them makes."""
    images = torch.rand(60, *shape, generator=torch.Generator().manual_seed(1))
    context = Context(images, torch.arange(60) % classes, classes, SETTINGS)
    streams = [
        s for s in make_streams(SETTINGS) if s.name in ("universal", "windowed", "inversion", "assignment")
    ]
    found = []
    for order in (streams, in_turn(streams)):
        network = Counted(classes, shape)
        found.append({s.name: s.evidence(network, context) for s in order})
    for name, evidence in found[0].items():
        assert all(np.array_equal(values, found[1][name][key]) for key, values in evidence.items()), name


def test_work_is_added_and_takes_its_time() -> None:
    work = Passes(forward=2, both=1) * 3 + Passes(both=1)
    assert work == Passes(6, 4)
    assert work.seconds(FirstPass(forward=0.5, both=2.0)) == 11.0


def test_a_portion_moves_progress_by_its_share_of_the_work() -> None:
    told: list[float] = []
    first, nothing, last = portions(told.append, (Passes(both=1), Passes(), Passes(forward=1)))
    for part in (first, nothing, last):
        part(0.5)
        part(1.0)
    assert told == pytest.approx([0.375, 0.75, 0.75, 0.75, 0.875, 1.0])
