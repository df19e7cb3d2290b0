"""The seal of a JSON report: the digest of its content, in one way of writing it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def seal_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of the fields of a report but for its seal, as JSON with sorted names and without blanks.

    The seal has no key. It shows damage, and an edit by somebody who did not make it anew; it does not show who wrote
    the report. Indenting the file anew, or sorting it, does not change it.
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
