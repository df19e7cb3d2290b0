"""Tests that a killed scan of many models continues: no line is lost or repeated, and memory does not grow.

``python -m benchmarks.scan --count 1000`` makes 1,000 small models: a pack's members in turn, each with one changed
weight, so that all digests differ. It scans them with the paper's stream, two at once, and kills the scan and its
worker (SIGKILL) when half of the lines are written. Then it continues and checks that every model has exactly one
complete line. At every line it measures the memory of the scanning process, the worker's host and the largest job.
``--minutes`` also kills the scan after that time; the same command then continues. ``--engine ray`` scans on a Ray
cluster of this machine. ``--refused`` scans files without a model, to measure the scan itself.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks.memory import held
from benchmarks.table import ROOT, Row, count, told

LOOK = 0.05


@dataclass
class Mark:
    """Time and memory at a number of lines.

    ``seconds`` of elapsed time and ``busy`` processor seconds are sums over all runs so far. ``asking``, ``host`` and
    ``job`` are the peak resident MiB, since the last mark, of the scanning process, the worker's host and any job.
    """

    lines: int
    seconds: float = 0.0
    busy: float = 0.0
    asking: float = 0.0
    host: float = 0.0
    job: float = 0.0


def make_models(folder: Path, count: int, pack_name: str) -> None:
    """Write the models that do not exist yet."""
    from safetensors.torch import save_file

    from ti_core.reference.pack import load_pack

    folder.mkdir(parents=True, exist_ok=True)
    pack = load_pack(pack_name)
    for number in range(count):
        path = folder / f"model-{number:05d}.safetensors"
        if path.exists():
            continue
        member = pack.members[number % len(pack.members)]
        state = pack.scores(member).network.state_dict()
        first = next(k for k, v in state.items() if v.is_floating_point())
        state[first] = state[first].clone()
        state[first].view(-1)[0] += 1e-6 * (1 + number // len(pack.members))
        metadata = {
            "architecture": member.architecture,
            "options": json.dumps(dict(member.options), sort_keys=True),
            "normalisation": member.normalisation,
        }
        part = path.with_suffix(".part")
        save_file({k: v.contiguous() for k, v in state.items()}, part, metadata)
        part.replace(path)


def make_refused(folder: Path, count: int) -> None:
    """Write files with a model's ending but without a model, each with its own digest."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"model-{number:05d}.safetensors").write_text(f"no model {number}\n")


def whole_lines(out: Path) -> int:
    return out.read_bytes().count(b"\n") if out.exists() else 0


def children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def busy(pid: int) -> float:
    """Processor seconds of a process and of its ended children."""
    with suppress(OSError, ValueError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def run(command: list[str], out: Path, marks: list[Mark], stop_at: int, until: float) -> bool:
    """Run a scan, and kill it at a number of lines or at a time. Returns whether it ended by itself."""
    environment = os.environ | {"TROJANINTERPRET_CACHE": str(out.parent / "cache")}
    start, before = time.monotonic(), marks[-1] if marks else Mark(0)
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    now = Mark(whole_lines(out))
    while process.poll() is None:
        time.sleep(LOOK)
        hosts = children(process.pid)
        jobs = [job for host in hosts for job in children(host)]
        now.asking = max(now.asking, held(process.pid, "VmRSS"))
        now.host = max([now.host, *(held(host, "VmRSS") for host in hosts)])
        now.job = max([now.job, *(held(job, "VmRSS") for job in jobs)])
        lines = whole_lines(out)
        if lines > now.lines and process.poll() is None:
            now.lines, now.seconds = lines, before.seconds + time.monotonic() - start
            now.busy = before.busy + busy(process.pid) + sum(map(busy, hosts))
            marks.append(now)
            now = Mark(lines)
        if lines >= stop_at or time.monotonic() > until:
            process.send_signal(signal.SIGKILL)
    process.wait()
    return process.returncode >= 0


def check(out: Path, models: Path, count: int) -> Counter[str]:
    """Count the verdicts. Ends the program if a model has no line, several lines, or an incomplete one."""
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    found = Counter(line["file"] for line in lines)
    wanted = {str(p) for p in sorted(models.glob("*.safetensors"))[:count]}
    if set(found) != wanted or max(found.values()) > 1:
        twice = [f for f, n in found.items() if n > 1]
        raise SystemExit(f"{len(wanted - set(found))} models have no line, {len(twice)} have several.")
    return Counter(line.get("verdict", "error") for line in lines)


def tenths(marks: list[Mark], name: str) -> str:
    """The largest value among the first and the last tenth of the marks."""
    values = [getattr(m, name) for m in marks]
    tenth = max(1, len(values) // 10)
    return f"{max(values[:tenth]):.0f} and {max(values[-tenth:]):.0f} MiB"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=100)
    options.add_argument("--pack", default="mnist")
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--engine", choices=("local", "ray"), default="local")
    options.add_argument(
        "--minutes", type=float, default=float("inf"), help="stop after that long; run again to go on"
    )
    options.add_argument(
        "--folder", type=Path, help="where models, lines and marks are kept while it is not done"
    )
    options.add_argument("--refused", action="store_true", help="scan files that are refused at once")
    given = options.parse_args()
    if given.engine == "ray" and find_spec("ray") is None:
        print("  Ray is not installed: the rows of a scan on it are left out.")
        told("scan_ray", [])
        return
    until = time.monotonic() + 60 * given.minutes
    kind = "scan_ray" if given.engine == "ray" else "scan_refused" if given.refused else "scan"
    folder = (given.folder or ROOT / "build" / f"{kind}-{given.count}").absolute()
    models, out, kept = folder / "models", folder / "lines.jsonl", folder / "marks.json"
    if given.refused:
        make_refused(models, given.count)
    else:
        make_models(models, given.count, given.pack)
    state = json.loads(kept.read_text()) if kept.exists() else {"kills": 0, "marks": []}
    marks = [Mark(**m) for m in state["marks"]]
    command = [
        sys.executable,
        "-m",
        "ti_core",
        "scan",
        str(models),
        "--pack",
        given.pack,
        "--jsonl",
        str(out),
    ]
    command += ["--jobs", str(given.jobs), "--engine", given.engine, "--set", "streams=saliency"]
    ended = False
    while not ended and time.monotonic() < until:
        half = given.count // 2
        ended = run(command, out, marks, half if whole_lines(out) < half else given.count + 1, until)
        state = {"kills": state["kills"] + (not ended), "marks": [asdict(m) for m in marks]}
        kept.write_text(json.dumps(state))
    if not ended:
        print(f"  {whole_lines(out)} of {given.count} are done; the same command goes on.")
        return
    verdicts = check(out, models, given.count)
    last, local = marks[-1], given.engine == "local"
    each = f", {last.busy / last.lines:.2f} s of the processor each" if local else ""
    of = f"{given.count} models, {given.jobs} at once, killed {count(state['kills'], 'time')}"
    rows = [
        Row(
            "files that no model is in" if given.refused else "the paper's stream, from start to end",
            f"{last.lines / last.seconds:.2f} models a second{each};"
            f" every model has exactly one whole line, {verdicts['error']} of them errors",
            of,
        ),
        Row("peak of the scanning process in the first and the last tenth", tenths(marks, "asking"), of),
    ]
    if local:
        rows += [
            Row("the same of the worker's host", tenths(marks, "host"), of),
            Row("the same of the largest job", tenths(marks, "job"), of),
        ]
    told(kind, rows)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
