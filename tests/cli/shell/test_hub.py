"""A model on a hub, with a hub that is made up: which files are fetched, and what is said where none can be."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from ti_core.cli.main import main
from ti_core.cli.shell import hub
from ti_core.errors import ModelFileError, SettingsError

COMMIT = "a" * 40
FILES = ("config.json", "model.safetensors", "pytorch_model.bin", "modeling_evil.py", "sub/model.safetensors")


class Hub(ModuleType):
    """The package, as far as it is used. ``asked`` keeps what it was asked."""

    def __init__(self, files: tuple[str, ...] = FILES, fault: str = "") -> None:
        super().__init__("huggingface_hub")
        self.files, self.fault, self.asked = files, fault, list[Any]()

    def HfApi(self) -> Hub:  # noqa: N802
        return self

    def model_info(self, name: str, revision: str | None) -> Any:
        self.asked.append((name, revision))
        if self.fault:
            raise type(self.fault, (OSError,), {})("secret")
        return SimpleNamespace(sha=COMMIT, siblings=[SimpleNamespace(rfilename=file) for file in self.files])

    def snapshot_download(self, name: str, revision: str, local_dir: Path, allow_patterns: list[str]) -> str:
        self.asked.append((name, revision, sorted(allow_patterns)))
        for file in allow_patterns:
            (local_dir / file).write_text("{}")
        return str(local_dir)


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> Hub:
    made = Hub()
    monkeypatch.setitem(sys.modules, "huggingface_hub", made)
    monkeypatch.setattr(hub, "find_spec", lambda name: object())
    return made


def test_the_chosen_files_of_one_commit_are_fetched_once_and_no_code(online: Hub) -> None:
    folder, said = hub.fetched(Path("hf://owner/name@main"))
    assert online.asked == [
        ("owner/name", "main"),
        ("owner/name", COMMIT, ["config.json", "model.safetensors"]),
    ]
    assert {p.name for p in folder.iterdir()} == {"config.json", "model.safetensors"}
    assert said == f"owner/name at commit {COMMIT}: 2 files." and folder.name == COMMIT
    again, _ = hub.fetched(Path("hf://owner/name"))
    assert again == folder and len(online.asked) == 3, "the commit's files are there already"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("RepositoryNotFoundError", "The hub has no model o/n"),
        ("RevisionNotFoundError", "no revision at v9; name a branch"),
        ("ConnectError", r"o/n at v9 cannot be fetched from the hub \(ConnectError\); check the connection"),
    ],
)
def test_what_cannot_be_fetched_is_said_in_a_sentence(online: Hub, fault: str, words: str) -> None:
    online.fault = fault
    with pytest.raises(SettingsError, match=words) as raised:
        hub.fetched(Path("hf://o/n@v9"))
    assert "secret" not in str(raised.value)


def test_a_repository_without_a_model_and_a_name_that_is_none(online: Hub) -> None:
    online.files = ("README.md",)
    with pytest.raises(ModelFileError, match=r"o/n at aaaaaaaaaaaa: .*config.json"):
        hub.fetched(Path("hf://o/n"))
    for name in ("hf://o", "hf://o/n/p", "hf://o/n@", "hf://../n", "hf://o/n@a b"):
        with pytest.raises((SettingsError, ModelFileError)):
            hub.fetched(Path(name))


def test_without_the_package_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hub, "find_spec", lambda name: None)
    assert main(["inspect", "hf://o/n"]) == 2
    assert "pip install 'trojaninterpret[hub]'" in capsys.readouterr().err
