"""Installed as a tool of its own: ``uv tool install`` and ``pipx install`` (``make installed``)."""

from __future__ import annotations

import venv
from pathlib import Path

import pytest

from tests.installed.commands import QUICK, TORCH, pip_settings, run

pytestmark = pytest.mark.installed
OF_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "constraint": "UV_CONSTRAINT",
    "cert": "SSL_CERT_FILE",
}
"""uv's variable for each setting of pip, which uv does not read."""


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment that holds uv and pipx."""
    work = tmp_path_factory.mktemp("tools")
    venv.create(work / "env", with_pip=True)
    run(work / "env/bin/pip", "install", "-q", "uv", "pipx", cwd=work)
    return work / "env/bin"


def works(home: Path) -> None:
    """The command stands where tools stand, and inspects a sample that the wheel brings."""
    program = home / ".local/bin/trojaninterpret"
    found = run(program, "inspect", "sample:cifar10-patch", *QUICK, cwd=home, codes=(0, 1, 3)).stdout
    assert found.startswith("cifar10-patch.safetensors: ") and "probability of a backdoor" in found


def test_uv_installs_it(tools: Path, built: tuple[Path, Path], tmp_path: Path) -> None:
    settings = {variable: pip_settings()[name] for name, variable in OF_UV.items() if name in pip_settings()}
    settings["XDG_BIN_HOME"] = str(tmp_path / ".local/bin")
    run(tools / "uv", "tool", "install", "--with", TORCH, built[0], cwd=tmp_path, more=settings)
    works(tmp_path)


def test_pipx_installs_it(tools: Path, built: tuple[Path, Path], tmp_path: Path) -> None:
    run(tools / "pipx", "install", "--preinstall", TORCH, built[0], cwd=tmp_path)
    works(tmp_path)
