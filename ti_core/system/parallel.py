"""Where many equal pieces of work are done: processes of this machine (joblib), or the machines of a Ray cluster."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from ti_core.errors import SettingsError
from ti_core.system.progress import CountProgress, silent_count

Item = TypeVar("Item")
Result = TypeVar("Result")

ENGINES = ("local", "ray")
LOOPBACK = "127.0.0.1"
STARTS = 4
RETRIES = 5
"""How often a piece of work is done anew after the process or the machine that had it was lost."""


def run_many(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    jobs: int = -1,
    engine: str = "local",
    progress: CountProgress = silent_count,
) -> Iterator[tuple[int, Result]]:
    """``function(item)`` for every item: pairs of its place among the items and the result, as they are finished.

    Parameters
    ----------
    function : of a module, or a ``functools.partial`` of one, so that another process can find it.
    items : small values; large data is best read by the function itself, from a path that every machine sees.
    jobs : pieces of work at once; -1 for one per core. With 1, the local engine works in this very process.
    engine : "local", or "ray": the cluster that ``$RAY_ADDRESS`` names, or else one that is started on this machine,
        reached from it alone, and stopped at the end.
    progress : called after each finished piece.

    Raises
    ------
    SettingsError : an unknown engine, or Ray is asked for and not installed.
    Exception : whatever ``function`` raises, unchanged.

    Notes
    -----
    With Ray, what a lost process or machine was doing is done anew elsewhere (:data:`RETRIES` times); what the
    function itself raises is not tried again.
    """
    if engine not in ENGINES:
        raise SettingsError(f"There is no engine {engine!r}; there are {' and '.join(ENGINES)}.")
    work = _with_ray if engine == "ray" else _with_joblib
    for done, pair in enumerate(work(function, items, jobs), start=1):
        progress(done, len(items))
        yield pair


def ordered(pairs: Iterator[tuple[int, Result]]) -> list[Result]:
    """The results of :func:`run_many` in the order of the items."""
    return [result for _, result in sorted(pairs, key=lambda pair: pair[0])]


def _numbered(function: Callable[[Item], Result], index: int, item: Item) -> tuple[int, Result]:
    return index, function(item)


def _with_joblib(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int
) -> Iterator[tuple[int, Result]]:
    from joblib import Parallel, delayed

    yield from Parallel(n_jobs=jobs, batch_size=1, return_as="generator_unordered")(
        delayed(_numbered)(function, i, item) for i, item in enumerate(items)
    )


def _with_ray(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int
) -> Iterator[tuple[int, Result]]:
    with _cluster(jobs) as ray:
        remote = ray.remote(num_cpus=1, max_retries=RETRIES)(_numbered)
        # Only as much is handed out as can be worked on, so that an error stops the rest.
        at_once = max(1, int(ray.cluster_resources().get("CPU", 1))) if jobs < 1 else jobs
        rest = iter(enumerate(items))
        running = {remote.remote(function, i, item) for i, item in _first(rest, at_once)}
        while running:
            finished, _ = ray.wait(list(running), num_returns=1)
            for reference in finished:
                running.discard(reference)
                try:
                    pair: tuple[int, Result] = ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    cause = getattr(error, "cause", None)
                    raise (cause if isinstance(cause, Exception) else error) from None
                running |= {remote.remote(function, i, item) for i, item in _first(rest, 1)}
                yield pair


def _first(rest: Iterator[Any], count: int) -> list[Any]:
    return list(islice(rest, count))


def _keep_quiet(ray: Any) -> None:
    """Ray prints that a worker was lost to stdout, in the middle of what the program writes there."""
    worker = ray._private.worker
    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *data, **options: None


def _start(ray: Any, jobs: int) -> None:
    """A cluster of this machine alone; tried again where a busy machine was too slow for Ray's own time limits."""
    # What Ray read of the environment if another part of this process imported it before, as FLAML does.
    ray._private.ray_constants.ENABLE_RAY_CLUSTER = False
    for attempt in range(STARTS):
        try:
            # "local": never a cluster that somebody else left running on this machine.
            ray.init(
                address="local",
                num_cpus=jobs if jobs > 0 else None,
                include_dashboard=False,
                _node_ip_address=LOOPBACK,
                logging_level=logging.ERROR,
                log_to_driver=False,
            )
            return
        except Exception as error:
            # Ray raises a plain Exception where one of its processes did not come up in time.
            ray.shutdown()
            if attempt + 1 == STARTS:
                raise SettingsError(
                    "Ray did not start on this machine, which may be too busy: try again, or use --engine local."
                ) from error


def _reachable() -> SettingsError:
    return SettingsError("Ray could not be kept to this machine; set RAY_ADDRESS, or use --engine local.")


@contextmanager
def _cluster(jobs: int) -> Iterator[Any]:
    """Ray, connected: to ``$RAY_ADDRESS``, or to a cluster of this machine that no other machine can reach."""
    address = os.environ.get("RAY_ADDRESS")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not address:
        # Ray puts a reachable address in the place of 127.0.0.1, and then listens on every one, unless it takes
        # itself to be on a machine that knows no clusters. Its processes read this as they start.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    # Ray's workers find this very package, not one that may be installed besides.
    package = str(Path(__file__).resolve().parent.parent.parent)
    found = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(
        dict.fromkeys([package, *filter(None, found.split(os.pathsep))])
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import ray
    except ImportError as error:
        raise SettingsError(
            "The ray engine needs Ray: install it with pip install 'trojaninterpret[ray]', or use --engine local."
        ) from error
    _keep_quiet(ray)
    if ray.is_initialized():
        yield ray
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if address:
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        else:
            _start(ray, jobs)
    try:
        if not address and ray.util.get_node_ip_address() != LOOPBACK:
            raise _reachable()
        yield ray
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.shutdown()
