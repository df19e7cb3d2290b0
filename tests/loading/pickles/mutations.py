"""Opens damaged whole modules of unknown classes, zip files and legacy ones by turns.

``python -m tests.loading.pickles.mutations FIRST COUNT`` prints how many of so many files opened and were refused. A
file has its number, so that the next ones can be tried another time. Anything but a model or a sentence is an error.
"""

from __future__ import annotations

import io
import random
import sys
import zipfile
from collections import Counter
from functools import cache
from pathlib import Path

import torch

from tests.damage import damaged
from tests.loading import payloads as p
from tests.loading.pickles.test_own_classes import Residual, Shared, randomised
from ti_core.errors import ModelFileError
from ti_core.loading.model_file import ModelFile
from ti_core.loading.opening import open_model

KINDS = [(Shared, False), (Residual, False), (Shared, True), (Residual, True)]
"""Each module, and whether it is saved as before torch 1.6."""


@cache
def _sound(kind: int) -> tuple[bytes, bytes, dict[str, bytes]]:
    """What is damaged of a file, what stands behind it, and the storages of a zip file.

    Of a legacy file most bytes are numbers, and those of its pickles are what a reader may stumble over.
    """
    make, legacy = KINDS[kind]
    out = io.BytesIO()
    torch.save(randomised(make()), out, _use_new_zipfile_serialization=not legacy)
    data = out.getvalue()
    if legacy:
        head = data.rindex(b"e.") + 2
        return data[:head], data[head:], {}
    with zipfile.ZipFile(out) as archive:
        storages = {n.rpartition("/")[2]: archive.read(n) for n in archive.namelist() if "/data/" in n}
        return archive.read("archive/data.pkl"), b"", storages


def mutation(number: int) -> bytes:
    """The damaged file of that number. Checksums are made to fit again, so that every damage reaches the reader."""
    data, behind, storages = _sound(number % len(KINDS))
    changed = damaged(data, random.Random(f"own {number}"))
    return p.checkpoint(changed, storages) if storages else changed + behind


def outcome(data: bytes) -> str:
    """ "opened" or "refused"; anything else is an error of this program."""
    try:
        model = open_model(ModelFile(Path("model"), data, "0" * 64))
    except ModelFileError as error:
        assert 0 < len(str(error)) < 1500
        return "refused"
    assert all(bool(tensor.isfinite().all()) for tensor in model.module.parameters())
    return "opened"


def main(first: int, count: int) -> None:
    found: Counter[str] = Counter()
    for number in range(first, first + count):
        try:
            found[outcome(mutation(number))] += 1
        except BaseException:
            print(f"The file {number} is neither opened nor refused.", flush=True)
            raise
        if (number + 1) % 100 == 0:
            print(number + 1, dict(found), flush=True)
    print(f"{first} to {first + count - 1}: {dict(found)}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
