"""The kinds of finding, and what published taxonomies call them. All formats and the page read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ti_core.kinds import KINDS, Kind

Level = Literal["error", "warning"]


@dataclass(frozen=True)
class Scheme:
    """A published taxonomy."""

    name: str
    version: str
    organisation: str
    address: str


ATLAS = Scheme("MITRE ATLAS", "2026.07", "MITRE", "https://atlas.mitre.org")
OWASP = Scheme(
    "OWASP Machine Learning Security Top Ten",
    "2023",
    "OWASP",
    "https://owasp.org/www-project-machine-learning-security-top-10",
)
NIST = Scheme("NIST AI 100-2", "E2025", "NIST", "https://doi.org/10.6028/NIST.AI.100-2e2025")
CWE = Scheme("CWE", "4.17", "MITRE", "https://cwe.mitre.org")
SCHEMES = (ATLAS, OWASP, NIST, CWE)


@dataclass(frozen=True)
class Term:
    """One entry of a taxonomy."""

    scheme: Scheme
    id: str
    name: str

    @property
    def address(self) -> str:
        """The page of the entry, or of its taxonomy."""
        if self.scheme is ATLAS:
            return f"{ATLAS.address}/techniques/{self.id}"
        if self.scheme is CWE:
            return f"{CWE.address}/data/definitions/{self.id.removeprefix('CWE-')}.html"
        return self.scheme.address


POISONED = Term(ATLAS, "AML.T0018.000", "Manipulate AI Model: Poison AI Model")
REBUILT = Term(ATLAS, "AML.T0018.001", "Manipulate AI Model: Modify AI Model Architecture")
EMBEDDED = Term(ATLAS, "AML.T0018.002", "Manipulate AI Model: Embed Malware")
STAMPED = Term(ATLAS, "AML.T0043.004", "Craft Adversarial Data: Insert Backdoor Trigger")
SUPPLIED = Term(ATLAS, "AML.T0010.003", "AI Supply Chain Compromise: Model")
UNSAFE = Term(ATLAS, "AML.T0011.000", "User Execution: Unsafe AI Artifacts")
ML06 = Term(OWASP, "ML06:2023", "AI Supply Chain Attacks")
ML10 = Term(OWASP, "ML10:2023", "Model Poisoning")
BACKDOOR = Term(NIST, "NISTAML.023", "Backdoor Poisoning")
DELIVERED = Term(NIST, "NISTAML.051", "Model Poisoning (supply chain)")
HIDDEN = Term(CWE, "CWE-912", "Hidden Functionality")
UNPICKLED = Term(CWE, "CWE-502", "Deserialization of Untrusted Data")

IN_WEIGHTS = (POISONED, STAMPED, SUPPLIED, ML06, ML10, BACKDOOR, DELIVERED, HIDDEN)
IN_GRAPH = (REBUILT, STAMPED, SUPPLIED, ML06, ML10, DELIVERED, HIDDEN)
IN_FILE = (EMBEDDED, UNSAFE, SUPPLIED, ML06, UNPICKLED)


@dataclass(frozen=True)
class Rule:
    """A kind of finding.

    Parameters
    ----------
    id, name : for machines. They stay the same from one version of the program to the next.
    title, says : for people: a few words, and a sentence.
    severity : 0 to 10, as code-scanning services sort findings.
    terms : what taxonomies call it.
    """

    id: str
    name: str
    title: str
    says: str
    level: Level
    severity: float
    terms: tuple[Term, ...]


WHERE: Mapping[Kind, str] = {
    "patch": "wherever a patch is on the image",
    "blend": "wherever a pattern is blended into the image",
    "stripes": "wherever stripes lie over the image",
    "warp": "wherever the image is warped in a certain way",
    "input dependent": "wherever the image carries a trigger that depends on it",
    "gate": "where a gate in its graph opens",
}
"""When a backdoor of each kind speaks."""


def _of_kind(number: int, kind: Kind) -> Rule:
    words = kind.title().replace(" ", "").replace("-", "")
    return Rule(
        f"TI{number:04}",
        f"{words}Backdoor",
        f"Backdoor: {kind}",
        f"The network answers as an attacker chose {WHERE[kind]}.",
        "error",
        9.0,
        IN_GRAPH if kind == "gate" else IN_WEIGHTS,
    )


BY_KIND: Mapping[str | None, Rule] = {
    None: Rule(
        "TI0001",
        "Backdoor",
        "Backdoor",
        "The network holds a backdoor. The kind of trigger is not known.",
        "error",
        9.0,
        IN_WEIGHTS,
    ),
    **{kind: _of_kind(number, kind) for number, kind in enumerate(KINDS, start=2)},
}
"""The rule of a verdict of "backdoored", by the suspected kind of trigger."""
UNDECIDED = Rule(
    "TI0101",
    "Inconclusive",
    "Inconclusive",
    "The evidence decides neither way. A person has to look at the report.",
    "warning",
    5.0,
    IN_WEIGHTS,
)
REFUSED = Rule(
    "TI0201",
    "RefusedFile",
    "Refused file",
    "Opening the file with other programs could run code or exhaust the machine. It was not opened.",
    "error",
    8.0,
    IN_FILE,
)
RULES = (*BY_KIND.values(), UNDECIDED, REFUSED)


def terms_of(verdict: str, kind: str | None) -> tuple[Term, ...]:
    """What taxonomies call a verdict. A clean one is none of their entries."""
    if verdict == "backdoored":
        return BY_KIND[kind].terms
    return UNDECIDED.terms if verdict == "inconclusive" else ()


def every_term() -> list[Term]:
    """All terms that the rules use, in the order of the taxonomies."""
    used = dict.fromkeys(_used())
    return sorted(used, key=lambda term: SCHEMES.index(term.scheme))


def _used() -> Iterator[Term]:
    for rule in RULES:
        yield from rule.terms
