"""``app``: opens the dashboard with Streamlit."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ti_core.errors import SettingsError
from ti_core.system.folders import assets_folder

FOLDERS = ("TROJANINTERPRET_HOME", "TROJANINTERPRET_CACHE", "TROJANINTERPRET_PACKS")
"""Environment variables that name folders. Streamlit starts in another folder, so their paths become absolute."""


def add_app(commands: Any) -> None:
    """Add ``app`` to the commands."""
    command = commands.add_parser(
        "app",
        help="open the dashboard in the browser",
        description="Open the dashboard at http://127.0.0.1:8501. Ctrl-C ends it.",
        epilog="examples:\n  trojaninterpret app\n  trojaninterpret app --port 8600\n"
        "  trojaninterpret app -- --server.maxUploadSize=4096    (options of Streamlit)",
    )
    command.add_argument("--port", type=int, default=8501, metavar="N", help="default: 8501")
    command.add_argument("streamlit", nargs="*", metavar="OPTION", help="options of Streamlit, after --")


def dashboard_folder() -> Path | None:
    """The folder that holds ``app/main.py`` and Streamlit's configuration; None if the dashboard is not there."""
    package = Path(__file__).resolve().parents[2]
    for folder in (package.parent / "ti_dashboard", package.parent):
        if (folder / "app" / "main.py").is_file():
            return folder
    return None


def command_for(port: int, more: Sequence[str]) -> list[str]:
    """The command that starts Streamlit."""
    return [sys.executable, "-m", "streamlit", "run", "app/main.py", f"--server.port={port}", *more]


def open_dashboard(options: argparse.Namespace) -> int:
    """Put Streamlit in this process's place.

    Raises
    ------
    SettingsError : Streamlit is not installed, or there is no dashboard.
    """
    folder = dashboard_folder()
    if find_spec("streamlit") is None or find_spec("plotly") is None:
        raise SettingsError(
            "The dashboard needs Streamlit, which is not installed; run pip install 'trojaninterpret[dashboard]'."
        )
    if folder is None:
        raise SettingsError(
            f"There is no dashboard beside {assets_folder().parent}; install the program again."
        )
    for name in FOLDERS:
        if os.environ.get(name):
            os.environ[name] = str(Path(os.environ[name]).absolute())
    # Streamlit asks for the name of a home, and stores nothing there.
    os.environ.setdefault("HOME", "/nonexistent")
    command = command_for(options.port, options.streamlit)
    os.chdir(folder)
    os.execv(command[0], command)
