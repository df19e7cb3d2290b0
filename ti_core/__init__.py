"""Finds backdoors in image classifiers by interpretation; see ``ti_core.inspection.with_pack`` for the whole flow.

::

    from ti_core import Settings, inspect, load_model, load_pack
    inspect(load_model("model.safetensors"), load_pack("mnist"), Settings()).report
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ti_core.version import __version__

if TYPE_CHECKING:
    from ti_core.inspection.result import Inspection
    from ti_core.inspection.with_pack import inspect
    from ti_core.loading import load_model
    from ti_core.reference.pack import Pack, load_pack
    from ti_core.settings import Settings

_HOMES = {
    "Inspection": "ti_core.inspection.with_pack",
    "inspect": "ti_core.inspection.with_pack",
    "load_model": "ti_core.loading",
    "Pack": "ti_core.reference.pack",
    "load_pack": "ti_core.reference.pack",
    "Settings": "ti_core.settings",
}

__all__ = ["Inspection", "Pack", "Settings", "__version__", "inspect", "load_model", "load_pack"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: torch alone takes over a second."""
    if name not in _HOMES:
        raise AttributeError(f"module 'ti_core' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, and nothing else, for ``dir(ti_core)`` and completion."""
    return sorted(__all__)
