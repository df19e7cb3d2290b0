"""``report verify``: checks the digests of a report, and whether its page agrees with its JSON.

A digest shows changes by accident, and changes by somebody who did not know of the digest. Whoever writes a page can
also write new digests into it. Only a signature shows who vouches for a report. This program makes no signatures.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path
from typing import Any

from ti_core.errors import PackError
from ti_core.rendering.page import document, report_json
from ti_core.rendering.seal import json_digest, unsealed
from ti_core.results.groups import DIGEST, ISO
from ti_core.results.reading import ReportFile, read_report
from ti_core.results.report import Report, percent
from ti_core.settings import Settings
from ti_core.system.code_digest import code_digest
from ti_core.text import shown

HOLDS, DIFFERS, NOT_COMPARED = "holds", "differs", "not compared"

_WORDS = r'[^<>"]*'
_PICTURE = (
    r'<figure><img(?: class="drawing")? src="data:image/(?:png|svg\+xml);base64,[A-Za-z0-9+/]+={0,2}"'
    rf' alt="{_WORDS}"><figcaption>[^<>]*</figcaption></figure>'
)
_SECTION = re.compile(
    rf'<section class="pictures" title="({_WORDS})"><div class="whole">(?:<h2>{_WORDS}</h2>)?{_PICTURE}</div>'
    rf"(?:{_PICTURE})*</section>"
)
_TIME = re.compile(rf"<time>({ISO.pattern})</time>")
_VERDICT = re.compile(r'<p class="verdict (\w+)"><strong>\S+ (\w+)\.</strong>([^<]*)</p>')


@dataclass(frozen=True)
class Check:
    """One comparison.

    Parameters
    ----------
    name : "json", "page", "text", "code", "model", "pack" or "images".
    state : :data:`HOLDS`, :data:`DIFFERS` or :data:`NOT_COMPARED`.
    sentence : the result in words.
    sha256 : the digest that the report records; empty where it records none.
    """

    name: str
    state: str
    sentence: str
    sha256: str = ""


@dataclass(frozen=True)
class Verification:
    """A report and the results of all comparisons."""

    report: Report
    checks: tuple[Check, ...]

    @property
    def state(self) -> str:
        """The state of the whole report.

        :data:`DIFFERS` if any check but that of the program's code differs, :data:`NOT_COMPARED` if another version of
        the program wrote the report, :data:`HOLDS` otherwise.
        """
        states = {check.name: check.state for check in self.checks}
        if DIFFERS in [s for name, s in states.items() if name != "code"]:
            return DIFFERS
        return HOLDS if states["code"] == HOLDS and states.get("text", HOLDS) == HOLDS else NOT_COMPARED

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
    checks = _of_json(held, digest) if held.page is None else _of_page(held, held.page, digest)
    checks.append(_code(report))
    checks.append(_model(report, models))
    checks.append(_images(report, images) if report.pack.get("images") else _pack(report, pack))
    if report.pack.get("images") and pack is not None:
        checks.append(Check("pack", DIFFERS, "No reference pack took part in this report."))
    if not report.pack.get("images") and images is not None:
        checks.append(Check("images", DIFFERS, "No images of the user's own took part in this report."))
    return Verification(report, tuple(checks))


def _of_json(held: ReportFile, digest: str | None) -> list[Check]:
    own = json_digest(held.text)
    if digest is not None:
        return [_json_against(own, digest)]
    words = "A report as JSON holds no digest of itself; compare this one with the page's, or give --digest."
    return [Check("json", NOT_COMPARED, words, own)]


def _json_against(own: str, digest: str) -> Check:
    if own == digest.strip().lower():
        return Check("json", HOLDS, "The report's JSON has the digest that it should have.", own)
    return Check(
        "json", DIFFERS, f"The report's JSON has the digest {own}: it is not the one that is meant.", digest
    )


def _of_page(held: ReportFile, page: str, digest: str | None) -> list[Check]:
    own = json_digest(held.text)
    checks = []
    if f"<td>{own}</td>" in page:
        checks.append(Check("json", HOLDS, "The JSON in the page has the digest that the page shows.", own))
    else:
        words = f"The JSON in the page has the digest {own}, which the page does not show: one of them was changed."
        checks.append(Check("json", DIFFERS, words))
    if digest is not None:
        checks.append(_json_against(own, digest))
    return [*checks, _seal(page), _text(page, held.report, held.text)]


def _seal(page: str) -> Check:
    found = unsealed(page)
    if found is None:
        return Check("page", DIFFERS, "The page has not one field for its own digest: it was changed.")
    rest, recorded = found
    if json_digest(rest) == recorded:
        return Check(
            "page", HOLDS, "The page, its pictures included, has the digest that it shows.", recorded
        )
    return Check(
        "page", DIFFERS, "The page was changed after it was written: it has another digest.", recorded
    )


def _text(page: str, report: Report, text: str) -> Check:
    """Write the page again from its JSON, its pictures and its time, and compare. The digests play no part."""
    pictures = {unescape(m[1]): m[0] for m in _SECTION.finditer(page)}
    times = _TIME.findall(page)
    rest = unsealed(page)
    created = times[0][0] if times else ""
    if text == report_json(report) and rest and rest[0] == document(report, created, pictures):
        return Check("text", HOLDS, "All text of the page is what this program writes for this JSON.")
    if not _shows(page, report):
        return Check("text", DIFFERS, "The page does not show the verdict, probability or model of its JSON.")
    if report.versions.get("source") == code_digest():
        return Check("text", DIFFERS, "The page does not say what this program writes for this JSON.")
    return Check(
        "text",
        NOT_COMPARED,
        "The page shows the verdict, probability and model of its JSON; the rest of its text can only be compared by"
        " the version of the program that wrote it.",
    )


def _shows(page: str, report: Report) -> bool:
    """Whether the page shows the JSON's verdict, probability and digest of the model."""
    lines = _VERDICT.findall(page)
    if len(lines) != 1 or page.count('class="verdict') != 1:
        return False
    kind, word, sentence = lines[0]
    return (
        (kind, word.lower()) == (report.verdict, report.verdict)
        and percent(report.probability) in unescape(sentence)
        and f"<td>{escape(report.model['sha256'])}</td>" in page
    )


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
    from ti_core.reference.pack import load_pack

    recorded, its = str(report.pack["sha256"]), shown(str(report.pack["name"]))
    if name is None:
        return Check("pack", NOT_COMPARED, f"Give --pack {its} to compare the reference pack.", recorded)
    pack = load_pack(name)
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
