"""Times jobs in the confined process, from their start to their end, and their cancellation.

``python -m benchmarks.worker`` times a job that describes a small file, in a new host and in a warm one; a saliency
inspection of the bundled samples in a warm host, as in the dashboard's server; the same samples with all streams and
pictures from the cache; and the time from a cancellation to the end of the process. It also prints the confinement that
this machine offers.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.start import SAMPLES
from benchmarks.table import Row, Times, count, middle, told
from ti_core.settings import Settings
from ti_core.worker import Job, warm_up
from ti_core.worker.hosts import close_host, running_host


def described() -> float:
    """Seconds for the smallest job."""
    start = time.perf_counter()
    with Job.start("describe", {"model": str(SAMPLES[0])}) as job:
        job.wait()
        if job.state != "done":
            raise SystemExit(job.error)
        return time.perf_counter() - start


def inspected(sample: Path, times: Times, **request: Any) -> float:
    """Run one inspection and add it to ``times``. Returns the seconds to its first message."""
    before, start = of_jobs(), time.perf_counter()
    whole = {"model": str(sample), "settings": {}, "device": "cpu"} | request
    with Job.start("inspect", whole) as job:
        seen: list[float] = []
        job.wait(lambda event: seen.append(time.perf_counter() - start))
        if job.state != "done":
            raise SystemExit(job.error)
        times.clock.append(time.perf_counter() - start)
    times.processor.append(of_jobs() - before)
    return seen[0]


def of_jobs() -> float:
    """Processor seconds of all ended jobs of the host."""
    fields = Path(f"/proc/{running_host()._process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def opened_again(sample: Path, times: Times, rounds: int) -> None:
    """All streams and the pictures of a sample that was inspected before with this cache."""
    with tempfile.TemporaryDirectory() as cache:
        request = {"cache": cache, "case": True}
        inspected(sample, Times(), **request)
        for _ in range(rounds):
            inspected(sample, times, **request)


def stopped() -> float:
    """Seconds from cancelling an inspection to the end of its process."""
    request = {"model": str(SAMPLES[0]), "settings": {}, "device": "cpu"}
    with Job.start("inspect", request) as job:
        while not job.poll() and job.state == "running":
            time.sleep(0.005)
        pid = job.pid
        start = time.perf_counter()
        job.cancel()
        while Path(f"/proc/{pid}/stat").exists():
            time.sleep(0.001)
        return time.perf_counter() - start


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=5)
    rounds = options.parse_args().rounds

    with Job.start("describe", {"model": str(SAMPLES[0])}) as job:
        job.wait()
        for name, sentence in job.isolation.items():
            print(f"{name}: {sentence}")

    def times(run: Callable[[], float]) -> list[float]:
        return [run() for _ in range(rounds)]

    def cold() -> float:
        close_host()
        return described()

    started = times(cold)
    warm_up()
    settings = Settings(streams=("saliency",)).as_dict()
    inspected(SAMPLES[0], Times(), settings=settings)
    small, paper, again = times(described), Times(), Times()
    signs = [inspected(sample, paper, settings=settings) for sample in SAMPLES for _ in range(rounds)]
    for sample in SAMPLES:
        opened_again(sample, again, rounds)
    few = count(rounds, "round")
    many = f"{len(SAMPLES)} samples, {few}"
    rows = [
        Row("a small job, the worker's host started for it", middle(started, "s"), few),
        Row("a small job in a warm host", middle(small, "s", 3), few),
        Row("the paper's stream in a warm host, to its first sign", middle(signs, "s", 3), many),
        paper.row("the paper's stream in a warm host, no cache, to its verdict", many),
        again.row("the same model opened again: all streams, pictures, recovered trigger", many),
        Row("from cancelling to the process being gone", middle(times(stopped), "s", 3), few),
    ]
    told("worker", rows)


if __name__ == "__main__":
    main()
