"""A digest of this program's source files, which identifies its version."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

SUFFIXES = {".py", ".html", ".css"}
"""Code and the templates of the report's page."""


@cache
def code_digest() -> str:
    """SHA-256 over the names and contents of this program's own source files."""
    root = Path(__file__).resolve().parent.parent
    total = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.suffix in SUFFIXES):
        total.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()
