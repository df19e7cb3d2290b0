"""The memory that visitors' files take in Streamlit, and how it is released."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from streamlit.runtime import Runtime
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

from app.store.sources import MOST_BYTES
from ti_core.worker.limits import total_memory


def most_held() -> int:
    """Maximum bytes of all visitors' files in memory: an eighth of the machine's memory, at most 1 GiB."""
    return max(MOST_BYTES, min(8 * MOST_BYTES, total_memory() // 8))


@dataclass(frozen=True)
class Held:
    """Bytes of files in the server's memory, and their limits for one tab and for all tabs."""

    most_of_one: int = MOST_BYTES
    most: int = 8 * MOST_BYTES

    def of(self, session: str) -> int:
        """Bytes of the files of one tab."""
        manager = _manager()
        files = dict(manager.file_storage.get(session, {})) if manager else {}
        return sum(len(file.data) for file in files.values())

    def total(self) -> int:
        """Bytes of the files of all tabs."""
        manager = _manager()
        return sum(self.of(session) for session in list(manager.file_storage)) if manager else 0


def let_go(files: Sequence[Any]) -> None:
    """Drop files of this tab that are stored elsewhere. Their uploader must not be drawn again with the same key."""
    manager, context = _manager(), get_script_run_ctx()
    if manager is None or context is None:
        return
    for file in files:
        manager.remove_file(context.session_id, file.file_id)


def _manager() -> MemoryUploadedFileManager | None:
    manager = Runtime.instance().uploaded_file_mgr if Runtime.exists() else None
    return manager if isinstance(manager, MemoryUploadedFileManager) else None
