"""Names of Python 2 in today's spelling: ``torch.save`` writes pickles that use the old ones."""

from __future__ import annotations

# The standard library's table of moved names; torch's reader keeps a copy of the same.
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING


def present_name(module: str, name: str) -> str:
    """``module.name`` as today's Python would import it; ``__builtin__ set`` becomes ``builtins.set``."""
    if (module, name) in NAME_MAPPING:
        module, name = NAME_MAPPING[(module, name)]
    elif module in IMPORT_MAPPING:
        module = IMPORT_MAPPING[module]
    return f"{module}.{name}"
