"""What is searched in large images without reference models, and in which order."""

from __future__ import annotations

import math

import pytest
import torch

from tests.streams.test_passes import Counted
from tests.streams.toys import Linear, grey
from ti_core.settings import Settings
from ti_core.stream_registry import QUICK, QUICK_OF_LARGE
from ti_core.streams import Context, in_turn, make_streams, stream_class
from ti_core.streams.base import as_stack
from ti_core.streams.searches.sparing import Sparing
from ti_core.streams.universal import USUAL_OF_PICTURES, Universal

SIDE = 96
QUARTERS = torch.eye(4).view(4, 1, 2, 2).repeat_interleave(SIDE // 2, 2).repeat_interleave(SIDE // 2, 3)
LABELS = torch.arange(24) % 4
IMAGES = grey(24, side=SIDE, low=0.3, high=0.4) + 0.5 * QUARTERS[LABELS]


class Picture(torch.nn.Module):
    """The brightest quarter is the class. A picture of four by four squares that is blended in commands ``target``."""

    def __init__(self, target: int) -> None:
        super().__init__()
        self.linear, self.target = Linear(40 * QUARTERS / SIDE**2), target
        picture = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(0)).round() - 0.5
        self.picture = torch.nn.functional.interpolate(picture, (SIDE, SIDE))[0]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.linear(x)
        likeness = ((x - 0.5) * self.picture).mean((1, 2, 3))
        command = 1000 * torch.relu(likeness - 0.015)
        return z + torch.nn.functional.one_hot(torch.tensor(self.target), 4) * command[:, None]


@pytest.mark.parametrize("level", [0, 1, 2])
def test_in_large_images_a_blended_picture_is_found_and_the_work_is_what_is_told(level: int) -> None:
    stream = stream_class("universal")(Settings())
    assert isinstance(stream, Universal)
    stream.sparing = Sparing(True, level, large=True)
    shown = Context(IMAGES, LABELS, 4, Settings())
    network = Counted(4, (1, SIDE, SIDE))
    network.inner = Picture(2)
    evidence = stream.evidence(network, shown)
    assert evidence["margins"].shape == evidence["success"].shape == (1, 4)
    assert evidence["success"][0].tolist() == [0.0, 0.0, 1.0, 0.0]
    one = as_stack(evidence)
    assert int(stream.standing_out(one).argmax()) == 2 and stream.usual_after(one) == USUAL_OF_PICTURES
    assert stream.most_after(one) == math.inf
    told = stream.passes(4, (1, SIDE, SIDE))
    assert told is not None and told.both == network.seen["both"] > 0


def test_small_images_and_very_many_classes_keep_small_changes() -> None:
    stream = stream_class("universal")(Settings())
    stream.sparing = Sparing(True, 1)
    evidence = stream.evidence(Picture(2), Context(IMAGES, LABELS, 4, Settings()))
    assert evidence["margins"].shape == (3, 4)
    assert stream.most_after(as_stack(evidence)) == Universal.at_most


def test_a_quick_inspection_of_large_images_asks_other_streams_in_another_order() -> None:
    quick = Settings(streams=QUICK)
    small, large = ([s.name for s in make_streams(quick, size)] for size in ((32, 32), (224, 224)))
    assert small == [s.name for s in make_streams(quick)] and set(large) == set(QUICK_OF_LARGE)
    own = Settings(streams=("universal", "inversion", "windowed"))
    kept = make_streams(own, (224, 224))
    assert {s.name for s in kept} == set(own.streams), "streams that somebody chose stay"
    assert [s.name for s in in_turn(kept)] == ["inversion", "windowed", "universal"]
    for stream in kept:
        stream.sparing = Sparing(True, 1, large=True)
    assert [s.name for s in in_turn(kept)] == ["universal", "windowed", "inversion"]


def test_half_windows_of_a_quick_inspection_count_the_windows_before_them_once() -> None:
    shape = (3, SIDE, SIDE)
    quick = {s.name: s.passes(10, shape) for s in make_streams(Settings(streams=QUICK), shape[1:])}
    usual = {s.name: s.passes(10, shape) for s in make_streams(Settings(), shape[1:])}
    assert set(quick) == set(QUICK_OF_LARGE) and quick == {name: usual[name] for name in quick}
