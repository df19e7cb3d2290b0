"""The zip archive that ``torch.save`` writes, walked without trusting what it declares.

Readers of zip files disagree about damaged or ambiguous archives, and scanners have been deceived that way
(CVE-2025-1944, CVE-2025-1945, CVE-2025-10156). So an archive with anything unusual is refused. A member that is not
compressed, as torch writes it, is not copied: its bytes are those of the file.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.limits import LIMITS
from ti_core.loading.pickles.files.container import Member
from ti_core.loading.pickles.machine import Outline
from ti_core.loading.pickles.outline import outline_of
from ti_core.text import shown

_KNOWN = re.compile(
    r"data\.pkl|version|byteorder|\.format_version|\.storage_alignment|\.data/serialization_id|data/[0-9]+"
)
_STORAGE = re.compile(r"data/([0-9]+)")
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_SIZES_FOLLOW = 0x8
_UTF8 = 0x800
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, struct.error, OSError, NotImplementedError)


@dataclass(frozen=True)
class TorchArchive:
    """A checked archive: its members, named relative to their common folder, and the outline of ``data.pkl``."""

    members: tuple[Member, ...]
    outline: Outline
    data: bytes
    zip: zipfile.ZipFile
    folder: str
    big_endian: bool = False
    has_checksums: bool = True

    @property
    def storage_bytes(self) -> dict[str, int]:
        """Size of each tensor storage, by its key."""
        found = ((_STORAGE.fullmatch(m.name), m.size) for m in self.members)
        return {match[1]: size for match, size in found if match}

    def storage(self, key: str) -> memoryview:
        """The bytes of a storage, with its length and checksum verified."""
        return content_of(self.data, self.zip, f"{self.folder}data/{key}")

    def check(self) -> None:
        """Read each member once, with its checksum; ModelFileError is raised if one is damaged."""
        for member in self.members:
            content_of(self.data, self.zip, self.folder + member.name)


def open_zip(data: bytes) -> tuple[zipfile.ZipFile, tuple[Member, ...]]:
    """The archive and a list of its members. Their contents are not read yet.

    Raises
    ------
    ModelFileError : the archive is truncated or damaged.
    RefusedFileError : the archive exceeds the limits, or is written to mislead a reader.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        infos = archive.infolist()
    except _BROKEN as error:
        raise ModelFileError("The archive is truncated or damaged: its directory cannot be read.") from error
    if len(infos) > LIMITS.members:
        raise RefusedFileError(f"The archive declares {len(infos)} members; the limit is {LIMITS.members}.")
    total = sum(info.file_size for info in infos)
    if total > LIMITS.file_bytes:
        raise RefusedFileError(
            f"The archive declares {total / 2**30:.1f} GiB of content; the limit is "
            f"{LIMITS.file_bytes / 2**30:.0f} GiB."
        )
    names = [info.filename for info in infos]
    if len(set(names)) != len(names):
        raise RefusedFileError(
            "The archive holds two members of one name, so readers would disagree on its content."
        )
    for info in infos:
        _check_member(info)
    return archive, tuple(Member(i.filename, i.file_size, i.compress_size) for i in infos)


def _check_member(info: zipfile.ZipInfo) -> None:
    name = info.filename[:120]
    if info.flag_bits & _ENCRYPTED:
        raise RefusedFileError(f"The archive's member {name!r} is encrypted.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RefusedFileError(
            f"The archive's member {name!r} is compressed in a way that model files never are."
        )
    if info.file_size > (1 << 20) and info.file_size > LIMITS.ratio * max(info.compress_size, 1):
        raise RefusedFileError(
            f"The archive's member {name!r} would swell {info.file_size // max(info.compress_size, 1)}-fold "
            f"when unpacked."
        )
    if info.filename != info.orig_filename or "\\" in name or ".." in name.split("/") or name.startswith("/"):
        raise RefusedFileError(
            f"The archive's member {name!r} has a name that readers understand differently."
        )


def check_layout(data: bytes, archive: zipfile.ZipFile) -> None:
    """Every byte belongs to the archive: the members, the directory and the end follow each other without a gap.

    Programs that look for the archive's end in another way, or that take the file for one of another format, could read
    something else in bytes that belong to no member.

    Raises
    ------
    RefusedFileError : there are such bytes, or members overlap.
    """
    end = data.rfind(b"PK\5\6")
    if len(data) != end + 22:
        raise _foreign_bytes(len(data) - end - 22, "after its end")
    directory, stop = _directory(data, end)
    spans = sorted((info.header_offset, _end_of(data, info)) for info in archive.infolist())
    at = 0
    for begin, after in (*spans, directory):
        if begin < at:
            raise RefusedFileError(
                "The archive holds members that overlap, so readers would disagree on its content."
            )
        if begin > at:
            raise _foreign_bytes(begin - at, "between its members" if at else "before its first member")
        at = after
    if at != stop:
        raise _foreign_bytes(abs(stop - at), "after its directory")


