"""The code of the pages: blocks with their language, and the commands that a block or a sentence holds."""

from __future__ import annotations

import argparse
import re
import shlex
import textwrap
from collections.abc import Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from unittest import mock

from ti_core.cli.parser import parser

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.M | re.S)
INLINE = re.compile(r"`([^`\n]+)`")
BREAKS = frozenset({"|", ";", "&", "&&", "||"})
SHELL = frozenset(["for", "do", "done", "case", "esac", "if", "fi", "while", "exit", "echo", "set", "mkdir"])
"""Words of the shell's own, after which no program is named."""
TOOLS = frozenset(["openssl", "ssh-keygen", "sha256sum", "sed", "curl", "gpg", "model_signing"])
"""Programs of others. Where a page says what they do, a test runs them."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Parameters
    ----------
    page, line : where it begins.
    language : what stands after the fence; "" for none.
    """

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks() -> list[Block]:
    """Every fenced block of every page."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(page, line, match[2], textwrap.dedent(match[3])))
    return found


def inline() -> Iterator[tuple[Path, str]]:
    """Every piece of code in a sentence, with its page."""
    for page in PAGES:
        yield from ((page, code) for code in INLINE.findall(BLOCK.sub("", page.read_text(encoding="utf-8"))))


def commands(text: str) -> list[list[str]]:
    """The words of every simple command of a shell script. Redirections are left out; here-documents must not occur."""
    text = re.sub(r"(^|\s)#[^\n]*", r"\1", text).replace("\\\n", " ").replace("\n", " ; ")
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|;&<>")
    lexer.whitespace_split = True
    lexer.commenters = ""
    found: list[list[str]] = [[]]
    words = iter(lexer)
    for word in words:
        if word in BREAKS:
            found.append([])
        elif word in {"<", ">", ">>"}:
            next(words)
        elif word != "do":
            found[-1].append(word)
    return [command for command in found if command]


def program_and_options(command: list[str]) -> tuple[str, list[str]]:
    """What a command runs, as "ti_core", "benchmarks.NAME" or the program's own name; and its arguments."""
    name = Path(command[0]).name
    if name == "trojaninterpret":
        return "ti_core", command[1:]
    if name == "python" and command[1] == "-m":
        return command[2], command[3:]
    return name, command[1:]


def parsed(program: str, options: list[str]) -> argparse.Namespace:
    """The options as the program's own parser reads them. A benchmark without options has no parser.

    Raises
    ------
    ValueError : the program refuses them; its own words say why.
    """
    said = StringIO()
    with redirect_stderr(said):
        try:
            return parser().parse_args(options) if program == "ti_core" else _benchmark(program, options)
        except SystemExit:
            raise ValueError(said.getvalue().strip()) from None


def _benchmark(module: str, options: list[str]) -> argparse.Namespace:
    if not options:
        if find_spec(module) is None:
            raise ValueError(f"There is no module {module}.")
        return argparse.Namespace()
    given: list[argparse.Namespace] = []
    usual = argparse.ArgumentParser.parse_args

    def keep(self: argparse.ArgumentParser, *_: object) -> argparse.Namespace:
        given.append(usual(self, options))
        raise KeyboardInterrupt

    with mock.patch.object(argparse.ArgumentParser, "parse_args", keep):
        try:
            import_module(module).main()
        except KeyboardInterrupt:
            return given[0]
    raise ValueError(f"{module} takes no options.")
