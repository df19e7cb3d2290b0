"""Archives that are damaged, bombs, or written so that two readers see two contents."""

from __future__ import annotations

import dataclasses
import io
import re
import struct
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.loading import payloads as p
from ti_core.architectures.lenet import LeNet5
from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading import describe_file, load_model
from ti_core.loading.pickles.files import archive
from ti_core.loading.pickles.files.archive import check_layout, open_torch_archive

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


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_numbers_are_those_of_the_members(method: int, saved: bytes) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved)) as old, zipfile.ZipFile(out, "w", method) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    data = out.getvalue()
    checked = open_torch_archive(data)
    with zipfile.ZipFile(io.BytesIO(saved)) as original:
        for key, size in checked.storage_bytes.items():
            assert checked.storage(key) == original.read(f"archive/data/{key}") and size == len(
                checked.storage(key)
            )
    if method == zipfile.ZIP_STORED:
        # No copy is made of what is not compressed.
        assert checked.storage("0").obj is data


def behind(data: bytes, *, at: int = 0, inserted: bytes = b"x") -> bytes:
    """The archive with bytes put in, and every offset in its directory and end made right again."""
    end = data.rindex(b"PK\5\6")
    (begin,) = struct.unpack_from("<I", data, end + 16)
    moved = bytearray(data[:at] + inserted + data[at:])
    place = begin + len(inserted)
    while moved[place : place + 4] == b"PK\1\2":
        (offset,) = struct.unpack_from("<I", moved, place + 42)
        if offset >= at:
            struct.pack_into("<I", moved, place + 42, offset + len(inserted))
        place += 46 + sum(struct.unpack_from("<HHH", moved, place + 28))
    struct.pack_into("<I", moved, end + len(inserted) + 16, begin + len(inserted))
    return bytes(moved)


def hidden(canary: Path) -> bytes:
    """A member with its header, as a reader meets it that does not go by the directory."""
    payload = p.program(p.called("os", "system", p.shell(canary)))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", payload)
    return out.getvalue()[: out.getvalue().index(b"PK\1\2")]


def test_bytes_that_belong_to_no_member_are_refused(saved: bytes, write: Write, canary: Path) -> None:
    """torch reads all of these as if nothing were there."""
    plain = repacked(saved)
    assert load_model(write(plain)).architecture == "lenet5"
    extra = hidden(canary)
    second = plain.index(b"PK\3\4", 4)
    files = {
        "before its first member": behind(plain, inserted=extra),
        "between its members": behind(plain, at=second, inserted=extra),
        "after its end": plain + extra,
    }
    for where, data in files.items():
        refused(data, write, f"holds {len(extra)} bytes {where} that belong to no member")
    refused(saved + b"\n", write, "holds 1 bytes after its end")
    refused(saved[:-2] + b"\3\0abc", write, "holds 3 bytes after its end")
    gap = behind(plain, at=struct.unpack_from("<I", plain, plain.rindex(b"PK\5\6") + 16)[0], inserted=extra)
    refused(gap, write, "between its members")
    # The record of a large archive is where one reader looks for it, and another is sent elsewhere.
    astray = bytearray(saved)
    astray[saved.rindex(b"PK\6\7") + 8] ^= 1
    if sys.version_info < (3, 14):
        refused(bytes(astray), write, "holds 76 bytes after its directory")
    else:
        # The standard library's own reader refuses it.
        with pytest.raises(ModelFileError, match="its directory cannot be read"):
            load_model(write(bytes(astray)))


def test_an_archive_behind_an_archive_is_refused(saved: bytes, write: Write, canary: Path) -> None:
    """zipfile reads the last one, a reader that goes by offsets from the beginning another."""
    payload = p.checkpoint(p.program(p.called("os", "system", p.shell(canary))))
    path = write(saved + payload)
    with pytest.raises(RefusedFileError):
        load_model(path)
    assert "os.system" in [use.name for use in describe_file(path).globals]
    with pytest.raises(RefusedFileError):
        load_model(write(payload + saved))


