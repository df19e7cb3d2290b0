"""The versions that a report states."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from ti_core.system.code_digest import code_digest
from ti_core.version import __version__


@cache
def versions() -> dict[str, str]:
    """Versions of the program and of the packages that its figures depend on; "source": digest of its source files."""
    found = {"ti_core": __version__, "source": code_digest(), "python": platform.python_version()}
    for name in ("torch", "captum", "catboost", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found
