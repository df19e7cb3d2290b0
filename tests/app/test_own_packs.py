"""A pack of the user's own on the page of the packs: opened in the real worker, kept, listed and chosen."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import state
from app.sections.packs import adding
from tests.app.conftest import Worker
from tests.app.test_pages import page, settled, texts
from ti_core.reference.pack import Pack, load_pack

PACK, PACKS = state.pack, state.packs


@pytest.fixture(autouse=True)
def kept(dashboard: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of added packs. No pack is bundled."""
    monkeypatch.setenv("TROJANINTERPRET_PACKS", str(tmp_path / "packs"))
    monkeypatch.setattr(state, "pack_names", lambda: [])
    monkeypatch.setattr(state, "pack", PACK)
    monkeypatch.setattr(state, "packs", PACKS)
    return tmp_path / "packs"


def shown() -> AppTest:
    def script() -> None:
        from app.views import packs

        packs.page()

    return AppTest.from_function(script, default_timeout=120).run()


def added(archive: bytes, digest: str = "") -> AppTest:
    app = shown()
    app.get("file_uploader")[0].set_value([("mine.zip", archive, "application/zip")]).run()
    app.text_input(key="packs.digest").set_value(digest).run()
    return app.button(key="packs.add").click().run()


def test_an_archive_is_added_listed_and_chosen(
    tiny_pack: Pack, kept: Path, tmp_path: Path, dashboard: Worker
) -> None:
    archive = shutil.make_archive(str(tmp_path / "a"), "zip", tiny_pack.folder.parent, tiny_pack.folder.name)
    content = Path(archive).read_bytes()
    refused = added(content, "0" * 64)
    assert "not the one that you gave" in texts(refused) and not kept.exists()
    app = added(content, tiny_pack.sha256)
    assert not app.exception and "is stored" in app.success[0].value
    assert "--pack" not in app.success[0].value.replace("\\", "")
    assert load_pack("bars").folder == kept / "bars" and state.packs() == ["bars"]
    assert tiny_pack.sha256[:16] in texts(app)
    again = added(content)
    assert "Remove its folder" in texts(again) and "--name" not in texts(again).replace("\\", "")
    inspecting = page().run()
    assert "bars" in inspecting.selectbox(key="pack").options
    inspecting.selectbox(key="pack").set_value("bars").run()
    inspecting.button(key="sample.bars.clean").click().run()
    settled(inspecting, dashboard)
    assert dashboard.requests[0]["pack"] == str((kept / "bars").absolute())


def test_what_is_no_pack_is_refused_with_a_sentence(kept: Path) -> None:
    app = added(b"no archive")
    assert not app.exception and "pack.zip" in texts(app).replace("\\", "") and not kept.exists()
    assert not list((state.desk().work).glob("*.attached")) and app.warning


def test_without_a_folder_or_with_too_many_packs_the_page_says_so(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adding, "packs_folder", lambda: None)
    assert "TROJANINTERPRET" in texts(shown())
    monkeypatch.undo()
    monkeypatch.setattr(adding, "added_packs", lambda: ["p"] * adding.MOST)
    assert f"{adding.MOST} packs were added already" in texts(shown())
