"""What every kind of torch file offers: the outline of its pickle, and its storages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ti_core.loading.pickles.machine import Outline


@dataclass(frozen=True)
class Member:
    """One file in an archive: its name, the size it declares, and the bytes it takes in the archive."""

    name: str
    size: int
    stored: int


class Container(Protocol):
    """A torch file whose layout has been checked. The numbers are read only when a storage is asked for."""

    @property
    def members(self) -> tuple[Member, ...]:
        """The files in the archive, named relative to their common folder."""

    @property
    def outline(self) -> Outline:
        """The outline of the pickle."""

    @property
    def storage_bytes(self) -> Mapping[str, int]:
        """Size of each storage in bytes, by its key."""

    @property
    def has_checksums(self) -> bool:
        """Whether an accident to the pickle would have been noticed before it is followed."""

    @property
    def big_endian(self) -> bool:
        """Whether the bytes of a number stand with the most significant first."""

    def storage(self, key: str) -> memoryview:
        """The bytes of a storage. ModelFileError is raised if they are damaged."""

    def check(self) -> None:
        """Read everything once; ModelFileError is raised if something is damaged."""
