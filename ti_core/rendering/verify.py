"""``report verify``: checks the seal and the digests of a report, and whether its page agrees with its JSON.

A digest shows changes by accident, and changes by somebody who did not know of the digest. The seal is a digest too.
Whoever writes a report can also write new digests into it. Only a signature shows who vouches for a report. This
program makes no signatures. :func:`compare_verdicts` compares a report with a new inspection of the same model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ti_core.errors import PackError
from ti_core.rendering.check import DIFFERS, HOLDS, NOT_COMPARED, Check
from ti_core.rendering.page_checks import own_checks
from ti_core.results.reading import read_report
from ti_core.results.report import Report, percent
from ti_core.results.wording import MOVED
from ti_core.settings import Settings
from ti_core.system.code_digest import code_digest
from ti_core.system.records import DIGEST
from ti_core.text import shown

__all__ = ["DIFFERS", "HOLDS", "NOT_COMPARED", "Check", "Verification", "compare_verdicts", "verify_report"]


@dataclass(frozen=True)
class Verification:
    """A report and the results of all comparisons."""

    report: Report
    checks: tuple[Check, ...]

    @property
    def state(self) -> str:
        """The state of the whole report.

        :data:`DIFFERS` if any check but that of the program's code differs, :data:`HOLDS` if every check holds,
        :data:`NOT_COMPARED` otherwise: something was not given, or another version of the program wrote the report.
        """
        if any(check.state == DIFFERS for check in self.checks if check.name != "code"):
            return DIFFERS
        return NOT_COMPARED if self.left_out else HOLDS

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of the checks that neither hold nor show a change of the report."""
        return tuple(dict.fromkeys(c.name for c in self.checks if c.state != HOLDS))

    def with_check(self, check: Check) -> Verification:
        """The same with one more check."""
        return replace(self, checks=(*self.checks, check))

    def as_dict(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "verdict": self.report.verdict,
            "probability": self.report.probability,
            "model": self.report.model["file"],
            "checks": [vars(check) for check in self.checks],
        }


def verify_report(
    path: Path,
    models: Sequence[Path] = (),
    pack: str | None = None,
    images: Path | None = None,
    digest: str | None = None,
) -> Verification:
    """Check a report against its own digests, and against the model, the pack or the images that are given.

    Parameters
    ----------
    path : the report as a page or as JSON.
    models : the model file, followed by an ONNX graph's weight files where they are not named after it.
    pack : name or folder of the reference pack.
    images : the clean images that took a pack's place.
    digest : the expected digest of the report's JSON, for example from a printed page.

    Raises
    ------
    ReportError : the file is no report of this program.
    PackError, DataError, OSError : the model, the pack or the images cannot be read.
    """
    held = read_report(path)
    report = held.report
    checks = own_checks(held, digest, report.versions.get("source") == code_digest())
    checks.append(_code(report))
    checks.append(_model(report, models))
    checks.append(_images(report, images) if report.pack.get("images") else _pack(report, pack))
    if report.pack.get("images") and pack is not None:
        checks.append(Check("pack", DIFFERS, "No reference pack took part in this report."))
    if not report.pack.get("images") and images is not None:
        checks.append(Check("images", DIFFERS, "No images of the user's own took part in this report."))
    return Verification(report, tuple(checks))


def _code(report: Report) -> Check:
    recorded, own = report.versions.get("source", ""), code_digest()
    if recorded == own:
        return Check("code", HOLDS, "The program that made it is the one installed here, file by file.", own)
    version = shown(report.versions.get("ti_core", "unknown"), 40)
    if DIGEST.fullmatch(recorded) is None:
        return Check(
            "code", NOT_COMPARED, "The report does not record the digest of the program that made it."
        )
    words = f"Another program made it (version {version}); the one installed here has the digest {own}."
    return Check("code", DIFFERS, words, recorded)


