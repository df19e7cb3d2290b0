"""What a method says of one network, as plain data. A stranger's file may have taken over the process that wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import Field

from ti_core.methods.registry import METHODS
from ti_core.system.records import Group, Number, Text
from ti_core.system.schema import checked

MOST_CLASSES = 100_000


@dataclass(frozen=True)
class Opinion:
    """What a method says of one network.

    Parameters
    ----------
    method : its name.
    statistic : its own statistic. A larger one is more suspicious.
    threshold : the published value of the statistic from which on a network counts as backdoored; None for a method
        that decides on something else than networks.
    suspicious : its own decision; None without one.
    sentence : the opinion in words.
    target : the suspected class, if any.
    per_class : the figures of the classes behind the statistic, if there are any.
    seconds : that it took.
    """

    method: str
    statistic: float
    threshold: float | None
    suspicious: bool | None
    sentence: str
    target: int | None = None
    per_class: tuple[float, ...] = ()
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"per_class": list(self.per_class)}


@dataclass(frozen=True)
class Opinions:
    """The opinions on one network.

    Parameters
    ----------
    file, pack : names of the model's file, and of the pack; "" for the user's own images.
    pack_sha256 : of the pack's record, or "".
    class_names : of the K classes.
    given : the opinions.
    unmet : by the name of each method that could not run, the need that is not met, in a sentence.
    """

    file: str
    pack: str
    pack_sha256: str
    class_names: tuple[str, ...]
    given: tuple[Opinion, ...]
    unmet: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {
            "class_names": list(self.class_names),
            "given": [one.as_dict() for one in self.given],
            "unmet": dict(self.unmet),
        }

    def followed_by(self, later: Opinions) -> Opinions:
        """All opinions of both. A method that was asked twice has its later one."""
        again = {one.method for one in later.given} | set(later.unmet)
        given = (*(one for one in self.given if one.method not in again), *later.given)
        unmet = {name: sentence for name, sentence in self.unmet.items() if name not in again}
        return replace(later, given=given, unmet=unmet | dict(later.unmet))

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Opinions:
        """The opinions that :meth:`as_dict` wrote.

        Raises
        ------
        ValueError : the record is not what it writes.
        """
        checked(OpinionsRecord, "What a job says of a network by other methods", record)
        given = tuple(Opinion(**{**one, "per_class": tuple(one["per_class"])}) for one in record["given"])
        names = tuple(record["class_names"])
        for name in (*(one.method for one in given), *record["unmet"]):
            if name not in METHODS:
                raise ValueError(f"there is no method {name!r}")
        if any(one.target is not None and one.target >= len(names) for one in given):
            raise ValueError("an opinion names a class that the network does not have")
        return cls(**{**record, "class_names": names, "given": given})


class OpinionRecord(Group):
    """One of ``given``."""

    method: Text
    statistic: Number
    threshold: Number | None
    suspicious: bool | None
    sentence: Text
    target: int | None = Field(ge=0)
    per_class: list[Number] = Field(max_length=MOST_CLASSES)
    seconds: Number = Field(ge=0)


class OpinionsRecord(Group):
    """``opinions.json`` of a job."""

    file: Text
    pack: Text
    pack_sha256: Text
    class_names: list[Text] = Field(max_length=MOST_CLASSES)
    given: list[OpinionRecord] = Field(max_length=100)
    unmet: dict[str, Text] = Field(max_length=100)
