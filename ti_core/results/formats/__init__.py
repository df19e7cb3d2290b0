"""Verdicts in formats that other programs read: SARIF, CycloneDX, in-toto, JUnit, annotations."""
