"""Programs of others that some tests run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def tool(name: str) -> str | None:
    """Where a program lies: in ``build/tools``, where ``make tools`` puts it, or on the path; None if it is missing."""
    here = ROOT / "build" / "tools" / "bin"
    return shutil.which(name, path=os.pathsep.join((str(here), os.environ.get("PATH", ""))))
