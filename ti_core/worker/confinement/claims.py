"""What a confined process is kept from: one record for each claim, with the means that carry it.

``tests/worker/confinement/test_isolation_experiments.py`` tries each of them under every combination of means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SECCOMP = "seccomp"
NETWORK_NAMESPACE = "network namespace"
USER_NAMESPACE = "user namespace"
LANDLOCK = "Landlock"
UNDUMPABLE = "PR_SET_DUMPABLE"


@dataclass(frozen=True)
class Means:
    """The means of the kernel that confine a process.

    Parameters
    ----------
    held : names of the means that are in force.
    landlock : Landlock's version, 0 where it is not in force.
    lacking : by name of each other means, why it is not in force.
    """

    held: frozenset[str] = frozenset()
    landlock: int = 0
    lacking: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """One thing that a confined process is kept from.

    Parameters
    ----------
    field : of the report's isolation in which it stands.
    what : it is prevented, in words.
    by : the means of which each prevents it by itself.
    landlock : first version of Landlock that prevents it; None for none.
    """

    field: str
    what: str
    by: tuple[str, ...] = ()
    landlock: int | None = None

    def carried_by(self, means: Means) -> tuple[str, ...]:
        """The means in force that prevent it."""
        by = tuple(name for name in self.by if name in means.held)
        return (*by, LANDLOCK) if self.landlock and means.landlock >= self.landlock else by

    def why_not(self, means: Means) -> list[str]:
        """For each means that would prevent it, why that is not in force."""
        reasons = [f"{name}: {means.lacking[name]}" for name in self.by if name in means.lacking]
        if self.landlock and LANDLOCK in means.lacking:
            reasons.append(f"{LANDLOCK}: {means.lacking[LANDLOCK]}")
        elif self.landlock and 0 < means.landlock < self.landlock:
            reasons.append(f"{LANDLOCK}: this kernel has version {means.landlock}")
        return reasons


CLAIMS = (
    Claim("network", "TCP connections", (SECCOMP, NETWORK_NAMESPACE), landlock=4),
    Claim("network", "UDP packets", (SECCOMP, NETWORK_NAMESPACE)),
    Claim("network", "abstract Unix sockets", (SECCOMP, NETWORK_NAMESPACE), landlock=6),
    Claim("network", "Unix sockets in folders", (SECCOMP,)),
    Claim("network", "all other sockets", (SECCOMP,)),
    Claim("files", "writing and deleting files outside the job's own folder and cache", landlock=1),
    Claim("files", "truncating files outside", landlock=3),
    Claim("files", "changing permissions and times of files", (SECCOMP,)),
    Claim("files", "files without a name, which the disk limit does not count", (SECCOMP,)),
    Claim("files", "reading files"),
    Claim("processes", "starting a program from a file", (SECCOMP,), landlock=1),
    Claim("processes", "starting a program from memory", (SECCOMP,)),
    Claim("processes", "starting another process", (SECCOMP,)),
    Claim(
        "processes",
        "access to this program's memory and open files",
        (UNDUMPABLE, USER_NAMESPACE),
        landlock=1,
    ),
    Claim("processes", "access to those of the user's other programs", (USER_NAMESPACE,), landlock=1),
    Claim("processes", "signals to other processes", (SECCOMP,), landlock=6),
    Claim("processes", "changing limits and priority of other processes", (SECCOMP,)),
)
FIELDS = tuple(dict.fromkeys(claim.field for claim in CLAIMS))


def sentences(means: Means) -> dict[str, str]:
    """The report's isolation: by field, what these means prevent, and what they do not."""
    return {name: _sentence([c for c in CLAIMS if c.field == name], means) for name in FIELDS}


def _sentence(claims: list[Claim], means: Means) -> str:
    prevented: dict[str, list[str]] = {}
    left: dict[str, list[str]] = {}
    for claim in claims:
        if by := claim.carried_by(means):
            prevented.setdefault(", ".join(by), []).append(claim.what)
        else:
            left.setdefault("; ".join(claim.why_not(means)), []).append(claim.what)
    told = (("Prevented", prevented), ("Not prevented", left))
    return " ".join(f"{head}: {_list(groups)}." for head, groups in told if groups)


def _list(groups: Mapping[str, list[str]]) -> str:
    """Each group in words, followed by its means or reasons in brackets."""
    return "; ".join(", ".join(what) + (f" ({why})" if why else "") for why, what in groups.items())
