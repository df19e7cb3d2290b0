"""Names in files: names of tensors, and names that a pickle imports."""

from __future__ import annotations

# The standard library's table of moved names; torch's reader keeps an excerpt of it.
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from typing import Any

from ti_core.errors import ModelFileError
from ti_core.loading.limits import LIMITS
from ti_core.text import shown


def present_name(module: str, name: str) -> str:
    """``module.name`` as Python 3 imports it; ``__builtin__ set`` becomes ``builtins.set``."""
    if (module, name) in NAME_MAPPING:
        module, name = NAME_MAPPING[(module, name)]
    elif module in IMPORT_MAPPING:
        module = IMPORT_MAPPING[module]
    return f"{module}.{name}"


def check_name(name: Any) -> None:
    """Raise ModelFileError for a name that no tensor can have.

    The numbers in names are limited, because they become lengths of lists.
    """
    if not isinstance(name, str) or not 0 < len(name) <= LIMITS.name:
        raise ModelFileError(
            f"The file names a tensor {shown(str(name))!r}; a name must be text of 1 to {LIMITS.name} characters."
        )
    for part in name.split("."):
        if not part.isdecimal():
            continue
        if not part.isascii() or len(part) > 6 or int(part) > LIMITS.index:
            raise ModelFileError(
                f"The file names a tensor {shown(name)!r}; numbers in a name must be from 0 to {LIMITS.index}."
            )
