"""Text for messages: untrusted text made safe to show, and what the owner of a refused model can do.

Three functions make untrusted text safe to show. They differ in what they put for a character that is unsafe:

- :func:`shown` escapes, so that a reader sees which characters a name in a file contains.
- :func:`plain` replaces control characters with spaces, for whole messages on a terminal or a page.
- :func:`masked` replaces unprintable characters with question marks, for texts of a graph, which may be bytes.
"""

from __future__ import annotations

import json
import shlex
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import PurePath


def shown(text: str, limit: int = 100) -> str:
    """Escape unprintable characters. Text beyond ``limit`` characters is cut and marked with three dots."""
    kept = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: limit + 1])
    return kept if len(text) <= limit else kept[:limit] + "..."


def plain(text: str, most: int, lines: bool = False) -> str:
    """Text without control characters (:func:`without_controls`), cut for a terminal.

    Parameters
    ----------
    most : maximum number of characters of the result. A longer text is cut and ends with "…".
    lines : keep line breaks, for messages that have something to copy on a line of its own.
    """
    kept = without_controls(text[: most + 1], lines)
    return kept if len(kept) <= most else kept[: most - 1] + "…"


def without_controls(text: str, lines: bool = False) -> str:
    """Replace control characters, direction characters and surrogates with spaces; ``lines`` keeps line breaks."""
    return "".join(c if unicodedata.category(c)[0] != "C" or (lines and c == "\n") else " " for c in text)


def masked(text: str | bytes, limit: int) -> str:
    """Cut at ``limit`` characters and replace unprintable characters with "?". Bytes are read as UTF-8."""
    if isinstance(text, bytes):
        text = text[:limit].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "?" for c in text[:limit])


def few(names: Iterable[str], limit: int = 3) -> str:
    """List the first ``limit`` names, and say how many more there are."""
    listed = list(names)
    text = ", ".join(shown(name, 60) for name in listed[:limit])
    return text if len(listed) <= limit else f"{text} and {len(listed) - limit} more"


COMMAND = "    "
"""Beginning of a line of a message that holds a command to copy, and no prose."""
_FILE: ContextVar[str] = ContextVar("file", default="model")


@contextmanager
def about_file(name: str) -> Iterator[None]:
    """Messages that are made inside name this file in the commands that they give."""
    token = _FILE.set(shown(name, 300))
    try:
        yield
    finally:
        _FILE.reset(token)


def this_file() -> str:
    """Name of the file that is being opened, fit to show; "model" where none is."""
    return _FILE.get()


def quoted(text: str) -> str:
    """The text as a string of Python, in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def export_to_onnx(channels: int | str = "C") -> str:
    """The line of Python that exports ``model`` to ONNX, named as this file is."""
    onnx = quoted(f"{PurePath(this_file()).stem}.onnx")
    return f"torch.onnx.export(model.eval(), torch.rand(1, {channels}, H, W), {onnx}, dynamo=True, external_data=False)"


def save_state_dict() -> str:
    """The line of Python that saves the weights of ``model`` beside this file."""
    name = PurePath(this_file())
    return (
        f"torch.save(model.state_dict(), {quoted(f'{name.stem}-weights.pt' if name.suffix else 'model.pt')})"
    )


def ways_out() -> str:
    """What the owner of a refused model can do instead, with commands to copy on lines of their own."""
    return (
        "Where the model can be trusted to run, export it to ONNX, with the channels C, the height H and the width W of"
        f" its images:\n{COMMAND}{export_to_onnx()}\n"
        f"Or, for a network of a registered architecture, save its state dict:\n{COMMAND}{save_state_dict()}"
    )


def sketch_command() -> str:
    """The line that inspects this file with a sketch of its layers."""
    return shlex.join(["python", "-m", "ti_core", "inspect", this_file(), "--architecture", "net.sketch"])


def with_a_command(message: str, file: str) -> str:
    """The message of a refusal with a line to copy; where it gives none, that of the file report.

    Parameters
    ----------
    file : name of the refused file.
    """
    if any(line.startswith(COMMAND) for line in message.splitlines()):
        return message
    report = shlex.join(["python", "-m", "ti_core", "inspect", shown(file, 300), "--file-only"])
    return f"{message}\nThe file report says what it holds, without opening it as a model:\n{COMMAND}{report}"


def ways_without_architecture(channels: int | str) -> str:
    """What the owner of a state dict of an unknown network can do, and who cannot run the author's code.

    Parameters
    ----------
    channels : of the network's images, or "C" if they are unknown.
    """
    name = this_file()
    load = f"model.load_state_dict(torch.load({quoted(name)})); "
    if name.lower().endswith(".safetensors"):
        load = f"safetensors.torch.load_model(model, {quoted(name)}); "
    return (
        "Where the author's code can be trusted to run, export its network to ONNX, with the height H and the width W"
        f" of its images:\n{COMMAND}{load}{export_to_onnx(channels)}\n"
        "If you cannot run the author's code, write the layers into a sketch, as docs/how-to-open-my-model.md, section"
        f" on sketches, says:\n{COMMAND}{sketch_command()}"
    )
