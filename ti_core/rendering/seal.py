"""Digests of a report: of its JSON, and of its page, which holds its own digest in a field that is left out of it."""

from __future__ import annotations

import hashlib
import re

BLANK = "0" * 64
FIELD = '<td id="page-sha256">'
UNSEALED = f"{FIELD}{BLANK}</td>"
"""The field as it stands while the digest is taken."""
_SEALED = re.compile(re.escape(FIELD) + r"([0-9a-f]{64})</td>")


def json_digest(text: str) -> str:
    """SHA-256 of the report's JSON, line end included: what ``sha256sum`` says of the file that ``--json`` writes."""
    return hashlib.sha256(text.encode()).hexdigest()


def seal(page: str) -> str:
    """The page with its own digest in the field for it.

    Raises
    ------
    ValueError : the page has no such field, or several.
    """
    if page.count(UNSEALED) != 1:
        raise ValueError("the page has not one field for its digest")
    return page.replace(UNSEALED, f"{FIELD}{json_digest(page)}</td>")


def unsealed(page: str) -> tuple[str, str] | None:
    """The page with the field left out, and the digest that stood there; None where there is not one field."""
    found = _SEALED.findall(page)
    if len(found) != 1:
        return None
    return _SEALED.sub(UNSEALED, page), found[0]
