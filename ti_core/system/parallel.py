"""Runs many similar pieces of work in processes of this machine (joblib) or on a Ray cluster."""

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
"""How often a piece of work is repeated after its process or machine was lost."""


def run_many(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    jobs: int = -1,
    engine: str = "local",
    progress: CountProgress = silent_count,
    gpus: int = 0,
) -> Iterator[tuple[int, Result]]:
    """Compute ``function(item)`` for every item. Yields pairs of index and result in the order of completion.

    Parameters
    ----------
    function : a module's function, or a ``functools.partial`` of one, so that another process can import it.
    items : small values. The function should read large data itself, from a path that every machine has.
    jobs : number of pieces of work at once; -1 for one per core. With 1, the local engine works in this process.
    engine : "local" or "ray". Ray uses the cluster that ``$RAY_ADDRESS`` names. Without it, a cluster is started that
        only this machine can reach, and it is stopped at the end.
    progress : called after each finished piece.
    gpus : GPUs that each piece of work has for itself with Ray. The local engine leaves that to the function.

    Raises
    ------
    SettingsError : the engine is unknown, or it is "ray" and Ray is not installed or has not as many GPUs.
    Exception : whatever ``function`` raises, unchanged.

    Notes
    -----
    With Ray, the work of a lost process or machine is repeated elsewhere, up to :data:`RETRIES` times. Work whose
    function raised an exception is not repeated.
    """
    if engine not in ENGINES:
        raise SettingsError(f"There is no engine {engine!r}; there are {' and '.join(ENGINES)}.")
    pairs = _with_ray(function, items, jobs, gpus) if engine == "ray" else _with_joblib(function, items, jobs)
    for done, pair in enumerate(pairs, start=1):
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
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int, gpus: int
) -> Iterator[tuple[int, Result]]:
    with _cluster(jobs) as ray:
        remote = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(_numbered)
        there = ray.cluster_resources()
        # Ray would wait for ever.
        if there.get("GPU", 0) < gpus:
            raise SettingsError("No machine of the Ray cluster has a GPU; choose --device cpu.")
        # Only as many pieces are submitted as can run at once, so that an error stops the rest.
        room = there.get("GPU", 0) // gpus if gpus else there.get("CPU", 1)
        at_once = max(1, int(room)) if jobs < 1 else jobs
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
    """Stop Ray from printing the loss of a worker to stdout, where the program writes its output."""
    worker = ray._private.worker
    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *data, **options: None


def _start(ray: Any, jobs: int) -> None:
    """Start a cluster on this machine alone. Tries again if the machine was too slow for Ray's time limits."""
    # Ray reads this from the environment at its import, which another package, such as FLAML, may have caused.
    ray._private.ray_constants.ENABLE_RAY_CLUSTER = False
    for attempt in range(STARTS):
        try:
            # "local" never joins another cluster that runs on this machine.
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
            # Ray raises a plain Exception if one of its processes did not start in time.
            ray.shutdown()
            if attempt + 1 == STARTS:
                raise SettingsError(
                    "Ray did not start on this machine, which may be too busy: try again, or use --engine local."
                ) from error


def _reachable() -> SettingsError:
    return SettingsError("Ray could not be kept to this machine; set RAY_ADDRESS, or use --engine local.")


@contextmanager
def _cluster(jobs: int) -> Iterator[Any]:
    """Ray, connected to ``$RAY_ADDRESS`` or to a cluster of this machine that no other machine can reach."""
    address = os.environ.get("RAY_ADDRESS")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not address:
        # Ray replaces 127.0.0.1 by a reachable address and listens on all addresses, unless this variable makes it
        # assume a platform without clusters. Its processes read the variable when they start.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    # Ray's workers must import this package, not another installed copy.
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
