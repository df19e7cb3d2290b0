"""Hostile files, put together instruction by instruction at the time of the test; none is ever stored."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

PROTO2 = b"\x80\x02"
STOP = b"."


def text(value: str) -> bytes:
    """BINUNICODE."""
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def name(module: str, attribute: str) -> bytes:
    """GLOBAL."""
    return f"c{module}\n{attribute}\n".encode()


def number(value: int) -> bytes:
    """BININT."""
    return b"J" + struct.pack("<i", value)


def args(*values: bytes) -> bytes:
    """MARK ... TUPLE."""
    return b"(" + b"".join(values) + b"t"


def called(module: str, attribute: str, *values: bytes) -> bytes:
    """GLOBAL, its arguments, REDUCE."""
    return name(module, attribute) + args(*values) + b"R"


def program(*parts: bytes) -> bytes:
    """A whole pickle of protocol 2."""
    return PROTO2 + b"".join(parts) + STOP


def checkpoint(pickle: bytes, storages: Mapping[str, bytes] | None = None, **members: bytes) -> bytes:
    """The archive that torch.save would write around ``pickle``."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("m/data.pkl", pickle)
        archive.writestr("m/byteorder", b"little")
        for key, value in (storages or {}).items():
            archive.writestr(f"m/data/{key}", value)
        archive.writestr("m/version", b"3\n")
        for member, value in members.items():
            archive.writestr(member, value)
    return out.getvalue()


def legacy(pickle: bytes, storages: Mapping[str, bytes] | None = None, width: int = 4) -> bytes:
    """The file that torch before 1.6 would write around ``pickle``; a number of a storage has ``width`` bytes."""
    version = b"M\xe9\x03"
    machine = dictionary({"protocol_version": version, "little_endian": b"\x88", "type_sizes": b"}"})
    found = storages or {}
    keys = b"](" + b"".join(text(key) for key in found) + b"e"
    head = program(b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19") + program(version) + program(machine)
    numbers = b"".join(struct.pack("<q", len(value) // width) + value for value in found.values())
    return head + pickle + program(keys) + numbers


def shell(canary: Path) -> bytes:
    """The argument that makes a command interpreter leave a trace."""
    return text(f"touch {canary}")


def code(canary: Path) -> bytes:
    """The same for a Python interpreter."""
    return text(f"open({str(canary)!r}, 'w').close()")


def empty_dictionary() -> bytes:
    """OrderedDict()."""
    return called("collections", "OrderedDict")


def storage(key: str = "0", count: int = 4, kind: str = "FloatStorage") -> bytes:
    """The persistent id of a tensor storage."""
    return args(text("storage"), name("torch", kind), text(key), text("cpu"), number(count)) + b"Q"


def tensor(
    count: int = 4,
    offset: int = 0,
    size: tuple[int, ...] = (4,),
    stride: tuple[int, ...] = (1,),
    hooks: bytes | None = None,
) -> bytes:
    """_rebuild_tensor_v2 on the storage 0."""
    return called(
        "torch._utils",
        "_rebuild_tensor_v2",
        storage(count=count),
        number(offset),
        args(*map(number, size)),
        args(*map(number, stride)),
        b"\x89",
        hooks or empty_dictionary(),
    )


def dictionary(items: Mapping[str, bytes]) -> bytes:
    """EMPTY_DICT, SETITEMS."""
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def module(path: str, state: Mapping[str, bytes] | None = None) -> bytes:
    """A module as torch.save writes it: NEWOBJ and BUILD."""
    package, _, cls = path.rpartition(".")
    return name(package, cls) + b")\x81" + dictionary({"_modules": b"}", **(state or {})}) + b"b"
