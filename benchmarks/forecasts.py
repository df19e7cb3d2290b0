"""Compares what is forecast of an inspection, from one measured pass, with what it takes.

``python -m benchmarks.forecasts`` asks held-out members of the packs, evenly spread, quickly and in full. It prints for
each the forecast of :mod:`ti_core.inspection.budget.costs` and the seconds of the inspection, and at the end the share
of forecasts that are right within a factor of 1.5. ``--mnist 12 --cifar10 4`` says how many members of each pack.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from contextlib import suppress

from ti_core.inspection.budget.costs import MeasuredError, Scales
from ti_core.inspection.with_pack import inspect
from ti_core.reconstruction.model import Model
from ti_core.reference.choosing import understand_with
from ti_core.reference.pack import Member, Pack, load_pack
from ti_core.reference.reference import Reference
from ti_core.streams import make_streams
from ti_core.system.cache import Cache

RIGHT = 1.5
"""Factor within which a forecast is called right."""


def as_model(pack: Pack, member: Member) -> Model:
    """A member as a model that nothing is known of."""
    network = pack.scores(member).network
    return Model(network, member.id, "0" * 64, "onnx", "m", 0, len(pack.class_names), pack.input_shape)


def compare(pack: Pack, member: Member) -> list[tuple[str, float, float]]:
    """By effort, the forecast seconds and those of the inspection."""
    scales = Scales(pack.settings.for_inspection())
    with suppress(MeasuredError):
        understand_with(as_model(pack, member), pack, gauge=scales)
    rows = []
    for effort, forecast in scales.costs().items():
        settings = pack.settings.for_inspection().of_effort(effort)
        reference = Reference(pack, settings, Cache(None))
        # Evidence of all members would take an hour.
        if any(reference.to_compute(stream) for stream in make_streams(settings)):
            continue
        start = time.perf_counter()
        inspect(as_model(pack, member), pack, settings, cache=Cache(None))
        rows.append((effort, forecast, time.perf_counter() - start))
    return rows


def is_right(forecast: float, took: float) -> bool:
    """Whether a forecast is right within :data:`RIGHT`."""
    return max(forecast, took) <= RIGHT * min(forecast, took)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mnist", type=int, default=12)
    parser.add_argument("--cifar10", type=int, default=4)
    options = vars(parser.parse_args(arguments))
    right: list[bool] = []
    for name, count in options.items():
        pack = load_pack(name)
        members = [m for m in pack.members if m.held_out]
        for member in members[:: max(1, len(members) // max(1, count))][:count]:
            for effort, forecast, took in compare(pack, member):
                right.append(is_right(forecast, took))
                print(
                    f"{name:8} {member.id:24} {effort:9} forecast {forecast:6.1f} s  took {took:6.1f} s",
                    flush=True,
                )
    if right:
        print(f"{sum(right)} of {len(right)} forecasts are right within a factor of {RIGHT}")


if __name__ == "__main__":
    main()
