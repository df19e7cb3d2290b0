"""The command line: ``python -m ti_core``, also installed as ``trojaninterpret``."""

from ti_core.cli.main import main

__all__ = ["main"]
