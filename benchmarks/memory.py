"""Measures the memory of an inspection: of the calling process, the worker's host and the job's process.

``python -m benchmarks.memory`` prints the peak resident memory of each, by the kernel's high-water mark. Pages that a
job shares with the host are counted in both. It also prints how the peak of the saliency evidence grows with the
number of images N.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.start import SAMPLES
from benchmarks.table import ROOT, Row, told
from ti_core.settings import Settings
from ti_core.worker import Job, warm_up
from ti_core.worker.hosts import running_host


def held(pid: int | str, line: str = "VmHWM") -> float:
    """MiB in this line of ``/proc/<pid>/status``; 0 if the process has ended."""
    with suppress(OSError):
        found = re.search(rf"{line}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        if found:
            return int(found[1]) / 1024
    return 0.0


def peak(settings: Settings) -> str:
    """Peak memory of a job: all resident memory, and its anonymous memory alone."""
    request = {"model": str(SAMPLES[0]), "settings": settings.as_dict(), "device": "cpu", "threads": 1}
    whole = own = 0.0
    with Job.start("inspect", request) as job:
        while job.state == "running":
            if job._pid is not None:
                whole, own = max(whole, held(job._pid)), max(own, held(job._pid, "RssAnon"))
            time.sleep(0.005)
        if job.state != "done":
            raise SystemExit(job.error)
    return f"{whole:.0f} MiB ({own:.0f} in memory that no file stands behind)"


def evidence(images: int) -> None:
    """Print this process's memory before, and its peak during, the evidence of one network with this many images."""
    import torch

    from ti_core.reference.pack import load_pack
    from ti_core.reference.reference import Reference
    from ti_core.streams.saliency import Saliency
    from ti_core.system.cache import Cache

    torch.set_num_threads(1)
    reference = Reference(load_pack("mnist"), Settings(images=images), Cache(None))
    scores = reference.scores(reference.fitted[0])
    before = held("self", "VmRSS")
    Saliency(reference.settings).evidence(scores, reference.context(reference.probes()))
    print(before, held("self"))


def grown(images: int) -> float:
    """MiB by which the evidence with this many images raises the peak of a separate process."""
    command = [sys.executable, "-m", "benchmarks.memory", "--evidence", str(images)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    return after - before


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--images", type=int, nargs="+", default=[16, 64, 256])
    options.add_argument("--evidence", type=int, help="only compute that, in this process")
    given = options.parse_args()
    if given.evidence:
        evidence(given.evidence)
        return
    warm_up()
    paper, everything = peak(Settings(streams=("saliency",))), peak(Settings())
    more = ", ".join(f"{grown(n):.0f}" for n in given.images)
    host, own = held(running_host()._process.pid), held("self")
    rows = [
        Row("the process that opens the model, the paper's stream", paper, "one run"),
        Row("the same, all streams", everything, "one run"),
        Row("the worker's host, everything imported", f"{host:.0f} MiB", "one process"),
        Row("the process that asks, which opens no model", f"{own:.0f} MiB", "one process"),
        Row(
            f"saliency evidence at N {', '.join(map(str, given.images))}, beyond what the process held before",
            f"{more} MiB",
            "one run each, one thread",
        ),
    ]
    told("memory", rows)


if __name__ == "__main__":
    main()
