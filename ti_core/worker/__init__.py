"""Runs the work on an untrusted file in a separate process with limits and isolation. The parent process survives it.

::

    job = Job.start("inspect", {"model": "model.onnx", "pack": None, ...})
    job.wait(print)
    job.state, job.error, job.result("report.json", limit=10_000_000)

::

    the program that asks            the host (trusted)                 the job (hostile once it opens a file)
    Job, one supervisor thread  -->  imports torch once, opens no  -->  forked; confined by the kernel; runs one
    a job; reads lines and           model file, forks a process        task; writes result files into its own
    result files, bounded            for every job                      folder and JSON lines into a pipe

Nothing is pickled on the way. The request and the lines that come back are JSON. Results are files that are read with
limits (:mod:`ti_core.worker.results`).
"""

from __future__ import annotations

from ti_core.worker.job import Job, warm_up
from ti_core.worker.limits import Limits
from ti_core.worker.protocol import Event

__all__ = ["Event", "Job", "Limits", "warm_up"]