def _directory(data: bytes, end: int) -> tuple[tuple[int, int], int]:
    """Where the directory begins and ends by its own account, and where the records of the archive's end begin."""
    size, begin = struct.unpack_from("<II", data, end + 12)
    if data[max(end - 20, 0) : end].startswith(b"PK\6\7"):
        (record,) = struct.unpack_from("<Q", data, end - 12)
        if record + 76 == end:
            size, begin = struct.unpack_from("<QQ", data, record + 40)
            end = record
    return (begin, begin + size), end


def _end_of(data: bytes, info: zipfile.ZipInfo) -> int:
    """Where a member ends: behind its own header, its content, and the checksum and sizes that may follow."""
    end = _begin_of(data, info) + info.compress_size
    for form in ("<4sIII", "<4sIQQ", "<0sIII", "<0sIQQ"):
        length = struct.calcsize(form)
        found = data[end : end + length]
        if info.flag_bits & _SIZES_FOLLOW and len(found) == length:
            mark, _, *sizes = struct.unpack(form, found)
            if mark in (b"PK\7\x08", b"") and sizes == [info.compress_size, info.file_size]:
                return end + length
    return end


def _begin_of(data: bytes, info: zipfile.ZipInfo) -> int:
    """Where a member's content begins."""
    header = data[info.header_offset : info.header_offset + 30]
    if len(header) < 30:
        raise ModelFileError("The archive is truncated or damaged: a member's header is missing.")
    begin: int = info.header_offset + 30 + sum(struct.unpack("<HH", header[26:]))
    return begin


def _foreign_bytes(count: int, where: str) -> RefusedFileError:
    return RefusedFileError(
        f"The archive holds {count:,} bytes {where} that belong to no member, where no program that saves models "
        "writes any; save the model again and send that."
    )


def _damaged(name: str) -> ModelFileError:
    return ModelFileError(
        f"The archive is truncated or damaged: the member {name[:120]!r} does not have the content that its directory "
        "declares."
    )


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """The content of a member, with its length and checksum verified."""
    try:
        content = archive.read(name)
    except (*_BROKEN, RuntimeError, KeyError) as error:
        raise _damaged(name) from error
    if len(content) != archive.getinfo(name).file_size:
        raise ModelFileError(f"The archive is damaged: the member {name[:120]!r} is shorter than declared.")
    return content


def content_of(data: bytes, archive: zipfile.ZipFile, name: str) -> memoryview:
    """The content of a member as :func:`read_member`, without a copy where the archive does not compress it."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        return memoryview(read_member(archive, name))
    begin = _begin_of(data, info)
    content = memoryview(data)[begin : begin + info.file_size]
    # The header in front of the content must name the member too, as zipfile demands.
    named = info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8 else "cp437")
    if (
        data[info.header_offset + 30 : begin][: len(named)] != named
        or len(content) != info.compress_size
        or zlib.crc32(content) != info.CRC
    ):
        raise _damaged(name)
    return content


def _byteorder(data: bytes, archive: zipfile.ZipFile, name: str) -> bool:
    """Whether numbers stand with their most significant byte first. Before torch 2.1 no file said; none did so."""
    if name not in archive.namelist():
        return False
    order = content_of(data, archive, name).tobytes()[:20]
    if order not in (b"little", b"big"):
        raise RefusedFileError(
            f"The archive says of the order of its bytes {shown(order.decode('latin-1'))!r}, which torch.save never "
            "writes."
        )
    return order == b"big"


def open_torch_archive(data: bytes) -> TorchArchive:
    """Check the members of an archive of ``torch.save``, and read its pickle as bytes."""
    archive, members = open_zip(data)
    check_layout(data, archive)
    pickles = [m.name for m in members if m.name == "data.pkl" or m.name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise RefusedFileError(
            f"The archive holds {len(pickles)} pickles named data.pkl where torch.save writes one."
        )
    folder = pickles[0].removesuffix("data.pkl")
    if folder.count("/") > 1:
        raise RefusedFileError(
            f"The archive keeps its pickle at {pickles[0][:120]!r}, where torch.save never puts it."
        )
    inside = []
    for member in members:
        name = member.name.removeprefix(folder)
        if not member.name.startswith(folder) or not _KNOWN.fullmatch(name):
            raise RefusedFileError(
                f"The archive holds {member.name[:120]!r}, which torch.save never writes beside a model; "
                "save the state dict again and send that."
            )
        inside.append(Member(name, member.size, member.stored))
        if name == "data.pkl" and member.size > LIMITS.pickle_bytes:
            raise RefusedFileError(
                f"The archive's pickle declares {member.size} bytes; the limit is {LIMITS.pickle_bytes}."
            )
    outline = outline_of(read_member(archive, pickles[0]))
    return TorchArchive(
        tuple(inside), outline, data, archive, folder, _byteorder(data, archive, f"{folder}byteorder")
    )
