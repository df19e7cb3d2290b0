"""Exit codes and values of arguments that all commands share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ti_core.errors import SettingsError, SketchError
from ti_core.settings import Settings
from ti_core.stream_registry import EFFORTS, STANDARD
from ti_core.system.folders import assets_folder, default_folder, named_pack
from ti_core.system.plain_files import read_plain
from ti_core.text import shown
from ti_core.worker import Limits
from ti_core.worker.limits import GIB
from ti_core.worker.request import InspectionRequest

CLEAN, BACKDOORED, ERROR, INCONCLUSIVE = 0, 1, 2, 3

LONGEST_PATH = 250
"""Characters of an argument that may be the path of a file."""

CODES = {"clean": CLEAN, "backdoored": BACKDOORED, "inconclusive": INCONCLUSIVE}


SAMPLE = "sample:"
"""Beginning of the name of a bundled sample, in the place of a model file."""


def model_of(path: Path) -> Path:
    """The model file that the command line names. ``sample:NAME`` is a bundled sample.

    Raises
    ------
    SettingsError : there is no such sample.
    """
    name = str(path).removeprefix(SAMPLE)
    if name == str(path) or path.exists():
        return path
    samples = sorted(file.stem for file in (assets_folder() / "samples").glob("*.safetensors"))
    if name not in samples:
        raise SettingsError(f"There is no sample {shown(name)!r}; there are: {', '.join(samples) or 'none'}.")
    return assets_folder() / "samples" / f"{name}.safetensors"


def pairs(settings: Sequence[str]) -> dict[str, str]:
    """``["bins=20"]`` as a mapping.

    Raises
    ------
    SettingsError : a pair without "=".
    """
    for text in settings:
        if "=" not in text:
            raise SettingsError(f"--set takes KEY=VALUE, not {text!r}.")
    return dict(text.split("=", 1) for text in settings)


LEAST_MEMBERS = 8
"""Minimum number of members: one of each kind and family, and as many clean ones."""


def _enough(count: int) -> None:
    if count < LEAST_MEMBERS:
        raise SettingsError(f"--count is at least {LEAST_MEMBERS}, not {count}.")


def limits_of(options: argparse.Namespace, jobs: int = 1) -> Limits:
    """The limits of each of ``jobs`` processes.

    Raises
    ------
    SettingsError : a limit is too low for any inspection.
    """
    standard = Limits()
    memory = options.memory * GIB if options.memory is not None else standard.memory_bytes / jobs
    minutes = options.minutes if options.minutes is not None else standard.wall_seconds / 60
    if not memory >= GIB / 2:
        raise SettingsError(f"--memory is at least 0.5 (GB a process), not {memory / GIB:.2g}.")
    if not 0 < minutes < 1e6:
        raise SettingsError(f"--minutes is more than 0, not {minutes:g}.")
    return Limits.for_seconds(minutes * 60, memory_bytes=int(memory))


def request_of(options: argparse.Namespace) -> InspectionRequest:
    """The request for every model. All paths are absolute, since the worker works in another folder.

    Raises
    ------
    SettingsError : a setting is unknown, or outside its range.
    """
    named = pairs(options.settings)
    if options.effort != STANDARD:
        if "streams" in named:
            raise SettingsError("--effort and --set streams=... both choose the streams; give one of them.")
        named["streams"] = ",".join(EFFORTS[options.effort])
    cache = None if options.no_cache else default_folder()
    settings = Settings.parse(named).as_dict()
    return InspectionRequest(
        pack=inspected_pack(options.pack),
        # The other settings are the pack's own. The pack is known only after the model is opened.
        settings={name: settings[name] for name in named},
        device=options.device,
        cache=None if cache is None else str(cache.absolute()),
    )


def declared_network(text: str | None) -> dict[str, str]:
    """What ``--architecture`` declares, as fields of a request: a registered name, or a sketch.

    A registered name comes first, then a file. Other text that is no single word is the sketch itself.

    Raises
    ------
    SketchError : the file is no sketch, or the text is none.
    """
    if text is None:
        return {}
    from ti_core.architectures import ARCHITECTURES
    from ti_core.reconstruction.grammar import LONGEST, parse_sketch

    if text in ARCHITECTURES:
        return {"architecture": text}
    # The system cannot look for a file with a name of a sketch's length.
    if len(text) < LONGEST_PATH and Path(text).exists():
        content = read_plain(Path(text), 4 * LONGEST, SketchError, SketchError)
        text = content.decode("utf-8", "replace")
    elif len(text.split()) == 1 and ";" not in text:
        return {"architecture": text}
    return {"sketch": str(parse_sketch(text))}


def inspected_pack(name: str | None) -> str | None:
    """The name of a bundled pack unchanged, or the absolute path of a folder."""
    if name is None or not Path(name).is_dir() or (len(Path(name).parts) == 1 and _bundled(name)):
        return name
    return str(Path(name).absolute())


def _bundled(name: str) -> bool:
    return named_pack(name) is not None
