"""What ``import ti_core`` offers: the public names, found by ``dir`` and completion, each with its help."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ti_core

PUBLIC = ["Inspection", "Pack", "Settings", "__version__", "inspect", "load_model", "load_pack"]


def test_dir_shows_exactly_what_is_public() -> None:
    assert dir(ti_core) == sorted(ti_core.__all__) == PUBLIC


def test_dir_stays_so_when_submodules_were_imported() -> None:
    code = "import ti_core.settings, ti_core.inspection.with_pack as w; print(','.join(dir(__import__('ti_core'))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().split(",") == PUBLIC


@pytest.mark.parametrize("name", [n for n in PUBLIC if n != "__version__"])
def test_every_public_name_has_its_help(name: str) -> None:
    assert getattr(ti_core, name).__doc__


def test_the_help_of_inspect_is_enough_to_use_it() -> None:
    said = ti_core.inspect.__doc__ or ""
    assert all(word in said for word in ("load_model", "load_pack", "Settings", "report", "Raises", ">>>"))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'inspct'"):
        _ = ti_core.inspct  # type: ignore[attr-defined]
