"""Stores finished inspections in a folder that only its owner can enter. They are available after a restart."""

from __future__ import annotations

import io
import os
import re
import secrets
import shutil
import threading
import time
import zipfile
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.store import opinions
from ti_core.errors import CaseError
from ti_core.methods.opinion import Opinions
from ti_core.results.case import Case
from ti_core.results.case_files import load_case, read_case_json, save_case
from ti_core.results.cautions import as_words
from ti_core.results.wording import leads_in_words
from ti_core.settings import Settings
from ti_core.system.folders import is_writable, private_folder, temporary_folder, user_folder

LEFT_AFTER = 3600.0
"""Age in seconds after which a half-written case counts as left behind by a killed server."""
OPEN_BYTES = 256 << 20
"""Maximum size in bytes of the opened cases in memory, without the case that was opened last."""
ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{12}-[0-9a-f]{8}")


def home() -> Path:
    """The folder of all that the dashboard stores; only its owner can enter. A temporary one if none can be kept.

    Raises
    ------
    OSError : the folder that ``$TROJANINTERPRET_HOME`` names cannot be made.
    """
    return kept_home() or temporary_folder("home")


def kept_home() -> Path | None:
    """``$TROJANINTERPRET_HOME``, or ``trojaninterpret`` in the user's data folder; None if that cannot be written to.

    Raises
    ------
    OSError : the folder that the variable names cannot be made.
    """
    own = os.environ.get("TROJANINTERPRET_HOME")
    if own:
        private_folder(Path(own))
        return Path(own)
    folder = user_folder("XDG_DATA_HOME", ".local/share")
    return folder if folder is not None and is_writable(folder) else None


@dataclass(frozen=True)
class Entry:
    """One line of the list of cases.

    ``problem`` says why a case cannot be opened. The other fields are then empty.
    ``changed`` names the settings that differ from the pack's own.
    """

    id: str
    created: str = ""
    file: str = ""
    sha256: str = ""
    verdict: str = ""
    probability: float = 0.0
    trigger_kind: str = ""
    target: str = ""
    pack: str = ""
    seconds: float = 0.0
    changed: str = ""
    problem: str = ""

    def matches(self, words: str) -> bool:
        """Whether every word of the search text occurs in a column."""
        text = " ".join(str(v) for v in vars(self).values()).lower()
        return all(word in text for word in words.lower().split())


