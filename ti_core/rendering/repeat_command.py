"""The command that repeats an inspection."""

from __future__ import annotations

from shlex import quote
from typing import Any

from ti_core.results.report import Report
from ti_core.settings import Settings


def command(report: Report) -> str:
    """The command that inspects the same model with the same settings, for a shell such as bash."""
    standard, differs = Settings().as_dict(), report.pack.get("changed_settings") or {}
    changed = [
        f" --set {_quoted(f'{key}={_joined(value)}')}"
        for key, value in report.settings.items()
        if key in differs or (tuple(value) if isinstance(value, list) else value) != standard[key]
    ]
    file = report.model["file"]
    file = _quoted(f"./{file}" if file.startswith("-") else file)
    images = report.pack.get("images")
    beside = (
        f"--images {_quoted(images['file'])}" if images else f"--pack {_quoted(str(report.pack['name']))}"
    )
    sketch = report.model.get("sketch")
    drawn = f" --architecture {_quoted(sketch)}" if sketch else ""
    return f"python -m ti_core inspect {file} {beside}{drawn}" + "".join(changed)


def _joined(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _quoted(text: str) -> str:
    """One word of a shell's command line. Invisible characters are spelt out, so that it can be copied from paper."""
    if text.isprintable():
        return quote(text)
    spelt = "".join(
        c.replace("\\", "\\\\").replace("'", "\\'")
        if c.isprintable()
        else "".join(f"\\x{byte:02x}" for byte in _bytes(c))
        for c in text
    )
    return f"$'{spelt}'"


def _bytes(character: str) -> bytes:
    """The bytes of a character of a file's name. A surrogate stands for a byte that is no UTF-8."""
    try:
        return character.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return character.encode("utf-8", "replace")
