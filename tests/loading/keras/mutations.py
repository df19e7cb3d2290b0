"""Opens damaged Keras files one after the other, in a process that the HDF5 library may end.

``python -m tests.loading.keras.mutations WAY FIRST COUNT`` writes a line for each file: its number, and whether it was
opened or refused. Ways: ``h5`` and ``keras`` (bytes of the file), ``inner`` (bytes of the weights in a sound archive),
``config`` (bytes of the configuration in a sound archive), ``alone`` (bytes of weights of Keras 3 without a
configuration), and ``all`` by turns.

``python -m tests.loading.keras.mutations many COUNT`` opens so many of each way, starts again behind a file that ended
the process, and prints the figures.
"""

from __future__ import annotations

import io
import random
import signal
import subprocess
import sys
import zipfile
from collections import Counter
from functools import cache
from pathlib import Path

from tests.damage import damaged
from tests.loading.keras.files import archive_of, stored
from ti_core.errors import ModelFileError
from ti_core.loading.keras.weights_only import weights_only
from ti_core.loading.model_file import ModelFile
from ti_core.loading.opening import open_model

WAYS = ("h5", "keras", "inner", "config", "alone")
PATIENCE = 120
"""Seconds for one file. A process that takes longer is ended, as the HDF5 library may go round in a circle."""
H5, ARCHIVE, ALONE = "nested-2.h5", "nested-3.keras", "mnist_example-3.keras"


def mutation(way: str, number: int) -> bytes:
    """The damaged file of that number; of weights alone, the sound one below 0."""
    rng = random.Random(f"{way} {number}")
    way = WAYS[number % len(WAYS)] if way == "all" else way
    if way == "h5":
        return damaged(stored()[H5], rng)
    whole = stored()[ALONE if way == "alone" else ARCHIVE]
    if way == "keras":
        return damaged(whole, rng)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        config, weights = archive.read("config.json"), archive.read("model.weights.h5")
    if way == "alone":
        return weights if number < 0 else damaged(weights, rng)
    if way == "inner":
        return archive_of(config, damaged(weights, rng))
    return archive_of(damaged(config, rng), weights)


@cache
def _sound() -> list[tuple[str, str, tuple[int, ...]]]:
    return _layers(mutation("alone", -1)) or []


def _layers(data: bytes) -> list[tuple[str, str, tuple[int, ...]]] | None:
    found = weights_only(data)
    return None if found is None else [(layer.name, layer.kind, layer.shape) for layer in found]


def outcome(data: bytes) -> str:
    """ "opened" or "refused"; anything else is an error of this program.

    What network weights alone are of depends on their names and shapes, so it is looked for where those have changed.
    """
    try:
        if data[:4] != b"PK\x03\x04" and _layers(data) == _sound():
            return "opened"
        model = open_model(ModelFile(Path("model"), data, "0" * 64))
    except ModelFileError as error:
        assert str(error) and len(str(error)) < 1500
        return "refused"
    assert all(bool(p.isfinite().all()) for p in model.module.parameters())
    return "opened"


def run(way: str, first: int, count: int) -> tuple[Counter[str], list[str]]:
    """The outcomes of so many files, each process beginning behind the file that ended the one before, and faults."""
    found: Counter[str] = Counter()
    faults: list[str] = []
    at, end = first, first + count
    while at < end:
        command = [sys.executable, "-m", "tests.loading.keras.mutations", way, str(at), str(end - at)]
        done = subprocess.run(command, capture_output=True, text=True)
        lines = done.stdout.splitlines()
        found.update(line.split()[1] for line in lines)
        at += len(lines)
        if done.returncode > 0:
            faults.append(f"{way} {at}: {done.stderr.strip().splitlines()[-1:]}")
        if done.returncode != 0:
            ends = {-signal.SIGALRM: "took too long"}
            found["fault" if done.returncode > 0 else ends.get(done.returncode, "ended the process")] += 1
            at += 1
    return found, faults


def main(arguments: list[str]) -> None:
    if arguments[0] == "many":
        for way in WAYS:
            found, faults = run(way, 0, int(arguments[1]))
            print(way, dict(found), *faults[:5], flush=True)
        return
    way, first, count = arguments[0], int(arguments[1]), int(arguments[2])
    for number in range(first, first + count):
        signal.alarm(PATIENCE)
        print(number, outcome(mutation(way, number)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
