"""JUnit XML: each model file is a test case."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

from ti_core.results.formats.outcome import Outcome
from ti_core.text import without_controls

SUITE = "trojaninterpret"


class JUnit:
    """A test suite with a case for each file.

    A verdict that makes the command fail is a failure, a file without a verdict an error. What does not make it fail is
    skipped, with its sentence.
    """

    def __init__(self) -> None:
        self._suite = Xml.Element("testsuite", name=SUITE)
        self._counts = {"failures": 0, "errors": 0, "skipped": 0}
        self._tests = 0
        self._seconds = 0.0

    def add(self, outcome: Outcome) -> None:
        """One more file."""
        self._tests += 1
        self._seconds += outcome.seconds
        case = Xml.SubElement(
            self._suite,
            "testcase",
            name=without_controls(outcome.name),
            classname=SUITE,
            time=f"{outcome.seconds:.3f}",
        )
        if outcome.verdict == "clean":
            return
        result, count = ("failure", "failures") if outcome.report else ("error", "errors")
        if outcome.known or not outcome.fails:
            result, count = "skipped", "skipped"
        self._counts[count] += 1
        found = Xml.SubElement(case, result, type=outcome.verdict, message=outcome.message)
        found.text = "\n".join(_reasons(outcome))

    def text(self) -> str:
        """The document."""
        values = {"tests": self._tests, **self._counts}
        for name, value in values.items():
            self._suite.set(name, str(value))
        self._suite.set("time", f"{self._seconds:.3f}")
        root = Xml.Element("testsuites")
        root.append(self._suite)
        Xml.indent(root)
        return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _reasons(outcome: Outcome) -> list[str]:
    return [without_controls(reason) for reason in outcome.report.reasons] if outcome.report else []