def _model(report: Report, models: Sequence[Path]) -> Check:
    from ti_core.loading.digest import digest_of, digest_of_all

    recorded = str(report.model["sha256"])
    if not models:
        return Check("model", NOT_COMPARED, "Give --model FILE to compare the model file.", recorded)
    for digest in dict.fromkeys((digest_of_all(models), digest_of(models[0]))):
        if digest == recorded:
            return Check("model", HOLDS, f"{shown(models[0].name)} is the file that was inspected.", recorded)
    return Check("model", DIFFERS, f"{shown(models[0].name)} is not the file that was inspected.", recorded)


def _pack(report: Report, name: str | None) -> Check:
    from ti_core.reference.pack import load_pack, pack_names

    recorded, its = str(report.pack["sha256"]), str(report.pack["name"])
    given, name = name, its if name is None and its in pack_names() else name
    if name is None:
        return Check(
            "pack", NOT_COMPARED, f"Give --pack {shown(its)} to compare the reference pack.", recorded
        )
    pack = load_pack(name)
    if pack.sha256 != recorded and given is None:
        words = (
            f"The bundled pack {shown(name)} is another one than took part; give --pack to compare that one."
        )
        return Check("pack", NOT_COMPARED, words, recorded)
    if pack.sha256 != recorded:
        words = f"{shown(name)} is not the reference pack that took part, or not in the state that it was in."
        return Check("pack", DIFFERS, words, recorded)
    try:
        for file in pack.record["files"]:
            pack.checked(file)
    except PackError as error:
        return Check("pack", DIFFERS, shown(str(error), 300), recorded)
    return Check(
        "pack", HOLDS, f"{shown(name)} is the reference pack that took part, every file of it.", recorded
    )


def _images(report: Report, path: Path | None) -> Check:
    recorded = str(report.pack["images"]["sha256"])
    if path is None:
        return Check("images", NOT_COMPARED, "Give --images PATH to compare the clean images.", recorded)
    from ti_core.reference.own_images import load_own_images

    channels, height, width = report.model["input_shape"]
    own = load_own_images(path, (channels, height, width), Settings.parse(report.settings).seed)
    if own.sha256 == recorded:
        return Check("images", HOLDS, f"{shown(path.name)} holds the clean images that took part.", recorded)
    return Check(
        "images", DIFFERS, f"{shown(path.name)} does not hold the clean images that took part.", recorded
    )


def _leads(report: Report) -> object:
    """Where the backdoor leads, without the shares of images, which rounding can change."""
    m = report.mapping
    if m is None:
        return None
    moved = [(pair["source"], pair["target"]) for pair in m["assignment"] if pair["moved"] >= MOVED]
    return m["kind"], m["source"], m["target"], moved


NEAR = 0.02
"""Difference of two probabilities that rounding on another processor can make."""


def compare_verdicts(report: Report, fresh: Report) -> Check:
    """Compare what a report states with a new inspection of the same model.

    Parameters
    ----------
    fresh : the report of the new inspection, made with the settings of ``report``.
    """
    stated = ("verdict", "trigger_kind", "target_class", "target_class_name")
    differing = [name.replace("_", " ") for name in stated if getattr(report, name) != getattr(fresh, name)]
    if report.schema_version == fresh.schema_version:
        if _leads(report) != _leads(fresh):
            differing.append("mapping")
        if report.coverage != fresh.coverage:
            differing.append("coverage")
    if abs(report.probability - fresh.probability) > NEAR:
        differing.append("probability")
    found = f"{fresh.verdict}, probability {percent(fresh.probability)}"
    if differing:
        words = f"Inspected again, the model is {found}: the report states another {', '.join(differing)}."
        return Check("verdict", DIFFERS, words)
    if report.reasons != fresh.reasons or report.streams.keys() != fresh.streams.keys():
        words = (
            f"Inspected again, the model is {found}, as the report states; but the reasons read otherwise. On another"
            " processor figures in them may differ; compare them by eye."
        )
        return Check("verdict", NOT_COMPARED, words)
    return Check("verdict", HOLDS, f"Inspected again, the model is {found}, as the report states.")
