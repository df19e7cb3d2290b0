"""How long the confined process costs: a job from its start to its end, and stopping one.

``python -m benchmarks.worker``: a job that describes a small file, in a host that has to be started, and in one that is
warm; an inspection of a bundled sample's saliency in a warm host; from cancelling to the process being gone. It prints
what keeps the jobs from network, files and processes on this machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.start import SAMPLES
from ti_core.settings import Settings
from ti_core.worker import Job, warm_up
from ti_core.worker.hosts import close_host


def described() -> float:
    """Seconds for the smallest job."""
    start = time.perf_counter()
    with Job.start("describe", {"model": str(SAMPLES[0])}) as job:
        job.wait()
        if job.state != "done":
            raise SystemExit(job.error)
        return time.perf_counter() - start


def inspected(first: list[float]) -> float:
    """Seconds for the paper's stream on a sample; the seconds to its first sign are put into ``first``."""
    start = time.perf_counter()
    request = {
        "model": str(SAMPLES[0]),
        "settings": Settings(streams=("saliency",)).as_dict(),
        "device": "cpu",
    }
    with Job.start("inspect", request) as job:
        seen: list[float] = []
        job.wait(lambda event: seen.append(time.perf_counter() - start))
        if job.state != "done":
            raise SystemExit(job.error)
        first.append(seen[0])
        return time.perf_counter() - start


def stopped() -> float:
    """Seconds from cancelling an inspection to its process being gone."""
    request = {"model": str(SAMPLES[0]), "settings": {}, "device": "cpu"}
    with Job.start("inspect", request) as job:
        while not job.poll() and job.state == "running":
            time.sleep(0.005)
        pid = job._pid
        start = time.perf_counter()
        job.cancel()
        while Path(f"/proc/{pid}/stat").exists():
            time.sleep(0.001)
        return time.perf_counter() - start


def told(name: str, seconds: list[float]) -> None:
    print(f"  {name}: median {statistics.median(seconds):.3f} s, longest {max(seconds):.3f} s", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=5)
    rounds = options.parse_args().rounds

    def times(run: Callable[[], float]) -> list[float]:
        return [run() for _ in range(rounds)]

    with Job.start("describe", {"model": str(SAMPLES[0])}) as job:
        job.wait()
        for name, sentence in job.isolation.items():
            print(f"{name}: {sentence}")
    print(f"{rounds} rounds, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")

    def cold() -> float:
        close_host()
        return described()

    told("a small job, the host started for it", times(cold))
    warm_up()
    inspected([])
    told("a small job in a warm host", times(described))
    first: list[float] = []
    whole = times(lambda: inspected(first))
    told("an inspection in a warm host, to its first sign", first)
    told("an inspection in a warm host, the paper's stream", whole)
    told("from cancelling to the process being gone", times(stopped))


if __name__ == "__main__":
    main()
