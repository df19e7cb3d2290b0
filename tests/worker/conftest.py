"""Hostile tasks, registered for these tests only."""

from __future__ import annotations

import pytest

from tests.worker import hostile
from ti_core.worker import tasks

PREPARED = {"take_40_gb": ("torch",), "compute": ("torch",), "onnx_bomb": ("onnx",)}


@pytest.fixture(autouse=True)
def _hostile_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in hostile.names():
        if not name.startswith("_") and name != "names":
            task = tasks.Task(getattr(hostile, name), PREPARED.get(name, ()))
            monkeypatch.setitem(tasks.TASKS, name, task)
