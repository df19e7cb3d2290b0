"""The help of the commands: purpose, examples, exit codes, settings."""

from __future__ import annotations

import argparse
from dataclasses import fields
from textwrap import wrap
from typing import Any, NoReturn

from ti_core.text import shown

TOP = """\
examples:
  trojaninterpret inspect sample:cifar10-patch
  trojaninterpret inspect model.onnx --html report.html --json report.json
  trojaninterpret scan models/ --jsonl verdicts.jsonl --sarif findings.sarif

"trojaninterpret COMMAND --help" says more about a command.

exit codes: 0 clean, 1 backdoored, 2 error, 3 inconclusive, 130 stopped by Ctrl-C
environment: NO_COLOR=1 turns colours off, TROJANINTERPRET_CACHE names the folder of the cache,
TROJANINTERPRET_DEBUG=1 prints the traceback of an unforeseen error"""
INSPECTS = """\
Inspect one model. A confined process opens the file. The verdict, its reasons, and what was and was not looked for are
printed."""
INSPECT = """\
examples:
  trojaninterpret inspect model.safetensors
  trojaninterpret inspect model.pt --effort quick --html report.html
  trojaninterpret inspect model.onnx --images my_images/
  trojaninterpret inspect model.pt --file-only
  trojaninterpret inspect model.pt --sarif findings.sarif --attestation statement.json

exit codes: 0 clean, 1 backdoored, 2 error, 3 inconclusive"""
SCANS = """\
Inspect many models, each in a confined process of its own. A broken file does not stop the others. On a terminal a
table fills while the work goes on; elsewhere each report is printed as a line of JSON."""
SCAN = """\
examples:
  trojaninterpret scan models/ --jsonl verdicts.jsonl
  trojaninterpret scan models/ --jsonl verdicts.jsonl --html pages/ --sarif findings.sarif
  trojaninterpret scan models/ --fail-on backdoored --baseline last-week.jsonl --junit results.xml

exit codes: 0 all clean, 1 any backdoored, 2 some could not be inspected and none is backdoored,
3 the worst is inconclusive"""
SETTINGS = "settings of --set:"


class Parser(argparse.ArgumentParser):
    """A parser that keeps the lines of its help, and whose errors take one line, whatever the arguments hold.

    Attributes
    ----------
    lists_settings : whether the help ends with the list of settings.
    """

    lists_settings = False

    def __init__(self, **more: Any) -> None:
        super().__init__(**{"formatter_class": argparse.RawDescriptionHelpFormatter} | more)

    def error(self, message: str) -> NoReturn:
        super().error(shown(message, 2000))

    def format_help(self) -> str:
        text = super().format_help()
        return f"{text}\n{settings_help()}" if self.lists_settings else text


def settings_help() -> str:
    """Every setting with its default and its meaning. It is made only when it is asked for."""
    from ti_core.settings import Settings

    lines = [SETTINGS]
    for setting in fields(Settings):
        value = setting.default
        default = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        says = f"{setting.name}={default}  {setting.metadata['says']}"
        lines += wrap(says, 100, initial_indent="  ", subsequent_indent="      ")
    return "\n".join(lines) + "\n"
