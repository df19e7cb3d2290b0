"""Digests of all that a method's words about a pack's members rest on, and of nothing else.

They are the same as long as nothing has changed that a method sees. The evidence of our own streams, the detector and
the record of a pack's performance are none of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from ti_core.methods.base import LearntMethod, Method
from ti_core.reference.pack import Member, Pack


def digest_of_learning(pack: Pack, method: Method) -> str:
    """The SHA-256 digest of what a method learns from: its version and settings, images, and the fitted members."""
    return _digest([*_common(pack, method), [_seen(pack, m) for m in pack.members if not m.held_out]])


def digest_of_statistics(pack: Pack, method: Method, ids: Iterable[str]) -> str | None:
    """The SHA-256 digest of what a method's statistics of some held-out members rest on.

    It covers the method's version and settings, the images, these members with their kinds, and for a method that
    learns what it learns from.

    Parameters
    ----------
    ids : of the members. Their order does not matter.

    Returns
    -------
    The digest, or None if one of them is no held-out member of the pack.
    """
    held_out = {m.id: m for m in pack.members if m.held_out}
    wanted = sorted(set(ids))
    if not held_out.keys() >= set(wanted):
        return None
    learnt = digest_of_learning(pack, method) if isinstance(method, LearntMethod) else ""
    return _digest([*_common(pack, method), learnt, [_seen(pack, held_out[one]) for one in wanted]])


def _common(pack: Pack, method: Method) -> list[Any]:
    images = [pack.record["files"]["images.npz"], list(pack.input_shape), len(pack.class_names)]
    return [method.name, method.version, method.settings(), images]


def _seen(pack: Pack, m: Member) -> list[Any]:
    """The member's weights and how they are run, the seed of what is drawn, and what it counts as in a table."""
    network = [pack.member_name(m), m.architecture, dict(m.options), m.normalisation]
    return [*network, m.seed, m.label, m.mapping, m.target_class]


def _digest(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
