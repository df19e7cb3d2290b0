"""Untrusted text is made safe to show: nothing that steers a terminal or turns a line round is left."""

from __future__ import annotations

import pytest

from ti_core.text import COMMAND, few, masked, plain, shown, with_a_command, without_controls

HOSTILE = "a\x1b[2Jb\u202ec\ud800d\ne"


def test_shown_spells_out_what_it_cannot_print_and_marks_the_cut() -> None:
    assert shown(HOSTILE) == "a\\x1b[2Jb\\u202ec\\ud800d\\ne"
    assert shown("x" * 9, 9) == "x" * 9 and shown("x" * 10, 9) == "x" * 9 + "..."


def test_without_controls_puts_spaces_and_keeps_lines_only_where_asked() -> None:
    assert without_controls(HOSTILE) == "a [2Jb c d e"
    assert without_controls(HOSTILE, lines=True) == "a [2Jb c d\ne"


def test_plain_is_never_longer_than_allowed() -> None:
    assert plain("x" * 9, 9) == "x" * 9 and plain("x" * 10, 9) == "x" * 8 + "…"
    assert plain(HOSTILE, 5) == "a [2…"


@pytest.mark.parametrize("text", ["ab\x00\u202ecd", "ab\x00\u202ecd".encode()], ids=["text", "bytes"])
def test_masked_puts_question_marks(text: str | bytes) -> None:
    assert masked(text, 100) == "ab??cd" and masked(text, 2) == "ab"


def test_masked_reads_damaged_bytes() -> None:
    assert masked(b"a\xffb", 10) == "a\ufffdb"


def test_few_counts_the_rest() -> None:
    assert few("abc") == "a, b, c" and few("abcde") == "a, b, c and 2 more"


def test_a_refusal_without_a_command_gets_that_of_the_file_report() -> None:
    message = with_a_command("The file is damaged.", "a b.pt")
    assert message.splitlines()[-1] == f"{COMMAND}python -m ti_core inspect 'a b.pt' --file-only"
    assert with_a_command(message, "other.pt") == message
