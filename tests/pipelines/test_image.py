"""The container image, built from the recipe itself and used without a network (``make container``).

No registry of images is needed: the base is a clean Debian with its own Python, by debootstrap.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.installed.commands import pip_settings
from tests.pipelines.test_container import ROOT, of

NEEDED = ("buildah", "debootstrap", "ip", "unshare")
MISSING = [name for name in NEEDED if shutil.which(name) is None]
pytestmark = [
    pytest.mark.container,
    pytest.mark.skipif(os.geteuid() != 0, reason="a clean Debian is made as root"),
    pytest.mark.skipif(
        bool(MISSING), reason=f"missing: {', '.join(MISSING)}; apt-get install buildah debootstrap iproute2"
    ),
]
SUITES = {"3.11": "bookworm", "3.13": "trixie"}
"""Debian's release that has this Python."""
SAMPLE = ("assets/samples/mnist-patch.safetensors", "--set", "streams=saliency", "--json", "-")
ALONE = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c")
"""No network but the loopback, and nothing that is started goes on afterwards."""
SERVED = """
set -e
ip link set lo up
{run} -- {command} > {log} 2>&1 &
server=$! tries=0
until {run} -- {health} > {health_log} 2>&1; do
  kill -0 $server && [ $tries -lt 120 ] || {{ cat {log} {health_log} >&2; exit 1; }}
  tries=$((tries + 1)); sleep 1
done
{run} -- python -c '{page}'
"""
ASKED = 'a = r.urlopen("http://127.0.0.1:8501/"); print(a.status, "</html>" in a.read().decode())'
PAGE = f"import urllib.request as r; {ASKED}"


def run(*command: str | Path, codes: tuple[int, ...] = (0,)) -> str:
    """What a command prints to standard output."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=3000, check=False)
    assert done.returncode in codes, (
        f"{command}: {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    )
    return done.stdout


def local(settings: dict[str, str]) -> list[Path]:
    """The files and folders that these settings name. The pages of an index lead to files beside it."""
    words = [word for value in settings.values() for word in value.split()]
    named = [Path(word.removeprefix("file://")) for word in words if word.startswith(("/", "file:///"))]
    places = [path.parent if path.name == "simple" else path for path in named]
    return [path for path in dict.fromkeys(places) if path.exists()]


@dataclass(frozen=True)
class Builder:
    """buildah with images and containers of its own in a folder; nothing of the user's is touched."""

    folder: Path

    @property
    def command(self) -> tuple[str, ...]:
        return ("buildah", "--root", f"{self.folder}/images", "--runroot", f"{self.folder}/run")

    def __call__(self, *words: str | Path, codes: tuple[int, ...] = (0,)) -> str:
        return run(*self.command, *words, codes=codes).strip()

    def base(self, name: str, version: str) -> None:
        """An image of this name: a clean Debian that has this version of Python."""
        root = self.folder / "debian"
        packages = "ca-certificates,python3,python3-venv"
        run("debootstrap", "--variant=minbase", f"--include={packages}", SUITES[version], root)
        (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        container = self("from", "scratch")
        self("copy", "--quiet", container, root, "/")
        self("commit", "--quiet", container, f"docker.io/library/{name}")
        self("rm", container)
        shutil.rmtree(root)

    def image(self, name: str) -> None:
        """The image of the recipe, as it is; pip finds packages as on this machine."""
        settings, written = pip_settings(), self.folder / "pip.conf"
        written.write_text("[global]\n" + "".join(f"{k} = {v}\n" for k, v in settings.items()))
        shared = [(written, "/etc/pip.conf"), *((path, path) for path in local(settings))]
        volumes = [f"--volume={here}:{there}:ro" for here, there in shared]
        self("bud", "--isolation=chroot", "--pull-never", "--format=docker", *volumes, "--tag", name, ROOT)


@dataclass(frozen=True)
class Container:
    """A container of the image, with the user, the folder and the environment that the recipe gives."""

    builder: Builder
    name: str

    @property
    def words(self) -> tuple[str, ...]:
        return (*self.builder.command, "run", "--isolation=chroot", self.name)

    def __call__(self, *words: str, codes: tuple[int, ...] = (0,)) -> str:
        script = f"ip link set lo up; exec {shlex.join((*self.words, '--', *words))}"
        return run(*ALONE, script, codes=codes)

    def served(self) -> str:
        """Start the recipe's own command, wait for its own health check, and ask for the page."""
        (command,) = map(json.loads, of("CMD"))
        (health,) = (json.loads(rest.partition("CMD ")[2]) for rest in of("HEALTHCHECK"))
        folder = self.builder.folder
        script = SERVED.format(
            run=shlex.join(self.words),
            command=shlex.join(command),
            health=shlex.join(health),
            page=PAGE,
            log=folder / "server.log",
            health_log=folder / "health.log",
        )
        return run(*ALONE, script)


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """A container of the image of the Dockerfile."""
    builder = Builder(tmp_path_factory.mktemp("container"))
    (base,) = (rest.partition("=")[2] for rest in of("ARG") if rest.startswith("BASE="))
    builder.base(base, re.sub(r"python:([\d.]+)-slim", r"\1", base))
    builder.image("trojaninterpret")
    yield Container(builder, builder("from", "--pull-never", "localhost/trojaninterpret"))
    builder("rm", "--all")
    builder("rmi", "--all", "--force")


def test_the_user_has_no_rights_and_nothing_that_installs(container: Container) -> None:
    (user,) = of("USER")
    assert container("sh", "-c", "echo $(id -u):$(id -g)").strip() == user
    gone = "for n in pip pip3 gcc; do command -v $n; done; python -m pip --version; find / -xdev -type f -perm /6000"
    assert container("sh", "-c", gone, codes=(0, 1)) == ""
    ours = "find /opt /usr -xdev -writable -not -type l | head; touch /opt/x /usr/x /x; ls -d /*/x /x"
    assert container("sh", "-c", ours, codes=(1, 2)) == ""


def test_the_dashboard_answers(container: Container) -> None:
    assert container.served().strip() == "200 True"


def test_a_sample_is_inspected(container: Container) -> None:
    report = json.loads(container("python", "-m", "ti_core", "inspect", *SAMPLE, codes=(0, 1, 3)))
    assert report["model"]["file"] == "mnist-patch.safetensors" and report["pack"]["name"] == "mnist"
    assert 0 <= report["probability"] <= 1
    # The filter on system calls needs the library that the recipe installs.
    assert "seccomp" in report["isolation"]["network"]
