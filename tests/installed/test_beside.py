"""The wheel beside another version, and without a network (``make installed``)."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import venv
from pathlib import Path

import pytest

from tests.installed.commands import QUICK, run

pytestmark = pytest.mark.installed
ALONE = ("unshare", "--net", "--map-root-user")
SAMPLE = ("inspect", "sample:cifar10-patch", *QUICK)
NEXT = "0.2.0"


@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode != 0,
    reason="this machine gives no network of its own",
)
def test_without_a_network_nothing_changes(installed: Path) -> None:
    program = installed / "env/bin/trojaninterpret"
    said = [
        run(*before, program, *SAMPLE, "--no-cache", "--json", "-", cwd=installed, codes=(0, 1, 3)).stdout
        for before in ((), ALONE)
    ]
    first, second = map(json.loads, said)
    for key in ("probability", "verdict", "reasons", "coverage", "streams"):
        assert first[key] == second[key]


def test_two_versions_stand_side_by_side(built: tuple[Path, Path], installed: Path, tmp_path: Path) -> None:
    with tarfile.open(built[1]) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.glob("trojaninterpret-*")
    version = source / "ti_core/version.py"
    old = run(installed / "env/bin/trojaninterpret", "--version", cwd=installed).stdout.split()[-1]
    assert old != NEXT and f'"{old}"' in version.read_text()
    version.write_text(version.read_text().replace(f'"{old}"', f'"{NEXT}"'))
    run(installed / "env/bin/pip", "wheel", "-q", "--no-deps", "--wheel-dir", tmp_path, source, cwd=tmp_path)
    venv.create(tmp_path / "env", with_pip=True)
    run(tmp_path / "env/bin/pip", "install", "-q", "--no-deps", *tmp_path.glob("*.whl"), cwd=tmp_path)
    # What both need is taken from the first, so that it is not installed twice.
    (others,) = (installed / "env/lib").glob("python*/site-packages")
    (own,) = (tmp_path / "env/lib").glob("python*/site-packages")
    (own / "others.pth").write_text(f"{others}\n")
    # The same home and the same cache for both, in turns.
    for program, said in ((installed, old), (tmp_path, NEXT), (installed, old)):
        command = program / "env/bin/trojaninterpret"
        assert run(command, "--version", cwd=installed).stdout.split()[-1] == said
        report = json.loads(run(command, *SAMPLE, "--json", "-", cwd=installed, codes=(0, 1, 3)).stdout)
        assert report["versions"]["ti_core"] == said and report["pack"]["name"] == "cifar10"
        kept = installed / f"{said}.json"
        kept.write_text(json.dumps(report))
        other = (tmp_path if program == installed else installed) / "env/bin/trojaninterpret"
        assert run(other, "report", "verify", kept, cwd=installed, codes=(0, 3)).stdout
    assert any((installed / "cache").iterdir())
