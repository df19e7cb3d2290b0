"""The wheel and the source archive, installed into an empty environment away from the checkout (``make installed``)."""

from __future__ import annotations

import json
import os
import re
import resource
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.installed.commands import QUICK, ROOT, run

pytestmark = pytest.mark.installed
MOST = 40e6
"""Bytes of the wheel."""


def test_the_wheel_is_small_and_has_no_package_named_app(built: tuple[Path, Path]) -> None:
    wheel, archive = built
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.stat().st_size < MOST and archive.stat().st_size < MOST
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"ti_core", "ti_dashboard", next(t for t in tops if t.endswith(".dist-info"))}
    assert "ti_core/assets/methods/cifar10.json" in names
    assert "ti_core/assets/packs/cifar10/pack.json" in names and "ti_dashboard/app/main.py" in names
    with tarfile.open(archive) as source:
        assert not [name for name in source.getnames() if "/tests/" in name]


def test_commands_work_without_any_extra(installed: Path) -> None:
    program = installed / "env/bin/trojaninterpret"
    packages = run(installed / "env/bin/pip", "list", cwd=installed).stdout.lower()
    assert not re.search(r"^(streamlit|ray|flaml|transformers|h5py) ", packages, re.M)
    assert run(program, "pack", "list", cwd=installed).stdout.startswith("cifar10: ")
    found = run(
        program, "inspect", "sample:cifar10-patch", *QUICK, "--json", "-", cwd=installed, codes=(0, 1, 3)
    )
    report = json.loads(found.stdout)
    assert report["pack"]["name"] == "cifar10" and report["versions"]["ti_core"]
    page = installed / "r.html"
    run(
        program,
        "inspect",
        "sample:cifar10-patch",
        *QUICK,
        "--html",
        page,
        "-q",
        cwd=installed,
        codes=(0, 1, 3),
    )
    assert (
        "is what this program writes"
        in run(program, "report", "verify", page, cwd=installed, codes=(0, 3)).stdout
    )
    models = installed / "models"
    models.mkdir()
    (models / "evil.pt").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    scanned = run(program, "scan", models, "--sarif", "s.json", cwd=installed, codes=(2,))
    assert json.loads(scanned.stdout)["fault"] == "RefusedFileError" and (installed / "s.json").is_file()
    assert "verifies" in run(program, "pack", "verify", "cifar10", "--members", "1", cwd=installed).stdout
    away = run(program, "app", cwd=installed, codes=(2,)).stderr
    assert "pip install 'trojaninterpret[dashboard]'" in away
    (models / "m.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    keras = run(program, "inspect", models / "m.h5", cwd=installed, codes=(2,)).stderr
    assert "pip install 'trojaninterpret[keras]'" in keras


def test_a_pack_is_added_and_found_by_its_name(installed: Path) -> None:
    program = installed / "env/bin/trojaninterpret"
    told = run(program, "pack", "add", ROOT / "assets/packs/gtsrb", cwd=installed).stdout
    assert "one of this program's own" in told
    model = ROOT / "assets/samples/gtsrb-clean.safetensors"
    found = run(program, "inspect", model, *QUICK, "--json", "-", cwd=installed, codes=(0, 1, 3))
    assert json.loads(found.stdout)["pack"]["name"] == "gtsrb"


def test_a_package_of_a_pack_is_found_until_it_is_removed(installed: Path) -> None:
    program, pip = installed / "env/bin/trojaninterpret", installed / "env/bin/pip"
    run(program, "pack", "wheel", ROOT / "assets/packs/cifar100", "--out", "packs", cwd=installed)
    (wheel,) = (installed / "packs").glob("trojaninterpret_pack_cifar100-*.whl")
    run(pip, "install", "-q", "--no-deps", wheel, cwd=installed)
    assert "\ncifar100: " in run(program, "pack", "list", cwd=installed).stdout
    run(pip, "uninstall", "-q", "--yes", "trojaninterpret-pack-cifar100", cwd=installed)
    assert "cifar100: " not in run(program, "pack", "list", cwd=installed).stdout


@contextmanager
def serving(installed: Path) -> Iterator[int]:
    """``trojaninterpret app`` while it runs, and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [installed / "env/bin/trojaninterpret", "app", "--port", str(port)],
        cwd=installed,
        env=os.environ | {"HOME": str(installed), "PYTHONPATH": "", "TROJANINTERPRET_HOME": "cases"},
    )
    try:
        yield port
    finally:
        server.terminate()
        server.wait(30)


def test_the_dashboard_opens_with_its_extra(built: tuple[Path, Path], installed: Path) -> None:
    run(installed / "env/bin/pip", "install", "-q", f"{built[0]}[dashboard]", cwd=installed)
    with serving(installed) as port:
        end, answer = time.monotonic() + 60, ""
        while time.monotonic() < end and answer != "ok":
            time.sleep(0.5)
            with suppress(OSError):
                answer = urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health").read().decode()
        assert answer == "ok"
    page = "from streamlit.testing.v1 import AppTest; import sys\n"
    page += "found = AppTest.from_file(sys.argv[1], default_timeout=90).run()\n"
    page += "assert not found.exception, found.exception; print(found.button)"
    code = "import ti_core.cli.shell.dashboard as d; print(d.dashboard_folder())"
    folder = Path(run(installed / "env/bin/python", "-c", code, cwd=installed).stdout.strip())
    assert folder.name == "ti_dashboard"
    assert (
        "cifar10"
        in run(installed / "env/bin/python", "-c", page, folder / "app/main.py", cwd=installed).stdout
    )
    spec = "import importlib.util as u; print(u.find_spec('app'))"
    assert run(installed / "env/bin/python", "-c", spec, cwd=installed).stdout.strip() == "None"


def test_a_cold_inspection_is_no_slower_than_the_checkouts(installed: Path) -> None:
    sample = ROOT / "assets/samples/cifar10-clean.safetensors"
    rest = ("inspect", sample, *QUICK, "--no-cache", "-q")

    def seconds(command: list[str | Path], cwd: Path) -> float:
        """Of a processor, so that other work on the machine does not count."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(*command, *rest, cwd=cwd, codes=(0, 1, 3))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    here = min(seconds([sys.executable, "-m", "ti_core"], ROOT) for _ in range(2))
    there = min(seconds([installed / "env/bin/trojaninterpret"], installed) for _ in range(2))
    assert there < 1.25 * here + 1.0, f"{there:.1f} s, in the checkout {here:.1f} s"
