"""Work on a pack that does not come with the program, seen from the process that asks: it opens the record only."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ti_core.errors import PackError
from ti_core.reference.known import is_known
from ti_core.system.folders import default_folder
from ti_core.system.progress import silent_stage
from ti_core.text import shown
from ti_core.worker import Event, Job, Limits
from ti_core.worker.pack_tasks import EVALUATED, OPENED, VERIFIED

if TYPE_CHECKING:
    from ti_core.evaluation.measure import Measured, Measurement
    from ti_core.reference.pack import Pack

LARGEST_RESULT = 20_000_000
DAY = 24 * 3600
Tell = Callable[[str, float], None]


def open_apart(pack: Pack, tell: Tell = silent_stage) -> Pack:
    """Open everything but the detectors of a pack in the worker, before this process opens it.

    A pack that comes with the program is not opened.

    Returns
    -------
    The pack. Each of its files is read only if it has the recorded digest, so it is the one that was opened.

    Raises
    ------
    PackError : something in it cannot be used, or the process that opened it ended early.
    """
    if not is_known(pack):
        _done(pack, "open pack", {"sha256": pack.sha256}, OPENED, tell, Limits())
    return pack


def verify_apart(pack: Pack, members: int | None, say: Callable[[str], None], tell: Tell) -> list[str]:
    """:func:`ti_core.reference.verify.verify_pack` in the worker.

    Parameters
    ----------
    members : as for :func:`ti_core.reference.verify.verify_pack`.
    say : called with each sentence, after the end.
    tell : called with the stage and the share that is done.

    Raises
    ------
    PackError : the pack cannot be used, or its process ended without a result.
    """
    found = _done(pack, "verify pack", {"members": members}, VERIFIED, tell, Limits())
    for line in _texts(found, "said"):
        say(line)
    return _texts(found, "problems")


def evaluate_apart(pack: Pack, asked: dict[str, Any], wanted: Measurement, tell: Tell) -> Measured:
    """:meth:`Measurement.of` in the worker.

    Parameters
    ----------
    asked : the settings that are asked for; the others are the pack's own.

    Raises
    ------
    PackError : as :func:`verify_apart`.
    """
    request: dict[str, Any] = {"settings": asked, "measurement": vars(wanted)}
    if root := default_folder():
        request["cache"] = str(cache_of(pack, root))
    limits = Limits(wall_seconds=DAY, cpu_seconds=DAY * (os.cpu_count() or 1))
    found = _done(pack, "evaluate pack", request, EVALUATED, tell, limits)
    return wanted.from_json(found.get("measured", {}), pack.name)


def cache_of(pack: Pack, root: Path) -> Path:
    """The cache of a pack that does not come with the program, below the common cache.

    Its process could write anything into a cache, so it shares none with inspections that use another pack.
    """
    return root / "packs" / pack.sha256


@contextmanager
def unpacked(archive: Path) -> Iterator[Pack]:
    """The pack in a zip archive, which the worker unpacks. Its folder is gone afterwards.

    Raises
    ------
    PackError : there is no pack in it.
    """
    from ti_core.reference.pack import load_pack

    with Job.start("unpack pack", {"pack": str(archive.absolute())}, limits=Limits()) as job:
        job.wait()
        if job.state != "done":
            raise PackError(f"{shown(archive.name)}: {job.error or 'its process ended early.'}")
        yield load_pack(job.folder)


def _texts(found: dict[str, Any], name: str) -> list[str]:
    value = found.get(name)
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        raise PackError("The process that verified the pack answered with something unreadable.")
    return value


def _done(
    pack: Pack, task: str, request: dict[str, Any], result: str, tell: Tell, limits: Limits
) -> dict[str, Any]:
    def hear(event: Event) -> None:
        if event.kind == "progress":
            tell(event.stage, event.share)

    with Job.start(task, {"pack": str(pack.folder.absolute()), **request}, limits=limits) as job:
        job.wait(hear)
        if job.state != "done":
            raise PackError(f"Pack {pack.name!r} cannot be used: {job.error or 'its process ended early.'}")
        return job.result_json(result, LARGEST_RESULT)
