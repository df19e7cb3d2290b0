"""Commands that know nothing of the checkout, and what they are given."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TORCH = "torch==2.13.0"
QUICK = ("--set", "streams=saliency")


@cache
def pip_settings() -> dict[str, str]:
    """This machine's settings of pip by name, from its files and its environment."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {
        key.rpartition(".")[2].lower(): value.strip("'")
        for key, _, value in (line.partition("=") for line in lines)
    }


def run(
    *command: str | Path, cwd: Path, codes: tuple[int, ...] = (0,), more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command without anything of the checkout in its environment, and with ``more``."""
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "TROJANINTERPRET_", "VIRTUAL"))
    }
    kept |= {"HOME": str(cwd), "XDG_CACHE_HOME": str(cwd / "cache"), "XDG_DATA_HOME": str(cwd / "data")}
    kept |= more or {}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=kept, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode in codes, (
        f"{command}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    )
    return done
