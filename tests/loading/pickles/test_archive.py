"""Archives that are damaged, bombs, or written so that two readers see two contents."""

from __future__ import annotations

import dataclasses
import io
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.loading import payloads as p
from ti_core.architectures.lenet import LeNet5
from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading import describe_file, load_model
from ti_core.loading.pickles import archive
from ti_core.loading.pickles.archive import open_torch_archive

Write = Callable[..., Path]


@pytest.fixture
def saved(lenet: LeNet5) -> bytes:
    out = io.BytesIO()
    torch.save(lenet.state_dict(), out)
    return out.getvalue()


def repacked(data: bytes, **members: bytes) -> bytes:
    """The same archive with further members, as they are named."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(out, "w") as new,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        for info in old.infolist():
            new.writestr(info.filename, old.read(info.filename))
        for name, content in members.items():
            new.writestr(name, content)
    return out.getvalue()


def refused(data: bytes, write: Write, says: str) -> None:
    path = write(data)
    with pytest.raises(RefusedFileError, match=says):
        load_model(path)
    report = describe_file(path)
    assert not report.is_safe and any(says in str(f) for f in report.findings)


@pytest.mark.parametrize(
    "name", ["archive/evil.pkl", "archive/data/payload", "archive/sub/data.pkl", "other.txt"]
)
def test_a_pickle_beside_the_pickle_is_refused(name: str, saved: bytes, write: Write, canary: Path) -> None:
    payload = p.program(p.called("os", "system", p.shell(canary)))
    path = write(repacked(saved, **{name: payload}))
    with pytest.raises(RefusedFileError):
        load_model(path)
    report = describe_file(path)
    assert not report.is_safe
    assert "os.system" in [use.name for use in report.globals]


def test_a_second_member_of_one_name_is_refused(saved: bytes, write: Write, canary: Path) -> None:
    payload = p.program(p.called("os", "system", p.shell(canary)))
    refused(repacked(saved, **{"archive/data.pkl": payload}), write, "two members of one name")


def test_names_that_differ_between_header_and_directory(saved: bytes, write: Write) -> None:
    """CVE-2025-1944: one reader goes by the local header, the other by the directory."""
    at = saved.index(b"archive/data.pkl")
    path = write(saved[:at] + b"archive/xxxx.pkl" + saved[at + 16 :])
    with pytest.raises(ModelFileError, match="damaged"):
        load_model(path)


def test_flag_bits_that_stop_one_reader(saved: bytes, write: Write) -> None:
    """CVE-2025-1945: torch ignores the bit for encryption where scanners stop at it."""
    data = bytearray(saved)
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    refused(bytes(data), write, "encrypted")


def test_a_wrong_checksum_is_damage(saved: bytes, write: Write) -> None:
    """CVE-2025-10156: torch reads what scanners give up on."""
    data = bytearray(saved)
    at = data.index(b"PK\x01\x02")
    data[at + 16] ^= 0xFF
    path = write(bytes(data))
    with pytest.raises(ModelFileError, match="damaged"):
        load_model(path)
    assert not describe_file(path).opens


def test_a_name_with_a_null_byte(saved: bytes, write: Write) -> None:
    data = saved.replace(b"archive/version", b"archive/vers\0on")
    path = write(data)
    with pytest.raises(ModelFileError):
        load_model(path)


@pytest.mark.parametrize("name", ["../archive/x", "/etc/passwd", "a\\b"])
def test_a_name_that_leads_elsewhere(name: str, saved: bytes, write: Write) -> None:
    path = write(repacked(saved, **{name: b"x"}))
    with pytest.raises(RefusedFileError):
        load_model(path)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_archive_is_told_in_a_sentence(keep: float, saved: bytes, write: Write) -> None:
    path = write(saved[: int(len(saved) * keep)])
    with pytest.raises(ModelFileError, match="truncated or damaged") as caught:
        load_model(path)
    assert not isinstance(caught.value, RefusedFileError)
    assert describe_file(path).is_safe and not describe_file(path).opens


def test_a_bomb_by_ratio(write: Write) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("m/data.pkl", p.program(b"}"))
        bomb.writestr("m/data/0", bytes(8 << 20))
    refused(out.getvalue(), write, "swell")


def test_a_bomb_by_declared_size(saved: bytes, write: Write) -> None:
    data = bytearray(saved)
    at = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    data[at + 24 : at + 28] = struct.pack("<I", 0xFFFFFFF0)
    refused(bytes(data), write, "GiB")


def test_a_bomb_by_members(monkeypatch: pytest.MonkeyPatch, saved: bytes, write: Write) -> None:
    monkeypatch.setattr(archive, "LIMITS", dataclasses.replace(archive.LIMITS, members=5))
    refused(saved, write, "the limit is 5")


def test_a_bomb_whose_members_share_their_bytes(write: Write) -> None:
    """D. Fifield's bomb: many directory entries for one piece of compressed data."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as one:
        one.writestr("m/data.pkl", p.program(b"}"))
        one.writestr("m/data/0", bytes(4096))
    data = out.getvalue()
    at = data.rindex(b"PK\x01\x02")
    end = data.rindex(b"PK\x05\x06")
    entry = data[at:end]
    copies = b"".join(entry.replace(b"m/data/0", b"m/data/" + bytes([49 + i])) for i in range(8))
    tail = bytearray(data[end:])
    struct.pack_into("<HH", tail, 8, 10, 10)
    struct.pack_into("<I", tail, 12, struct.unpack_from("<I", tail, 12)[0] + len(copies))
    path = write(data[:end] + copies + bytes(tail))
    with pytest.raises(ModelFileError):
        load_model(path)


def test_a_large_pickle_is_refused_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch, saved: bytes, write: Write
) -> None:
    monkeypatch.setattr(archive, "LIMITS", dataclasses.replace(archive.LIMITS, pickle_bytes=100))
    refused(saved, write, "pickle declares")


def test_torch_reads_a_copy_made_of_checked_members(saved: bytes) -> None:
    checked = open_torch_archive(saved)
    with zipfile.ZipFile(checked.rewritten()) as copy, zipfile.ZipFile(io.BytesIO(saved)) as original:
        assert copy.namelist() == original.namelist()
        assert all(copy.read(n) == original.read(n) for n in copy.namelist())
        assert copy.read("archive/data.pkl") == checked.pickle
