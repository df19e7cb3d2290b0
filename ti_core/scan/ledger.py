"""The ledger of a scan: the outcome of every line of this scan and of an earlier one, in little memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ti_core.errors import PackError, SettingsError
from ti_core.reference.pack import load_pack

LONGEST_LINE = 100_000_000
"""Maximum number of bytes of a line. A file with a longer line is not the output of a scan."""


class Ledger:
    """The outcome of every line, by a digest of its work.

    Two lines have the same work if their file, its SHA-256, the requested pack and the settings are equal. A report
    contains all settings, including the pack's own. A scan requests only some settings by name.

    Parameters
    ----------
    settings, pack : the settings and the pack that the scan requests for every file.
    lines : the lines of an earlier scan.
    """

    def __init__(
        self, settings: Mapping[str, Any], pack: str | None, lines: Iterable[Mapping[str, Any]] = ()
    ) -> None:
        self._settings, self._pack = settings, pack
        self._outcomes: dict[bytes, str] = {}
        self._of_packs: dict[str, dict[str, Any] | None] = {}
        for line in lines:
            self.add(line)

    def __len__(self) -> int:
        return len(self._outcomes)

    def add(self, line: Mapping[str, Any]) -> None:
        """Remember one line."""
        self._outcomes[self._work_of(line)] = outcome(line)

    def is_of(self, line: Mapping[str, Any], path: Path, digest: str) -> bool:
        """Whether a line is about this scan's work on a file."""
        return self._work_of(line) == _key(str(path), digest, self._pack, self._settings)

    def _work_of(self, line: Mapping[str, Any]) -> bytes:
        pack, asked = line.get("pack"), self._pack
        if "asked_pack" in line:
            asked = line["asked_pack"]
        elif asked is not None and isinstance(pack, dict):
            asked = asked if pack.get("name") == Path(asked).name else pack.get("name")
        settings = line.get("settings")
        if "asked_pack" not in line and settings == self._settled(pack):
            settings = self._settings
        return _key(line.get("file"), line.get("sha256"), asked, settings)

    def _settled(self, pack: Any) -> dict[str, Any] | None:
        """All settings of a model that this scan inspects with the pack of a report, as a report has them."""
        name = str(pack.get("name")) if isinstance(pack, dict) else ""
        if name not in self._of_packs:
            asked = self._pack
            try:
                found = load_pack(asked if asked is not None and name == Path(asked).name else name)
                settings = found.settings_with(self._settings).as_dict()
                self._of_packs[name] = json.loads(json.dumps(settings))
            except PackError:
                self._of_packs[name] = None
        return self._of_packs[name]

    def outcome(self, path: Path, digest: str) -> str | None:
        """The outcome of this scan's work on a file, see :func:`outcome`; None if the work is not done."""
        return self._outcomes.get(_key(str(path), digest, self._pack, self._settings))


def _key(file: Any, digest: Any, pack: Any, settings: Any) -> bytes:
    return hashlib.sha256(json.dumps([file, digest, pack, settings], sort_keys=True).encode()).digest()


def outcome(line: Mapping[str, Any]) -> str:
    """ "clean", "inconclusive", "backdoored", or "error" for a line without a verdict."""
    return str(line.get("verdict", "error"))


def worst(outcomes: Iterable[str]) -> str:
    """The most severe outcome, in the order "backdoored", "error", "inconclusive", "clean"."""
    found = set(outcomes)
    return next((v for v in ("backdoored", "error", "inconclusive") if v in found), "clean")


def known_lines(path: Path, mend: bool = True) -> Iterator[dict[str, Any]]:
    """The lines of an earlier scan, one at a time. A last line that a kill cut short is passed over.

    Parameters
    ----------
    mend : remove such a line from the file.

    Raises
    ------
    SettingsError : the file holds something else.
    """
    if not path.is_file():
        return
    whole, number = 0, 0
    with path.open("rb") as file:
        while text := file.readline(LONGEST_LINE):
            if not text.endswith(b"\n") and len(text) < LONGEST_LINE:
                break
            whole, number = whole + len(text), number + 1
            if text.strip():
                yield _line(text, path, number)
    if text and mend:
        with path.open("r+b") as file:
            file.truncate(whole)


def _line(text: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        line = None
    if not isinstance(line, dict) or "file" not in line:
        raise SettingsError(f"{path.name} is no output of scan (line {number}); choose another file.")
    return line
