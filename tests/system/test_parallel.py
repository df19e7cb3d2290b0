from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ti_core.errors import SettingsError
from ti_core.system import parallel
from ti_core.system.parallel import ordered, run_many

ROOT = Path(__file__).resolve().parents[2]


def square(x: int) -> int:
    return x * x


def fail_at_three(x: int) -> int:
    if x == 3:
        raise SettingsError("Three is too many.")
    return x


def dies_once(marks: str, x: int) -> tuple[int, int]:
    """Kills its own process the first time it is given 2, as a machine that is switched off would."""
    mark = Path(marks) / str(x)
    if x == 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return x, os.getpid()


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_item_is_done_and_told(jobs: int) -> None:
    told: list[tuple[int, int]] = []
    pairs = list(run_many(square, [3, 1, 2], jobs, progress=lambda done, count: told.append((done, count))))
    assert sorted(pairs) == [(0, 9), (1, 1), (2, 4)]
    assert ordered(iter(pairs)) == [9, 1, 4]
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_what_the_function_raises_is_raised() -> None:
    with pytest.raises(SettingsError, match="Three is too many"):
        list(run_many(fail_at_three, [1, 2, 3, 4]))


def test_an_unknown_engine_names_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="local and ray"):
        list(run_many(square, [1], engine="spark"))


def test_without_ray_one_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsError, match=r"trojaninterpret\[ray\]"):
        list(run_many(square, [1], engine="ray"))


class Cluster:
    """Stands for Ray: each piece of work is done when it is asked for."""

    def __init__(self, **there: float) -> None:
        self.there, self.wanted, self.most, self.now = there, {}, 0, 0

    def cluster_resources(self) -> dict[str, float]:
        return self.there

    def remote(self, **wanted: int) -> Any:
        self.wanted = wanted

        def submit(*arguments: Any) -> Any:
            self.now += 1
            self.most = max(self.most, self.now)
            return arguments

        return lambda function: SimpleNamespace(remote=submit)

    def wait(self, running: list[Any], num_returns: int) -> tuple[list[Any], list[Any]]:
        self.now -= 1
        return running[:1], running[1:]

    def get(self, reference: Any) -> Any:
        function, index, item = reference
        return index, function(item)


@pytest.mark.parametrize(("gpus", "at_once"), [(0, 6), (1, 2), (2, 1)])
def test_with_ray_each_piece_of_work_has_its_gpus(
    gpus: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(CPU=6, GPU=2)
    monkeypatch.setattr(parallel, "_cluster", lambda jobs: nullcontext(cluster))
    assert ordered(run_many(square, list(range(9)), engine="ray", gpus=gpus)) == [i * i for i in range(9)]
    assert cluster.wanted["num_gpus"] == gpus and cluster.most == at_once


def test_without_a_gpu_in_the_cluster_nothing_waits_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_cluster", lambda jobs: nullcontext(Cluster(CPU=6)))
    with pytest.raises(SettingsError, match="No machine of the Ray cluster has a GPU"):
        list(run_many(square, [1], engine="ray", gpus=1))


def ray_run(body: str, tmp_path: Path) -> str:
    """What a script prints that works on a Ray cluster: in a process of its own, since Ray changes the one it is in."""
    pytest.importorskip("ray", reason="Ray is an optional extra")
    script = tmp_path / "script.py"
    script.write_text(body)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "RAY_raylet_start_wait_time_s": "300",
    }
    environment.pop("RAY_ADDRESS", None)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script)],
        capture_output=True,
        text=True,
        timeout=600,
        env=environment,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


@pytest.mark.ray
@pytest.mark.slow
def test_ray_loses_nothing_when_a_worker_is_killed(tmp_path: Path) -> None:
    """Two workers of a cluster on this machine; one is killed in the middle of its work."""
    body = f"""

from functools import partial
from tests.system.test_parallel import dies_once
from ti_core.system.parallel import ordered, run_many

found = ordered(run_many(partial(dies_once, {str(tmp_path)!r}), list(range(6)), 2, "ray"))
assert [x for x, _ in found] == list(range(6)), found
assert len({{pid for _, pid in found}}) >= 2, found
print("whole")
"""
    assert ray_run(body, tmp_path) == "whole"
    assert (tmp_path / "2").exists(), "the worker was killed"


@pytest.mark.ray
@pytest.mark.slow
def test_ray_is_reached_from_this_machine_only(tmp_path: Path) -> None:
    """No process of the cluster listens on an address that others reach; it has no dashboard, and sends no usage.

    Not even where something else, as FLAML does, imported Ray before, when it took itself to be reachable.
    """
    body = """
import ray
import os
from pathlib import Path
from tests.system.test_parallel import square
from ti_core.system.parallel import run_many

def listening():
    # The kernel's own tables: local address in hexadecimal, state 0A is LISTEN.
    rows = [l.split() for name in ("tcp", "tcp6") for l in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {(r[1], r[9]) for r in rows if r[3] == "0A"}

def sockets():
    found = {}
    for fd in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            link = os.readlink(fd)
        except OSError:
            continue
        if link.startswith("socket:["):
            found[link[8:-1]] = int(fd.parts[2])
    return found

before = listening()
work = run_many(square, list(range(4)), 2, "ray")
next(work)
opened = listening() - before
assert opened, "Ray listens somewhere"
loopback = ("0100007F:", "00000000000000000000000001000000:", "0000000000000000FFFF00000100007F:")
strange = [a for a, inode in opened if not a.startswith(loopback)]
assert not strange, strange
assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
assert not ray._private.worker._global_node.webui_url
list(work)
assert not ray.is_initialized()
print("alone")
"""
    assert ray_run(body, tmp_path) == "alone"


@pytest.mark.ray
@pytest.mark.slow
def test_a_zoo_is_trained_on_two_machines_of_which_one_is_lost(tmp_path: Path, tiny_data: Path) -> None:
    """A cluster of two nodes; one of them is taken away while networks are being trained. Every member is there."""
    body = f"""
import os, threading, time
from dataclasses import replace
from pathlib import Path
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
import ray
from ray.cluster_utils import Cluster
from ti_core.zoo.plan.draw import plan
from ti_core.zoo.training.members import train_zoo

cluster = Cluster(initialize_head=True, head_node_args={{"num_cpus": 1, "include_dashboard": False}})
second = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
os.environ["RAY_ADDRESS"] = cluster.address
out = Path({str(tmp_path / "zoo")!r})
options = {{"in_channels": 1, "classes": 4, "size": 12, "hidden": [8]}}
recipes = [replace(r, architecture="mlp", options=options, epochs=20) for r in plan(8, (1, 12, 12), 4, seed=1)]

def lose():
    while len(list(out.glob("*.json"))) < 2:
        time.sleep(0.05)
    cluster.remove_node(second, allow_graceful=False)
    (out / "lost").touch()

threading.Thread(target=lose, daemon=True).start()
records = train_zoo(Path({str(tiny_data)!r}), out, jobs=2, progress=False, recipes=recipes, engine="ray")
assert (out / "lost").exists(), "the machine was lost during the run"
assert [r["id"] for r in records] == [r.id for r in recipes]
assert all((out / f"{{r.id}}.safetensors").exists() for r in recipes)
print("trained", len(records))
cluster.shutdown()
"""
    assert ray_run(body, tmp_path).startswith("trained 9")
