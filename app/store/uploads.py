"""What visitors' files take on the server's disk, and how it is released."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from streamlit.runtime.scriptrunner import get_script_run_ctx

from app.store.arrivals import arrivals, held_by_streamlit, manager_of_uploads, most_bytes


def most_held() -> int:
    """Maximum bytes of all visitors' files together: half of the free disk, at most those of eight tabs."""
    free = shutil.disk_usage(arrivals().folder).free
    return max(most_bytes(), min(8 * most_bytes(), free // 2))


@dataclass(frozen=True)
class Held:
    """Bytes of files that have arrived and are not yet stored, and their limits for one tab and for all tabs."""

    most_of_one: int = field(default_factory=most_bytes)
    most: int = field(default_factory=most_held)

    def of(self, session: str) -> int:
        """Bytes of the files of one tab."""
        return sum(_size(file.data) for file in held_by_streamlit().get(session, ()))

    def total(self) -> int:
        """Bytes of the files of all tabs."""
        return sum(_size(file.data) for files in held_by_streamlit().values() for file in files)


def _size(content: bytes) -> int:
    file = arrivals().of(content)
    return file.size if file is not None else len(content)


def let_go(files: Sequence[Any]) -> None:
    """Drop files of this tab that are stored elsewhere. Their uploader must not be drawn again with the same key."""
    manager, context = manager_of_uploads(), get_script_run_ctx()
    if manager is None or context is None:
        return
    for file in files:
        manager.remove_file(context.session_id, file.file_id)
    arrivals().sweep()