@pytest.mark.parametrize("prefix", [b"\xff\xd8\xff\xe0", b"MZ" + bytes(100), b"PK\3\5", b"#!/bin/sh\n"])
def test_an_archive_behind_something_else_is_a_file_of_two_formats(
    prefix: bytes, saved: bytes, write: Write
) -> None:
    for data in (prefix + saved, behind(repacked(saved), inserted=prefix)):
        refused(data, write, "ends as a zip archive and begins as something else")


def test_members_that_overlap_are_refused(saved: bytes, write: Write) -> None:
    """The second member of the directory is a copy of the first under another name."""
    plain = bytearray(repacked(saved))
    entries = [m.start() for m in re.finditer(rb"PK\x01\x02", plain)]
    first, byteorder = entries[0], plain.index(b"archive/version", entries[0]) - 46
    # The member "version" is said to begin inside the pickle's content, where a header of it stands.
    struct.pack_into("<I", plain, byteorder + 42, struct.unpack_from("<I", plain, first + 42)[0])
    with pytest.raises(RefusedFileError, match="overlap"):
        check_layout(bytes(plain), zipfile.ZipFile(io.BytesIO(bytes(plain))))


@pytest.mark.parametrize("way", ["torch", "zipfile", "streamed", "long"])
def test_archives_of_every_writer_have_no_bytes_to_spare(way: str, saved: bytes) -> None:
    """Sizes before or behind the content, and the longer records of large archives."""
    data = repacked(saved) if way == "zipfile" else saved
    if way in ("streamed", "long"):
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(saved)) as old, zipfile.ZipFile(Unseekable(out), "w") as new:
            for info in old.infolist():
                with new.open(zipfile.ZipInfo(info.filename), "w", force_zip64=way == "long") as member:
                    member.write(old.read(info))
        data = out.getvalue()
        assert zipfile.ZipFile(io.BytesIO(data)).infolist()[0].flag_bits & 8
    assert len(open_torch_archive(data).members) == len(zipfile.ZipFile(io.BytesIO(saved)).namelist())


class Unseekable(io.RawIOBase):
    """A stream, such as standard output: the sizes of a member are known only behind it."""

    def __init__(self, out: io.BytesIO) -> None:
        self.out = out

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self.out.write(data)


@pytest.mark.parametrize("digits", [3, 9, 14, 20, 60])
def test_storages_may_be_named_by_numbers_of_any_length(
    digits: int, lenet: LeNet5, images: torch.Tensor, saved: bytes, write: Write
) -> None:
    """torch 1.6 to 1.9 named them by addresses in memory, and wrote no files beside them but the version."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved)) as old, zipfile.ZipFile(out, "w") as new:
        pickle = old.read("archive/data.pkl")
        for name in old.namelist():
            key = name.removeprefix("archive/data/")
            if key != name:
                longer = str(int(key) + 1).rjust(digits, "9")[-max(digits, len(key)) :]
                pickle = pickle.replace(p.text(key) + b"q", p.text(longer) + b"q")
                new.writestr(f"archive/data/{longer}", old.read(name))
        new.writestr("archive/data.pkl", pickle)
        new.writestr("archive/version", b"3\n")
    model = load_model(write(out.getvalue()))
    assert torch.equal(model.module(images), lenet(images))


def test_a_storage_named_otherwise_is_refused(saved: bytes, write: Write) -> None:
    for name in ("archive/data/-1", "archive/data/1x", "archive/data/", "archive/data/\u0663"):
        refused(repacked(saved, **{name: b""}), write, "which torch.save never writes beside a model")


def test_a_damaged_storage_is_said_by_the_report_too(saved: bytes, write: Write) -> None:
    at = saved.index(b"archive/data/0") + 200
    path = write(saved[:at] + bytes([saved[at] ^ 1]) + saved[at + 1 :])
    report = describe_file(path)
    assert not report.opens and report.is_safe and report.tensors
    with pytest.raises(ModelFileError, match="archive/data/0"):
        load_model(path)
