from __future__ import annotations

import gc
import io
import os
import pickle
import random
import sqlite3
import stat
from pathlib import Path

import diskcache
import numpy as np
import pytest
from diskcache.core import MODE_PICKLE

from tests.disks import fill
from ti_core.system.cache import BytesDisk, Cache


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.canary),))


def arrays() -> dict[str, np.ndarray]:
    return {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([1], dtype=np.int64)}


def test_arrays_come_back_as_they_went_in(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.arrays("key", arrays)
    again = cache.arrays("key", lambda: pytest.fail("computed twice"))
    for name, value in arrays().items():
        assert np.array_equal(again[name], value) and again[name].dtype == value.dtype
    assert cache.hits == ["key"] and cache.misses == ["key"]


def test_a_key_is_looked_for_without_reading(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.keep("key", arrays())
    assert cache.holds("key") and not cache.holds("another") and not cache.hits
    cache.close()
    assert not cache.holds("key") and not Cache(None).holds("key")


def test_it_outlives_the_process(tmp_path: Path) -> None:
    first = Cache(tmp_path)
    first.keep("key", arrays())
    first.close()
    assert Cache(tmp_path).find("key") is not None


def test_a_cache_that_nobody_closes_closes_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []
    own = diskcache.Cache.close
    monkeypatch.setattr(diskcache.Cache, "close", lambda store: (closed.append(store.directory), own(store)))
    cache = Cache(tmp_path / "c")
    cache.keep("key", arrays())
    closed.clear()
    del cache
    gc.collect()
    assert closed == [str(tmp_path / "c")]


def test_only_the_owner_can_enter_the_folder(tmp_path: Path) -> None:
    Cache(tmp_path / "c").keep("key", arrays())
    assert stat.S_IMODE((tmp_path / "c").stat().st_mode) == 0o700


@pytest.mark.parametrize("as_file", [False, True])
def test_a_row_edited_into_a_pickle_is_refused_and_not_run(tmp_path: Path, as_file: bool) -> None:
    """CVE-2025-69872: diskcache unpickles rows that are marked so."""
    canary = tmp_path / "ran"
    payload = pickle.dumps(Bomb(canary))
    folder = tmp_path / "c"
    cache = Cache(folder)
    cache.keep("key", arrays())
    cache.close()
    with sqlite3.connect(folder / "cache.db") as db:
        if as_file:
            (folder / "row.val").write_bytes(payload)
            db.execute("UPDATE Cache SET mode = ?, value = NULL, filename = 'row.val'", (MODE_PICKLE,))
        else:
            db.execute("UPDATE Cache SET mode = ?, value = ?", (MODE_PICKLE, payload))
    db.close()
    with diskcache.Cache(str(folder)) as plain:
        plain.get("key")
    assert canary.exists(), "the payload does not work, so this test would prove nothing"
    canary.rmdir()

    cache = Cache(folder)
    assert np.array_equal(cache.arrays("key", arrays)["a"], arrays()["a"])
    assert not canary.exists()
    assert cache.misses == ["key"] and cache.problem is None


def test_a_key_edited_into_a_pickle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="plain text"):
        BytesDisk(str(tmp_path)).get(pickle.dumps("key"), raw=False)


def test_only_bytes_under_text_keys_are_stored(tmp_path: Path) -> None:
    disk = BytesDisk(str(tmp_path))
    for value in ("text", 1, None, [1], io.BytesIO(b"x")):
        with pytest.raises(TypeError):
            disk.store(value, read=False)
    with pytest.raises(TypeError):
        disk.put(("a", "tuple"))


def test_damaged_arrays_are_computed_anew(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.keep("key", arrays())
    cache.close()
    with sqlite3.connect(tmp_path / "cache.db") as db:
        db.execute("UPDATE Cache SET value = ?", (b"not arrays",))
    db.close()
    cache = Cache(tmp_path)
    assert np.array_equal(cache.arrays("key", arrays)["a"], arrays()["a"])


def test_a_damaged_database_does_not_stop_the_work(tmp_path: Path) -> None:
    (tmp_path / "cache.db").write_bytes(b"rubbish" * 1000)
    cache = Cache(tmp_path)
    assert np.array_equal(cache.arrays("key", arrays)["a"], arrays()["a"])
    assert cache.problem is not None and "computed anew" in cache.problem


def test_a_damaged_database_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "cache.db").write_bytes(b"rubbish" * 1000)
    first = Cache(tmp_path)
    first.keep("key", arrays())
    first.close()
    again = Cache(tmp_path)
    assert again.problem is None and again.find("key") is not None


def test_a_changed_byte_within_an_array_is_not_believed(tmp_path: Path) -> None:
    """Neither SQLite nor safetensors would notice, and a verdict would rest on it."""
    cache = Cache(tmp_path)
    cache.keep("key", arrays())
    cache.close()
    with sqlite3.connect(tmp_path / "cache.db") as db:
        (row,) = db.execute("SELECT value FROM Cache").fetchone()
        db.execute("UPDATE Cache SET value = ?", (row[:-1] + bytes([row[-1] ^ 1]),))
    db.close()
    cache = Cache(tmp_path)
    assert np.array_equal(cache.arrays("key", arrays)["a"], arrays()["a"]) and cache.misses == ["key"]


def test_a_row_under_another_key_is_not_believed(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.keep("key of a clean model", arrays())
    cache.close()
    with sqlite3.connect(tmp_path / "cache.db") as db:
        db.execute("UPDATE Cache SET key = 'another'")
    db.close()
    assert Cache(tmp_path).find("another") is None


@pytest.mark.parametrize("seed", range(24))
def test_whatever_is_damaged_the_arrays_are_right(tmp_path: Path, seed: int) -> None:
    """Bytes changed, a page overwritten, the end cut off: nothing is raised and nothing wrong is read, ever."""
    cache = Cache(tmp_path)
    for key in "abcd":
        cache.keep(key, arrays())
    cache.close()
    rng = random.Random(seed)
    data = bytearray((tmp_path / "cache.db").read_bytes())
    place = rng.randrange(len(data))
    if seed % 3 == 0:
        for _ in range(rng.choice((1, 30, 300))):
            data[rng.randrange(len(data))] = rng.randrange(256)
    elif seed % 3 == 1:
        data[place : place + 4096] = rng.randbytes(min(4096, len(data) - place))
    else:
        del data[place:]
    (tmp_path / "cache.db").write_bytes(data)
    for _ in range(2):
        cache = Cache(tmp_path)
        for key in "abcd":
            assert np.array_equal(cache.arrays(key, arrays)["a"], arrays()["a"])
        assert cache.problem is None or cache.problem.isprintable()
        cache.close()


def test_a_folder_that_cannot_be_made_does_not_stop_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "cache")
    assert np.array_equal(cache.arrays("key", arrays)["a"], arrays()["a"])
    assert cache.problem is not None


def test_a_full_disk_does_not_stop_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(diskcache.Cache, "set", full)
    assert np.array_equal(cache.arrays("key", arrays)["a"], arrays()["a"])
    assert cache.problem is not None and "full" in cache.problem


def test_a_disk_that_is_really_full_does_not_stop_the_work(small_disk: Path) -> None:
    cache = Cache(small_disk / "cache")
    fill(small_disk)
    for key in "ab":
        assert cache.arrays(key, lambda: {"a": np.ones(100_000)})["a"].shape == (100_000,)
    assert cache.problem is not None and "computed anew" in cache.problem
    cache.close()


def test_a_read_only_database_does_not_stop_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(diskcache.Cache, "__init__", read_only)
    cache = Cache(tmp_path)
    assert np.array_equal(cache.arrays("key", arrays)["a"], arrays()["a"])
    assert cache.problem is not None and "readonly" in cache.problem


def test_no_folder_means_no_cache() -> None:
    cache = Cache(None)
    cache.arrays("key", arrays)
    cache.arrays("key", arrays)
    assert cache.misses == ["key", "key"] and cache.problem is None
