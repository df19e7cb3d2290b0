"""Texts of the page: harmless forms of untrusted text, and readable times and sizes."""

from __future__ import annotations

import errno
import re
from datetime import datetime

from app.controls import TITLES, title
from ti_core.results.so_far import SoFar
from ti_core.streams import known_stream
from ti_core.text import without_controls

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&^@/])")

_FOR_THE_PAGE = (
    (
        "give 50 or more clean images of your own with --images.",
        "hand in 50 or more clean images of your own.",
    ),
    (
        " already; give another name with --name.",
        " already. Remove its folder, or add this one with the command line.",
    ),
    (" with --pack ", " as the reference pack, under Settings: "),
    (" with --pack.", " as the reference pack, under Settings."),
    ("declare it with --set normalisation=NAME.", "declare it under Settings, as “Pixel scaling”."),
    (
        "is not among those tried. Declare it with --set normalisation=NAME.",
        "is not among those tried.",
    ),
    (
        "give a sketch of the network with --architecture.",
        "name its layers in the box “The network's layers” and inspect the file with them.",
    ),
    (" Raise --count.", " Choose more reference models."),
    (": what is trained is kept. Give more images", ". Give more images"),
    (
        "or a larger architecture with --architecture.",
        "or build it with the command line, with larger networks.",
    ),
    ("Allow more time with --minutes.", "Allow more time under Settings."),
    ("Allow more with --memory.", "Inspect it with the command line, and allow more with --memory."),
    ("use --device cpu.", "the processor is used instead."),
)

_COUNT = re.compile(r"(--count|Raise --count to) (\d+)")
_SETTING = re.compile(rf"\bSetting ({'|'.join(TITLES)})\b")

_DATA_SETS = {
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "gtsrb": "GTSRB",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
}


def data_set(name: str) -> str:
    """The name of a data set, or of the pack named after it, in its authors' spelling if that is known."""
    return _DATA_SETS.get(name, name)


def plain(text: object, most: int = 400) -> str:
    """Untrusted text on one line, without control and direction characters, cut after ``most`` characters."""
    kept = without_controls(str(text)[: most + 1])
    return kept if len(kept) <= most else kept[:most] + "…"


def safe(text: object, most: int = 400) -> str:
    """Untrusted text for a Markdown element. It is shown literally, never as a link, picture or mark-up."""
    return _MARKDOWN.sub(r"\\\1", plain(text, most))


def for_the_page(text: str) -> str:
    """A message of the core for the page. It names the page's control instead of a command's option."""
    for before, after in _FOR_THE_PAGE:
        text = text.replace(before, after)
    text = _COUNT.sub(
        lambda found: (
            f"Build it anew with {found[2]} or more reference models"
            if found[1].startswith("Raise")
            else f"A pack of {found[2]} reference models or more"
        ),
        text,
    )
    return _SETTING.sub(lambda found: f"The setting “{title(found[1])}”", text)


def reason(error: OSError) -> str:
    """The cause of a system error and its remedy, in one sentence."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full; free some space and try again."
    if error.errno == errno.EFBIG:
        return "the files of this tab are too large together; remove one first."
    if error.errno == errno.EUSERS:
        return "the server holds as many files as it may; try again in a few minutes."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "the folder of this server's data cannot be written to; see that it may, and try again."
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN):
        return "the machine is short of memory or of open files; try again in a few minutes."
    return f"the system answered {plain(error.strerror or type(error).__name__, 120)}; try again."


def seconds(value: float) -> str:
    """A readable duration."""
    if value < 0.95:
        return "under 1 s"
    if value < 90:
        return f"{value:.0f} s"
    if value < 5400:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.1f} h"


def when(text: str) -> str:
    """An ISO time as date and minute, in UTC. Empty if the text is no ISO time."""
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return ""


def size(count: float) -> str:
    """A readable number of bytes."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count:.0f} bytes"


def limit(count: int) -> str:
    """A limit of uploads as the control that takes them names it, in powers of 1024."""
    return f"{count >> 30:,} GB" if count % (1 << 30) == 0 else f"{count >> 20:,} MB"


def article(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def so_far(said: SoFar) -> str:
    """The verdict so far, for a Markdown element, while the work goes on."""
    return f":material/hourglass_top: {safe(said.sentence(), 600)} This is not the verdict yet."


STAGES = {
    "opening": "Opening the file",
    "measuring": "Measuring how long the network takes",
    "reconstruction": "Finding out which network it is",
    "preprocessing": "Finding out how the pixels are scaled",
    "probes": "Making the probe images",
    "saliency reference": "Saliency of the reference models",
    "saliency verdict": "First verdict, from saliency",
    "pictures": "Drawing the first pictures",
    "verdict": "Joining the evidence",
    "trigger": "Recovering the trigger",
    "case": "Keeping the case",
    "activations": "Reading the hidden layer",
    "classes": "Looking at each class",
    "images": "Reading the images",
    "training": "Training the reference models",
    "evidence": "Evidence of the reference models",
    "recovered triggers": "Recovering the triggers of the reference models",
}


def stage(name: str) -> str:
    """A readable description of a stage."""
    if name in STAGES:
        return STAGES[name]
    if stream := known_stream(name):
        return stream.doing
    if name.endswith(" reference"):
        return f"{plain(name.removesuffix(' reference'), 40).capitalize()} evidence of the reference models"
    return plain(name, 60).capitalize()
