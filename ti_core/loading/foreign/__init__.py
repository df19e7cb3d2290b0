"""Formats of other programs, which are recognised by their content and not opened."""
