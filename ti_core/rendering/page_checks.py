"""Checks of a report by itself: its JSON by its seal and digest, and its page by its JSON."""

from __future__ import annotations

import re
from html import escape, unescape

from ti_core.rendering.check import DIFFERS, HOLDS, NOT_COMPARED, Check
from ti_core.rendering.page import document, report_json
from ti_core.rendering.seal import json_digest, unsealed
from ti_core.results.groups import ISO
from ti_core.results.reading import ReportFile
from ti_core.results.report import Report, percent

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
_VERDICT = re.compile(r'<p class="verdict (\w+)"><strong>\S+ (\w+)[^<]*\.</strong>([^<]*)</p>')


def own_checks(held: ReportFile, digest: str | None, same_program: bool) -> list[Check]:
    """The checks for which nothing but the report is needed.

    Parameters
    ----------
    digest : the expected digest of the report's JSON; None if nobody gave one.
    same_program : whether this very program wrote the report.
    """
    checks = [_sealed(held)]
    if digest is not None:
        given = _json_against(json_digest(held.text), digest)
        # A digest from elsewhere says more than a seal that is not there.
        checks = [given] if checks[0].state == NOT_COMPARED else [*checks, given]
    if held.page is not None:
        checks += [_page_digest(held.page), _text(held.page, held, same_program)]
    return checks


def _sealed(held: ReportFile) -> Check:
    """Whether the content of the JSON has its seal, and in a page, whether the page shows the digest of the JSON."""
    report, own = held.report, json_digest(held.text)
    if report.seal and report.seal != report.content_seal:
        return Check(
            "json", DIFFERS, "The report's JSON was changed after it was written: its seal is broken."
        )
    if held.page is not None and f"<td>{own}</td>" not in held.page:
        words = f"The JSON in the page has the digest {own}, which the page does not show: one of them was changed."
        return Check("json", DIFFERS, words)
    if held.page is not None:
        return Check("json", HOLDS, "The JSON in the page has the digest that the page shows.", own)
    if report.seal:
        return Check("json", HOLDS, "The report's JSON has the seal of its content.", own)
    words = (
        "The report's JSON has no seal: an earlier version of the program wrote it, or somebody took the seal out."
        " Give --digest to compare it with a digest that you trust."
    )
    return Check("json", NOT_COMPARED, words, own)


def _json_against(own: str, digest: str) -> Check:
    if own == digest.strip().lower():
        return Check("json", HOLDS, "The report's JSON has the digest that it should have.", own)
    return Check(
        "json", DIFFERS, f"The report's JSON has the digest {own}: it is not the one that is meant.", digest
    )


def _page_digest(page: str) -> Check:
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


def _text(page: str, held: ReportFile, same_program: bool) -> Check:
    """Write the page again from its JSON, its pictures and its time, and compare. The digests play no part."""
    report = held.report
    pictures = {unescape(m[1]): m[0] for m in _SECTION.finditer(page)}
    times = _TIME.findall(page)
    rest = unsealed(page)
    created = times[0][0] if times else ""
    if held.text == report_json(report) and rest and rest[0] == document(report, created, pictures):
        return Check("text", HOLDS, "All text of the page is what this program writes for this JSON.")
    if not _shows(page, report):
        return Check("text", DIFFERS, "The page does not show the verdict, probability or model of its JSON.")
    if same_program:
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
