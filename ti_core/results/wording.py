"""A verdict in words that people use: what it is about, and what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ti_core.results.coverage import Row, subject
from ti_core.text import shown

LONGEST_NAME = 120
"""Characters of a file's or a class's name that a sentence shows."""
MOVED = 0.5
"""Share of a class's images that must become the class assigned to theirs, or it does not count as moved."""
NAMED = 4
"""Number of pairs of classes that a sentence names."""

TRIGGERS: Mapping[str, str] = {
    "patch": "a patch",
    "blend": "a blended pattern",
    "stripes": "a pattern of stripes",
    "warp": "a warp of the image",
    "input dependent": "a trigger that depends on the image",
    "gate": "a gate in the graph",
}


def about(verdict: str, rows: Sequence[Row]) -> str:
    """What was looked for, to follow the word "clean" or "inconclusive"; empty where nothing is known of it."""
    said, strong = subject(rows)
    if not said:
        return ""
    if verdict == "clean":
        return f" of {said}" if strong else f" as far as was looked ({said})"
    return f" about {said}"


def finding(kind: str | None, mapping: Mapping[str, Any] | None) -> str:
    """The trigger and where it leads, to follow the word "backdoored"; empty where neither is known."""
    trigger = TRIGGERS.get(kind or "", "a trigger")
    if mapping is not None:
        return f": {trigger} leads {leads_in_words(mapping)}"
    return f" by {trigger}" if kind else ""


def leads_in_words(mapping: Mapping[str, Any]) -> str:
    """Where a report's mapping leads: what follows "a patch leads"."""
    target = f"class {_name(mapping['target_name'])}"
    if mapping["kind"] == "all to one":
        return f"all images to {target}"
    if mapping["kind"] == "one source":
        if mapping["source_name"] is None:
            return f"only one class to {target}"
        return f"only images of class {_name(mapping['source_name'])} to {target}"
    return _assignment(mapping["assignment"])


def _assignment(pairs: Sequence[Mapping[str, Any]]) -> str:
    moved = [pair for pair in pairs if pair["moved"] >= MOVED]
    if not moved:
        return "classes to other ones"
    who = "every class" if len(moved) == len(pairs) else f"{len(moved)} of {len(pairs)} classes"
    if len(moved) > 1 and all(pair["target"] == (pair["source"] + 1) % len(pairs) for pair in moved):
        return f"{who} to the next one"
    named = [f"{_name(pair['source_name'])} to {_name(pair['target_name'])}" for pair in moved[:NAMED]]
    more = f" and {len(moved) - NAMED} more" if len(moved) > NAMED else ""
    return f"{who} to another one ({', '.join(named)}{more})"


def _name(name: object) -> str:
    return shown(str(name), LONGEST_NAME)
