"""The disk limit counts whatever a job writes: in its folder and its cache, with a name and without one."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

import pytest

from tests.worker.test_job import run
from ti_core.worker import Limits
from ti_core.worker.limits import LARGEST_CACHE, TOO_MANY, Disk, held_files

MIB = 2**20
LIMITS = Limits(wall_seconds=20, folder_bytes=4 * MIB)


def ended(task: str, request: dict[str, Any]) -> str:
    """The sentence of a job that must be ended for what it wrote, and whose folder is then removed."""
    job, _ = run(task, request, LIMITS)
    job.close()
    assert job.state == "failed" and job.error is not None and not job.folder.exists()
    return job.error


@pytest.mark.parametrize("then", [0, 15])
def test_files_without_a_name_count(then: int) -> None:
    """30 MiB under a limit of 4, by a process that ends at once, and by one that stays."""
    words = ended("hide", {"files": 30, "then": then})
    assert words == "The process that opened the file wrote more than the 4.0 MB it may, so it was ended."


@pytest.mark.parametrize("then", [0, 15])
def test_the_cache_counts_and_is_emptied(tmp_path: Path, then: int) -> None:
    cache = tmp_path / "cache"
    assert "wrote more than the 4.0 MB" in ended(
        "fill_cache", {"files": 12, "then": then, "cache": str(cache)}
    )
    assert list(cache.iterdir()) == []


def test_what_the_cache_held_before_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "cache.db").write_bytes(b"x" * 12 * MIB)
    job, _ = run("fill_cache", {"files": 3, "then": 0, "cache": str(tmp_path)}, LIMITS)
    job.close()
    assert job.state == "done", job.error
    assert held_files(tmp_path) >= 15 * MIB


def test_a_cache_larger_than_an_honest_one_is_emptied_first(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    cache = tmp_path / "cache"
    (cache / "deep").mkdir(parents=True)
    (cache / "deep" / "file").write_text("x")
    with (cache / "cache.db").open("wb") as file:
        file.truncate(LARGEST_CACHE)
    disk = Disk(tmp_path / "folder", cache)
    assert list(cache.iterdir()) == [] and disk.held() == 0
    (cache / "cache.db").write_bytes(b"x" * MIB)
    (tmp_path / "folder" / "file").write_bytes(b"x" * MIB)
    assert disk.held() == 2 * MIB


def test_a_file_counts_with_its_length_and_with_its_blocks(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(3 * MIB)
    assert held_files(tmp_path) == 3 * MIB
    with (tmp_path / "reserved").open("wb") as file:
        keep_size = 1
        libc = ctypes.CDLL(None, use_errno=True)
        length = ctypes.c_long(2 * MIB)
        if libc.fallocate(file.fileno(), keep_size, ctypes.c_long(0), length):
            pytest.skip(f"this file system reserves no blocks: {os.strerror(ctypes.get_errno())}")
    assert (tmp_path / "reserved").stat().st_size == 0 and held_files(tmp_path) >= 5 * MIB


def test_empty_files_folders_and_very_many_files_count(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for number in range(4):
        (tmp_path / "a" / str(number)).touch()
    assert 5 <= held_files(tmp_path) <= 5 + 2 * 4096
    assert held_files(tmp_path, most=5) < TOO_MANY == held_files(tmp_path, most=4)
    assert held_files(tmp_path / "none") == 0
