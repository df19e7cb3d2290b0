"""Opens a whole pack, before what it holds is used. A pack that may be a stranger's is opened so in the worker."""

from __future__ import annotations

from ti_core.errors import PackError
from ti_core.reference.pack import Member, Pack
from ti_core.reference.reference import Reference
from ti_core.reference.verify import check_files, stale_streams
from ti_core.streams import make_streams
from ti_core.system.cache import Cache
from ti_core.system.progress import StageProgress, silent_stage
from ti_core.text import shown

_FAULTS = (RuntimeError, LookupError, ValueError, TypeError, ArithmeticError)
IMAGES = 2
"""Number of images that each network is run on."""


def open_whole(pack: Pack, tell: StageProgress = silent_stage) -> None:
    """Read every file of the pack except its detectors, and run every network once.

    Evidence of a stream that has changed since the pack was built is read, but its arrays are not compared with the
    stream.

    Parameters
    ----------
    tell : called with the stage and the share that is done.

    Raises
    ------
    PackError : a file is damaged, does not fit the record, or holds what the streams and networks do not take.
    """
    tell("comparing the digests of the files", 0.0)
    if problems := check_files(pack):
        raise PackError(" ".join(problems))
    reference = Reference(pack, pack.settings, Cache(None))
    stale = stale_streams(pack)
    _ = pack.images, pack.baseline
    for stream in make_streams(pack.settings):
        if stream.name not in stale:
            stacked = reference.evidence(stream, None)
            reference.matrix(stream, stacked)
            reference.class_scores([stream], {stream.name: stacked})
    for done, member in enumerate(pack.members):
        tell(f"{member.id}: opening its network", done / len(pack.members))
        _run(pack, member)
        pack.trigger(member)


def _run(pack: Pack, member: Member) -> None:
    """Run the member's network on a few images."""
    import torch

    images = pack.images[:IMAGES]
    of = f"The network of member {shown(member.id)} of pack {shown(pack.name)!r}"
    try:
        with torch.no_grad():
            scores = pack.scores(member)(images)
    except _FAULTS as error:
        raise PackError(f"{of} does not take the pack's images.") from error
    if scores.shape != (len(images), len(pack.class_names)):
        raise PackError(f"{of} does not give one score for each class.")
    if not bool(scores.isfinite().all()):
        raise PackError(f"{of} gives scores that are not finite.")
