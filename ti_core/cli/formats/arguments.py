"""Arguments of the formats that other programs read."""

from __future__ import annotations

import argparse

from ti_core.cli.output import a_path

HELP = {
    "sarif": "write the findings as SARIF 2.1.0, for code-scanning services",
    "bom": "write a CycloneDX 1.6 bill of materials, with the inspection as an attestation",
    "attestation": "write in-toto statements, one a line, ready to be signed",
    "junit": "write JUnit XML: each model is a test case",
    "github": "write the lines that GitHub shows as annotations",
    "gitlab": "write GitLab's code-quality report",
}


def add_format_arguments(command: argparse.ArgumentParser) -> None:
    """Add an option for each format."""
    group = command.add_argument_group("formats for other programs (-: to standard output)")
    for name, says in HELP.items():
        group.add_argument(f"--{name}", type=a_path, metavar="FILE", help=says)
