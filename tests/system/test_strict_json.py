from __future__ import annotations

import pytest

from ti_core.system.strict_json import TwiceError, parse


def test_plain_json_is_read() -> None:
    assert parse(b'{"a": [1, 2.5, null, true, "\xc3\xa9"], "b": {"a": 1}}') == {
        "a": [1, 2.5, None, True, "é"],
        "b": {"a": 1},
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        b"\xff\xfe",
        "[" * 200_000,
        '{"a":' * 200_000,
        "NaN",
        "[-Infinity]",
        "1e999",
        "[" + "9" * 5000 + "]",
        '{"a": 1, "b": {"c": 1, "c": 1}}',
    ],
)
def test_every_fault_is_one_kind_of_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse(text)


def test_a_name_twice_is_said_and_made_fit_to_show() -> None:
    with pytest.raises(TwiceError, match=r"'a\\x1b' stands twice"):
        parse('{"a\\u001b": 1, "a\\u001b": 2}')
