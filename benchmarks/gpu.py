"""Compares evidence on a GPU and on the CPU: seconds, the share of the time in which the GPU computes, and arrays.

``python -m benchmarks.gpu`` computes every stream's evidence of one held-out member of each pack on both. Without a GPU
it says so and gives no rows. It also shows how far mixed precision changes the quantile functions of the saliency. The
program itself does not use mixed precision.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.table import Row, told
from ti_core.reference.pack import Member, Pack, load_pack
from ti_core.reference.reference import Reference
from ti_core.settings import Settings
from ti_core.streams import Evidence, Stream, make_streams
from ti_core.system.cache import Cache


def seconds(work: Callable[[], object], rounds: int = 3) -> float:
    """Seconds of the shortest of several runs, until the GPU has finished."""
    times = []
    for _ in range(rounds + 1):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def computing(work: Callable[[], object]) -> float:
    """Seconds in which the GPU computes, by torch's profiler."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as found:
        work()
        torch.cuda.synchronize()
    return sum(event.self_device_time_total for event in found.key_averages()) / 1e6


def farthest(a: Evidence, b: Evidence) -> float:
    """The largest difference between arrays of the same name, as a share of the largest value."""
    return max(float(np.abs(a[k] - b[k]).max() / max(np.abs(a[k]).max(), 1e-9)) for k in a)


def on(pack: Pack, member: Member, stream: Stream, device: str) -> Callable[[], Evidence]:
    """A function that computes the stream's evidence of a member. Network and images are on the device already."""
    reference = Reference(pack, Settings(), Cache(None), device)
    scores, context = reference.scores(member), reference.context(reference.probes())
    return lambda: stream.evidence(scores, context)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pack", nargs="+", default=["mnist", "gtsrb"])
    given = options.parse_args()
    if not torch.cuda.is_available():
        print("  There is no GPU on this machine: the rows of one are left out.")
        told("gpu", [])
        return
    torch.backends.cudnn.allow_tf32 = False
    rows = [row for name in given.pack for row in of_streams(load_pack(name))]
    rows.append(half(load_pack(given.pack[0])))
    told("gpu", rows)


def of_streams(pack: Pack) -> list[Row]:
    """A row for every stream, for the first held-out member of the pack."""
    member, rows = held_out(pack), []
    for stream in make_streams(Settings()):
        there, here = on(pack, member, stream, "cuda"), on(pack, member, stream, "cpu")
        start = time.perf_counter()
        own = here()
        slow, fast = time.perf_counter() - start, seconds(there)
        share = computing(there) / fast
        result = (
            f"{fast:.3f} s, {slow / fast:.1f} times as fast as the CPU; the card computes {share:.0%} of it;"
            f" evidence differs by {farthest(own, there()):.1e}"
        )
        of = f"one member of {pack.name}, {torch.cuda.get_device_name()}"
        rows.append(Row(f"{stream.name} stream", result, of))
    return rows


def held_out(pack: Pack) -> Member:
    return next(m for m in pack.members if m.held_out)


def half(pack: Pack) -> Row:
    """A row that compares the saliency stream in bfloat16 and in single precision."""
    (stream,) = (s for s in make_streams(Settings()) if s.name == "saliency")
    single = on(pack, held_out(pack), stream, "cuda")

    def mixed() -> Evidence:
        with torch.autocast("cuda", dtype=torch.bfloat16):
            return single()

    ratio, moved = seconds(mixed) / seconds(single), farthest(single(), mixed())
    result = f"{ratio:.2f} times the time of single precision; evidence differs by {moved:.1e}"
    return Row("saliency stream in mixed precision (not used)", result, f"one member of {pack.name}")


if __name__ == "__main__":
    main()
