"""Digests of a report's JSON and of its page. The page holds its own digest in a field that the digest leaves out."""

from __future__ import annotations

import hashlib
import re

BLANK = "0" * 64
FIELD = '<td id="page-sha256">'
UNSEALED = f"{FIELD}{BLANK}</td>"
"""The field while the digest is computed."""
_SEALED = re.compile(re.escape(FIELD) + r"([0-9a-f]{64})</td>")


def json_digest(text: str) -> str:
    """SHA-256 of the report's JSON with its line end. ``sha256sum`` prints the same for the file of ``--json``."""
    return hashlib.sha256(text.encode()).hexdigest()


def seal(page: str) -> str:
    """The page with its own digest in the field for the digest.

    Raises
    ------
    ValueError : the page has no such field, or more than one.
    """
    if page.count(UNSEALED) != 1:
        raise ValueError("the page has not one field for its digest")
    return page.replace(UNSEALED, f"{FIELD}{json_digest(page)}</td>")


def unsealed(page: str) -> tuple[str, str] | None:
    """The page with an empty field, and the digest that the field held. None unless there is exactly one field."""
    found = _SEALED.findall(page)
    if len(found) != 1:
        return None
    return _SEALED.sub(UNSEALED, page), found[0]
