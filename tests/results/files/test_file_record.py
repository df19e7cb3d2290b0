"""A description of a file that a hostile process wrote: every wrong type is one sentence."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.worker import hostile
from ti_core.cli.main import main
from ti_core.errors import CaseError
from ti_core.loading import describe_file
from ti_core.results.case import Case
from ti_core.results.case_files import load_case, save_case
from ti_core.results.files.file_record import as_card, check_description
from ti_core.worker import tasks

DIGEST = "0" * 64
VALID: dict[str, Any] = {
    "file": "m.pt",
    "format": "checkpoint of PyTorch",
    "sha256": DIGEST,
    "size": 9,
    "severity": "fine",
    "is_safe": True,
    "opens": True,
    "members": [{"name": "data.pkl", "size": 5, "stored": 5}],
    "tensors": [{"name": "w", "shape": [2, 3], "dtype": "float32"}],
    "globals": [{"name": "os.system", "severity": "malicious", "sentence": "It runs code."}],
    "findings": [{"severity": "unusual", "sentence": "It is odd."}],
    "sentences": ["m.pt is a file."],
}
WRONG = (None, True, -1.5, "text", [[]], {"a": 1}, [1, {"b": None}])


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to each value in a record."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*path, key))


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    record = copy.deepcopy(VALID)
    group: Any = record
    for key in path[:-1]:
        group = group[key]
    group[path[-1]] = value
    return record


def test_the_record_of_a_real_file_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    path.write_bytes(b"\x80\x02cos\nsystem\n.")
    report = describe_file(path)
    check_description(json.loads(json.dumps(report.as_dict() | {"sentences": report.sentences()})))
    assert as_card({}) == {} and as_card(report.as_dict() | {"tensors_total": 0}) != {}


@pytest.mark.parametrize("path", list(places(VALID)), ids=lambda path: ".".join(map(str, path)))
def test_every_value_of_another_type_is_one_sentence(path: tuple[Any, ...]) -> None:
    check_description(VALID)
    here: Any = VALID
    for key in path:
        here = here[key]
    words = isinstance(here, str) and "severity" not in path and "sha256" not in path
    for wrong in WRONG:
        if (words and isinstance(wrong, str)) or (isinstance(here, bool) and isinstance(wrong, bool)):
            continue
        with pytest.raises(ValueError) as error:
            check_description(changed(path, wrong))
        assert str(error.value).startswith(str(path[0])) and str(error.value).endswith(".")


@pytest.mark.parametrize("name", VALID)
def test_a_missing_and_an_unknown_field_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is missing"):
        check_description({k: v for k, v in VALID.items() if k != name})
    with pytest.raises(ValueError, match="more is unknown"):
        check_description(VALID | {"more": 1})


@pytest.mark.parametrize(
    "text",
    [
        *('{"sentences": 5, "opens": true}', '{"sentences": [[1]], "opens": 1}', "[]", "5", "null"),
        *(json.dumps(changed(("opens",), "yes")), json.dumps(changed(("sentences",), None))),
        *('{"a": 1, "a": 2}', "[" * 50_000, "\udcff", "9" * 5000),
    ],
    ids=range(11),
)
def test_file_only_answers_with_a_sentence(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker is taken over, and leaves this as ``file.json``."""
    monkeypatch.setitem(tasks.TASKS, "describe", tasks.Task(hostile.describe_as_told))
    (tmp_path / "model").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert main(["inspect", str(tmp_path / "model"), "--file-only", "--json", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and said.err.startswith("trojaninterpret: The ")
    assert not (tmp_path / "out").exists()


def test_a_valid_description_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(tasks.TASKS, "describe", tasks.Task(hostile.describe_as_told))
    (tmp_path / "model").write_text(json.dumps(VALID))
    assert main(["inspect", str(tmp_path / "model"), "--file-only"]) == 0
    assert capsys.readouterr().out == "m.pt is a file.\n"


@pytest.mark.parametrize(
    ("path", "wrong"),
    [(("size",), "9"), (("tensors", 0, "shape"), 5), (("tensors",), [1]), (("format",), ["x"])],
)
def test_a_case_with_a_description_of_other_types_is_refused(
    path: tuple[Any, ...], wrong: Any, tmp_path: Path, tiny_cases: dict[str, Case]
) -> None:
    save_case(tiny_cases["patch"], tmp_path)
    record = json.loads((tmp_path / "case.json").read_text())
    group: Any = record["file"]
    for key in path[:-1]:
        group = group[key]
    group[path[-1]] = wrong
    (tmp_path / "case.json").write_text(json.dumps(record))
    with pytest.raises(CaseError, match=rf"file is not valid: {path[0]}"):
        load_case(tmp_path)
