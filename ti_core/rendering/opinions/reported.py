"""Opinions as a report holds them, apart from its verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ti_core.methods import METHODS, method_class
from ti_core.methods.beside import beside
from ti_core.methods.opinion import Opinion, Opinions

if TYPE_CHECKING:
    from ti_core.results.report import Report

DECISIONS = {True: "backdoored", False: "clean", None: None}


def with_opinions(report: Report, found: Opinions) -> Report:
    """The report with these opinions. They take the place of earlier ones of the same methods.

    Raises
    ------
    ValueError : they are about another pack than the report, or name a class that the network does not have.
    """
    if found.pack_sha256 != (report.pack["sha256"] or ""):
        raise ValueError("the opinions are about another reference pack than the report")
    if any(one.target is not None and one.target >= report.model["classes"] for one in found.given):
        raise ValueError("an opinion names a class that the network does not have")
    return _with(report, records(found))


def with_reason(report: Report, names: Sequence[str], reason: str) -> Report:
    """The report with the sentence why these methods were not asked."""
    return _with(report, [_not_asked(name, reason) for name in names])


def _with(report: Report, given: Iterable[Mapping[str, Any]]) -> Report:
    by_name = {one["method"]: dict(one) for one in (*report.opinions, *given)}
    known = [name for name in METHODS if name in by_name]
    return replace(report, opinions=[by_name[name] for name in known])


def records(found: Opinions) -> list[dict[str, Any]]:
    """The opinions, and the methods that were not asked (:class:`ti_core.results.opinions.SecondOpinion`)."""
    given = [_record(one, found) for one in found.given]
    return given + [_not_asked(name, sentence) for name, sentence in found.unmet.items()]


def _record(one: Opinion, found: Opinions) -> dict[str, Any]:
    others = beside(one, found.pack, found.pack_sha256)
    return {
        **_about(one.method),
        "statistic": one.statistic,
        "threshold": one.threshold,
        "decision": DECISIONS[one.suspicious],
        "target_class": one.target,
        "sentence": one.sentence,
        "beside": None if others is None else others.sentence(one.statistic),
        "seconds": one.seconds,
    }


def _not_asked(name: str, sentence: str) -> dict[str, Any]:
    return {
        **_about(name),
        "statistic": None,
        "threshold": method_class(name).threshold,
        "decision": None,
        "target_class": None,
        "sentence": sentence,
        "beside": None,
        "seconds": 0.0,
    }


def _about(name: str) -> dict[str, str]:
    """What this process knows of a method, whatever the process says that asked it."""
    method = method_class(name)
    source = method.source
    return {
        "method": name,
        "title": method.title,
        "source": f"{source.authors}, {source.venue} {source.year}, {source.link}",
        "measures": method.measures,
    }


def opinion_of(record: Mapping[str, Any]) -> Opinion | None:
    """The opinion behind a record of a report; None if the method was not asked, or is not known here."""
    if record["statistic"] is None or record["method"] not in METHODS:
        return None
    decided = None if record["decision"] is None else record["decision"] == "backdoored"
    return Opinion(
        record["method"],
        record["statistic"],
        record["threshold"],
        decided,
        record["sentence"],
        record["target_class"],
        (),
        record["seconds"],
    )
