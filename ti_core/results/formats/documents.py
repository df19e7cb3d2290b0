"""The formats by name. A document takes one outcome after the other, and is written at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from ti_core.results.formats.annotations import GitHub, GitLab
from ti_core.results.formats.attestation import Statements
from ti_core.results.formats.bom import Bom
from ti_core.results.formats.junit import JUnit
from ti_core.results.formats.outcome import Outcome
from ti_core.results.formats.sarif import Sarif


class Document(Protocol):
    """A document in one format. It keeps what it will say, not the reports."""

    def add(self, outcome: Outcome) -> None:
        """One more file."""

    def text(self) -> str:
        """The document about all of them."""


FORMATS: Mapping[str, Callable[[], Document]] = {
    "sarif": Sarif,
    "bom": Bom,
    "attestation": Statements,
    "junit": JUnit,
    "github": GitHub,
    "gitlab": GitLab,
}
"""By the name of the command line's option."""
