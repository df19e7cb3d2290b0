"""The folder of models that the server's operator allows: what is listed and opened lies in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.store import served as module
from app.store.served import SETTING, Served, served
from tests.app.conftest import Worker
from tests.app.test_pages import page, settled, texts
from tests.loading.hub.folders import other_library
from ti_core.errors import ModelFileError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "models"
    (made / "team").mkdir(parents=True)
    (made / "a.pt").write_bytes(b"a")
    (made / "team" / "b.safetensors").write_bytes(b"b")
    (made / "team" / "notes.txt").write_bytes(b"no model")
    (made / ".hidden.pt").write_bytes(b"hidden")
    (tmp_path / "secret.pt").write_bytes(b"secret")
    return made


def test_models_are_listed_by_their_paths(folder: Path) -> None:
    other_library(folder / "hub")
    assert Served(folder).names() == ["a.pt", "hub", "team/b.safetensors"]
    source = Served(folder).source("team/b.safetensors")
    assert (source.name, source.path) == ("b.safetensors", folder / "team" / "b.safetensors")
    assert Served(folder).source("hub").path.is_dir()


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../secret.pt",
        "team/../../secret.pt",
        "team",
        "missing.pt",
        "a.pt\0",
        "a.pt/..",
        "/etc/passwd",
    ],
)
def test_nothing_else_is_opened(folder: Path, name: str) -> None:
    with pytest.raises(ModelFileError, match="There is no model"):
        Served(folder).source(name)


def test_an_absolute_path_outside_is_no_model(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError):
        Served(folder).source(str(tmp_path / "secret.pt"))


def test_links_out_of_the_folder_are_neither_listed_nor_opened(folder: Path, tmp_path: Path) -> None:
    (folder / "out.pt").symlink_to(tmp_path / "secret.pt")
    (folder / "up").symlink_to(tmp_path)
    (folder / "loop").symlink_to(folder)
    (folder / "inside.pt").symlink_to(folder / "team" / "b.safetensors")
    other_library(folder / "hub")
    weights = folder / "hub" / "model.safetensors"
    weights.rename(tmp_path / "elsewhere.safetensors")
    weights.symlink_to(tmp_path / "elsewhere.safetensors")
    assert Served(folder).names() == ["a.pt", "inside.pt", "team/b.safetensors"]
    for name in ("out.pt", "up/secret.pt", "hub", "up"):
        with pytest.raises(ModelFileError):
            Served(folder).source(name)
    # What a link inside the folder leads to is opened by its own path.
    assert Served(folder).source("inside.pt").path == folder / "team" / "b.safetensors"


def test_the_folder_may_itself_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert Served(tmp_path / "link").names() == ["a.pt", "team/b.safetensors"]


def test_the_list_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        (folder / f"m{number:02}.pt").write_bytes(b"m")
    monkeypatch.setattr(module, "MOST", 5)
    assert len(Served(folder).names()) == 5
    monkeypatch.setattr(module, "MOST_LOOKED_AT", 3)
    assert len(Served(folder).names()) <= 3
    deep = folder.joinpath(*["d"] * 9)
    deep.mkdir(parents=True)
    (deep / "m.pt").write_bytes(b"m")
    monkeypatch.undo()
    assert not any(name.startswith("d/") for name in Served(folder).names())


def test_a_model_is_found_again_by_name_and_content(folder: Path) -> None:
    source = Served(folder).source("team/b.safetensors")
    assert Served(folder).find(source.digest, "b.safetensors") == source
    assert Served(folder).find("0" * 64, "b.safetensors") is None
    before = source.digest
    (folder / "team" / "b.safetensors").write_bytes(b"changed")
    assert Served(folder).find(before, "b.safetensors") is None


def test_without_the_setting_or_the_folder_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SETTING, raising=False)
    assert served() is None
    monkeypatch.setenv(SETTING, str(tmp_path / "missing"))
    assert served() is None


def test_a_model_of_the_folder_is_inspected_where_it_lies(
    dashboard: Worker, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SETTING, str(folder))
    app = page().run()
    choice = app.selectbox(key="offered")
    assert choice.options == ["a.pt", "team/b.safetensors"] and "2 GB" in choice.help
    choice.select("team/b.safetensors").run()
    app.button(key="inspect").click().run()
    app = settled(app, dashboard)
    assert not app.exception
    assert dashboard.requests[-1]["model"] == str(folder / "team" / "b.safetensors")
    assert (folder / "team" / "b.safetensors").is_file()


def test_a_model_that_is_gone_meanwhile_is_a_sentence(
    dashboard: Worker, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SETTING, str(folder))
    app = page().run()
    app.selectbox(key="offered").select("a.pt").run()
    (folder / "a.pt").unlink()
    monkeypatch.setattr(Served, "names", lambda _: ["a.pt"])
    app.button(key="inspect").click().run()
    assert not app.exception and "There is no model" in texts(app)
