"""The wheel and the source archive, and an environment that holds the wheel."""

from __future__ import annotations

import venv
from pathlib import Path

import pytest

from tests.installed.commands import ROOT, TORCH, run


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel, made from the source archive, and the archive."""
    work = tmp_path_factory.mktemp("build")
    venv.create(work / "tools", with_pip=True)
    run(work / "tools/bin/pip", "install", "-q", "build", cwd=work)
    run(work / "tools/bin/python", "-m", "build", "--outdir", work / "dist", ROOT, cwd=work)
    return next((work / "dist").glob("*.whl")), next((work / "dist").glob("*.tar.gz"))


@pytest.fixture(scope="session")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an environment in ``env`` that holds the wheel and no extra."""
    work = tmp_path_factory.mktemp("installed")
    venv.create(work / "env", with_pip=True)
    run(work / "env/bin/pip", "install", "-q", TORCH, cwd=work)
    run(work / "env/bin/pip", "install", "-q", built[0], cwd=work)
    return work