class CaseStore:
    """Cases in ``<root>/cases/<id>``. Each is written once and never changed; second opinions may be added to it."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "cases"
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._entries: dict[str, Entry] = {}
        for left in [*self.folder.glob(".*.part"), *self.folder.glob(".*.gone")]:
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > LEFT_AFTER:
                    shutil.rmtree(left)

    def keep(self, case: Case) -> str:
        """Write a case and return its id. The case appears under its id only when it is complete on the disk.

        Raises
        ------
        OSError : the case cannot be written. No part of it is left.
        """
        stamp = re.sub(r"\D", "", case.created)[:14].ljust(14, "0")
        name = f"{stamp[:8]}-{stamp[8:]}-{case.report.model['sha256'][:12]}-{secrets.token_hex(4)}"
        part = self.folder / f".{name}.part"
        try:
            save_case(case, part)
            for path in [*part.iterdir(), part]:
                _to_disk(path)
            part.replace(self.folder / name)
            _to_disk(self.folder)
        except OSError:
            shutil.rmtree(part, ignore_errors=True)
            raise
        return name

    def load(self, name: str) -> Case:
        """The case of that id.

        Raises
        ------
        CaseError : there is none, or it is damaged.
        """
        path = self._path(name)
        return opinions.with_kept(load_case(path, alone=True), path)

    def add_opinions(self, name: str, found: Opinions) -> Opinions:
        """Keep second opinions with a case. All that it has are returned.

        Raises
        ------
        CaseError : there is no such case.
        OSError : they cannot be written.
        """
        return opinions.keep(self._path(name), found)

    def opinions(self, name: str) -> Opinions | None:
        """The second opinions of a case; None if it has none, or none that can be read."""
        try:
            return opinions.read(self._path(name))
        except CaseError:
            return None

    def entries(self) -> list[Entry]:
        """All cases, the latest first."""
        try:
            found = sorted((p.name for p in self.folder.iterdir() if ID.fullmatch(p.name)), reverse=True)
        except FileNotFoundError:
            found = []
        for name in set(self._entries) - set(found):
            self._entries.pop(name, None)
        return [self._entry(name) for name in found]

    def delete(self, name: str) -> None:
        """Remove a case from the disk."""
        path = self._path(name)
        gone = path.with_name(f".{name}.{secrets.token_hex(4)}.gone")
        with suppress(FileNotFoundError):
            path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        self._entries.pop(name, None)

    def export(self, names: list[str]) -> bytes:
        """A zip archive of cases, with the record and the arrays of each as they are on the disk."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                # Another tab may delete the case at the same time.
                for path in sorted(self._path(name).glob("*")):
                    if path.is_file() and not path.is_symlink():
                        archive.writestr(f"{name}/{path.name}", path.read_bytes())
        return buffer.getvalue()

    def uses(self, sha256: str) -> bool:
        """Whether there is a case of the model with this digest."""
        return any(entry.sha256 == sha256 for entry in self.entries())

    def _path(self, name: str) -> Path:
        if not ID.fullmatch(name):
            raise CaseError("There is no such case; choose one from the list of cases.")
        return self.folder / name

    def _entry(self, name: str) -> Entry:
        if name not in self._entries:
            try:
                self._entries[name] = _entry_of(name, read_case_json(self.folder / name, alone=True))
            except CaseError as error:
                return Entry(name, problem=str(error))
        return self._entries[name]


class OpenCases:
    """Opened cases by id, shared by all tabs. The cases unused for longest are dropped if memory is short."""

    def __init__(self, store: CaseStore, most: int = OPEN_BYTES) -> None:
        self._store = store
        self._most = most
        self._cases: OrderedDict[str, Case] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str) -> Case:
        """The case with that id. Only added opinions change a case, and whoever adds them calls :meth:`forget`.

        Raises
        ------
        CaseError : there is none, or it is damaged.
        """
        with self._lock:
            if name not in self._cases:
                self._cases[name] = self._store.load(name)
            self._cases.move_to_end(name)
            held = sum(map(_weight, self._cases.values()))
            while len(self._cases) > 1 and held > self._most:
                held -= _weight(self._cases.popitem(last=False)[1])
            return self._cases[name]

    def forget(self, name: str) -> None:
        """Drop a case that was deleted, or that has opinions added."""
        with self._lock:
            self._cases.pop(name, None)


def _weight(case: Case) -> int:
    return sum(array.nbytes for array in case.arrays.values())


def _to_disk(path: Path) -> None:
    """Wait until the file, or the folder's list of names, is safe from a loss of power."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _target(report: dict[str, Any]) -> str:
    """Where the suspected backdoor leads, for one column."""
    mapping, target = report.get("mapping"), report["target_class_name"] or ""
    if mapping is not None and mapping["kind"] != "all to one":
        return leads_in_words(mapping)
    return f"class {target}" if target else ""


def _entry_of(name: str, record: dict[str, object]) -> Entry:
    report = record["report"]
    assert isinstance(report, dict)
    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in report["settings"].items()}
    # Reports of earlier versions do not say which settings differ from the pack's own.
    differs = report["pack"].get("changed_settings", Settings.parse(settings).differing(Settings()))
    changed = [" ".join(as_words(key, settings[key])) for key in differs]
    return Entry(
        id=name,
        created=str(record["created"]),
        file=report["model"]["file"],
        sha256=report["model"]["sha256"],
        verdict=report["verdict"],
        probability=float(report["probability"]),
        trigger_kind=report["trigger_kind"] or "",
        target=_target(report),
        pack=report["pack"]["name"] or "none: own images",
        seconds=float(sum(report["timings"].values())),
        changed="; ".join(changed),
    )
