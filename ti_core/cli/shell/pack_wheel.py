"""``pack wheel``: a package of a pack. It holds data only, and every command finds the pack once it is installed.

References
----------
PEP 427, "The Wheel Binary Package Format 1.0"; the core metadata specifications of the Python Packaging User Guide.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from ti_core.errors import PackError, SettingsError
from ti_core.reference.known import is_known
from ti_core.system.records import NAME
from ti_core.text import shown
from ti_core.version import __version__

if TYPE_CHECKING:
    from ti_core.reference.pack import Pack

PLACE = "share/trojaninterpret/packs"
"""Below an environment's folder for data: see :func:`ti_core.system.folders.installed_packs_folder`."""
WHEEL = "Wheel-Version: 1.0\nGenerator: trojaninterpret\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def pack_wheel(pack: Pack, folder: Path) -> str:
    """Write the package ``trojaninterpret-pack-NAME`` of a pack into a folder. Returns a sentence.

    The same pack gives the same bytes. The package has the program's version.

    Raises
    ------
    PackError : a file of the pack is missing, or is not the one that its record says.
    SettingsError : no package can have the pack's name.
    """
    if NAME.fullmatch(pack.name) is None:
        raise SettingsError(
            f"No package can be named after the pack {shown(pack.name)!r}; build it with --name."
        )
    package = f"trojaninterpret-pack-{pack.name}"
    stem = f"{re.sub(r'[-_.]+', '_', package).lower()}-{__version__}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-py3-none-any.whl"
    unfinished = path.with_suffix(".unfinished")
    try:
        with zipfile.ZipFile(unfinished, "w") as archive:
            _fill(archive, pack, package, stem)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return f"{path}: pack {pack.name!r}, SHA-256 {pack.sha256}, {path.stat().st_size / 1e6:.0f} MB."


def _fill(archive: zipfile.ZipFile, pack: Pack, package: str, stem: str) -> None:
    """Write the recorded files, each with its recorded digest, and what pip needs."""
    lines = []
    for file, digest in {"pack.json": pack.sha256, **pack.record["files"]}.items():
        content = pack.folder / file
        if not content.is_file():
            raise PackError(f"Pack {shown(pack.name)!r} lacks its file {shown(file)}.")
        name = f"{stem}.data/data/{PLACE}/{pack.name}/{file}"
        line, written = _written(archive, name, content.read_bytes())
        if written != digest:
            raise PackError(
                f"Pack {shown(pack.name)!r} was altered: {shown(file)} is not the file that pack.json records."
            )
        lines.append(line)
    for name, text in (("METADATA", _metadata(pack, package)), ("WHEEL", WHEEL)):
        lines.append(_written(archive, f"{stem}.dist-info/{name}", text.encode())[0])
    record = f"{stem}.dist-info/RECORD"
    _written(archive, record, "".join([*lines, f"{record},,\n"]).encode())


def _metadata(pack: Pack, package: str) -> str:
    ours = "License-Expression: MIT\n" if is_known(pack) else ""
    return (
        f"Metadata-Version: 2.4\nName: {package}\nVersion: {__version__}\n"
        f"Summary: The reference pack {pack.name} of TrojanInterpret, SHA-256 {pack.sha256}\n{ours}"
    )


def _written(archive: zipfile.ZipFile, name: str, content: bytes) -> tuple[str, str]:
    """Write a file. Returns its line in RECORD, and its SHA-256 in hexadecimal digits."""
    entry = zipfile.ZipInfo(name)
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    digest = hashlib.sha256(content)
    coded = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
    return f"{name},sha256={coded},{len(content)}\n", digest.hexdigest()
