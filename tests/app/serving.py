"""The real server, started, killed and started again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START = 240.0
"""Seconds that a start may take on a busy machine."""

WITHOUT_RIGHTS = """
set -e
hidden=$1 base=$2; shift 2
mount --make-rprivate /
mount -t tmpfs -o uid=10001,gid=10001,mode=700,size=512m none /mnt
if [ -n "$hidden" ]; then
  mkdir -p /run/base; mount --bind "$base" /run/base
  mount -t tmpfs -o mode=755 none "$hidden"; mkdir -p "$base"; mount --bind /run/base "$base"; umount /run/base
fi
mount -t tmpfs -o mode=1777,size=2g,noexec,nosuid,nodev none /tmp
mount -o remount,bind,ro /
export HOME=/home/reviewer TROJANINTERPRET_HOME=/mnt/data TROJANINTERPRET_CACHE=/tmp/trojaninterpret
exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""
"""What the container gives its server: a root that cannot be written to, a /tmp in memory, a volume, and no rights."""


def without_rights() -> tuple[str, ...]:
    """What is put before a command that is to run as in the container; needs root."""
    base = Path(sys.base_prefix)
    # Python itself may lie in a folder that only root can enter.
    hidden = next((p for p in reversed(base.parents) if not p.stat().st_mode & 0o001), None)
    return ("unshare", "--mount", "sh", "-c", WITHOUT_RIGHTS, "sh", str(hidden or ""), str(base))


class Server:
    """A dashboard with a home of its own, always at the same address.

    Parameters
    ----------
    home : its data; the cache lies in it.
    command : what is put before it, such as a program that confines it.
    environment : further variables.
    """

    def __init__(self, home: Path, *command: str, **environment: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.home = home
        self.address = f"http://127.0.0.1:{self.port}"
        self._command = command
        self._environment = environment
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Server:
        """Returns when it answers."""
        self.process = subprocess.Popen(
            [
                *self._command,
                *(sys.executable, "-m", "streamlit", "run", "app/main.py"),
                f"--server.port={self.port}",
            ],
            cwd=ROOT,
            env={
                **os.environ,
                "TROJANINTERPRET_HOME": str(self.home),
                "TROJANINTERPRET_CACHE": str(self.home / "cache"),
                **self._environment,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + START
        while True:
            with suppress(OSError):
                urllib.request.urlopen(f"{self.address}/_stcore/health", timeout=2)
                return self
            assert self.process.poll() is None and time.monotonic() < end, "the server did not start"
            time.sleep(0.2)

    def kill(self) -> None:
        """As the kernel does it when memory runs out: nothing of it has a chance to tidy up."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(timeout=30)

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(timeout=60)

    @property
    def host(self) -> int | None:
        """The process id of its worker's host."""
        assert self.process is not None
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, IndexError, ValueError):
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.process.pid and b"ti_core.worker.host" in (path / "cmdline").read_bytes():
                    return int(path.name)
        return None

    @property
    def jobs(self) -> list[int]:
        """The process ids of the inspections that run."""
        host, found = self.host, []
        for path in Path(f"/proc/{host}/task").glob("*/children") if host else ():
            with suppress(OSError):
                found += [int(pid) for pid in path.read_text().split()]
        return found
