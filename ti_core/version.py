"""The version of this program, in one place: pyproject.toml reads it from here."""

__version__ = "0.1.0"
