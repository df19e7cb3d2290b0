from __future__ import annotations

import io
import os
import stat
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from app.store.cases import CaseStore, OpenCases, home, kept_home
from tests.disks import fill
from ti_core.errors import CaseError
from ti_core.results.case import Case
from ti_core.settings import Settings


@pytest.fixture
def store(tmp_path: Path) -> CaseStore:
    return CaseStore(tmp_path)


def test_only_the_owner_can_enter_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "h").mkdir(mode=0o755)
    monkeypatch.setenv("TROJANINTERPRET_HOME", str(tmp_path / "h"))
    assert home() == tmp_path / "h" and stat.S_IMODE(home().stat().st_mode) == 0o700
    monkeypatch.delenv("TROJANINTERPRET_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert home() == tmp_path / "data" / "trojaninterpret" == kept_home()


def test_cases_of_a_user_without_a_home_are_kept_until_the_server_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("TROJANINTERPRET_HOME", raising=False)
    for nowhere in ("/dev/null/home", ""):
        monkeypatch.setenv("HOME", nowhere)
        assert kept_home() is None
        assert home() == home() and stat.S_IMODE(home().stat().st_mode) == 0o700
    monkeypatch.setenv("TROJANINTERPRET_HOME", "/dev/null/named")
    with pytest.raises(OSError, match="/dev/null"):
        home()


def test_cases_survive_a_restart(store: CaseStore, tiny_cases: dict[str, Case], tmp_path: Path) -> None:
    names = [store.keep(tiny_cases[k]) for k in ("clean", "patch")]
    entries = CaseStore(tmp_path).entries()
    assert {e.id for e in entries} == set(names)
    by_id = {e.id: e for e in entries}
    entry, report = by_id[names[1]], tiny_cases["patch"].report
    assert (entry.verdict, entry.sha256, entry.pack) == (report.verdict, report.model["sha256"], "bars")
    assert entry.changed == "" and entry.problem == "", "the pack's own settings"
    assert CaseStore(tmp_path).load(names[0]).report.model == tiny_cases["clean"].report.model


def test_settings_other_than_the_packs_own_are_listed(store: CaseStore, tiny_cases: dict[str, Case]) -> None:
    report = tiny_cases["clean"].report
    turned = {"bins": 5, "streams": ("saliency", "windowed")}
    for pack in (
        report.pack | {"changed_settings": {"bins": 8, "streams": ("saliency",)}},
        {k: v for k, v in report.pack.items() if k != "changed_settings"},
    ):
        changed = replace(report, pack=pack, settings=Settings().as_dict() | turned)
        name = store.keep(replace(tiny_cases["clean"], report=changed))
        entry = next(e for e in store.entries() if e.id == name)
        assert sorted(entry.changed.split("; ")) == ["bins 5", "streams saliency, windowed"]


def test_search_asks_for_every_word(store: CaseStore, tiny_cases: dict[str, Case]) -> None:
    store.keep(tiny_cases["clean"])
    (entry,) = store.entries()
    assert (
        entry.matches("")
        and entry.matches("BARS-clean safetensors")
        and not entry.matches("bars-clean zebra")
    )


def test_a_damaged_case_is_listed_with_its_reason_and_can_be_deleted(
    store: CaseStore, tiny_cases: dict[str, Case]
) -> None:
    good, bad = store.keep(tiny_cases["clean"]), store.keep(tiny_cases["patch"])
    (store.folder / bad / "case.json").write_text("{")
    store = CaseStore(store.folder.parent)
    problems = {e.id: e.problem for e in store.entries()}
    assert problems[good] == "" and "inspect the model again" in problems[bad]
    with pytest.raises(CaseError):
        store.load(bad)
    store.delete(bad)
    assert [e.id for e in store.entries()] == [good]


@pytest.mark.parametrize("name", ["../../etc", "", "20260101-000000-abc", "a/b"])
def test_no_name_leads_out_of_the_folder(store: CaseStore, name: str) -> None:
    for action in (store.load, store.delete):
        with pytest.raises(CaseError, match="no such case"):
            action(name)


def test_export_is_what_lies_on_the_disk(store: CaseStore, tiny_cases: dict[str, Case]) -> None:
    name = store.keep(tiny_cases["blend"])
    with zipfile.ZipFile(io.BytesIO(store.export([name]))) as archive:
        assert sorted(archive.namelist()) == [f"{name}/case.json", f"{name}/case.safetensors"]
        assert archive.read(f"{name}/case.json") == (store.folder / name / "case.json").read_bytes()


def test_a_half_written_case_is_not_listed(store: CaseStore, tiny_cases: dict[str, Case]) -> None:
    name = store.keep(tiny_cases["clean"])
    (store.folder / name).rename(store.folder / f".{name}.part")
    assert store.entries() == []


def test_a_full_disk_loses_no_case_and_leaves_no_half_one(
    small_disk: Path, tiny_cases: dict[str, Case]
) -> None:
    store = CaseStore(small_disk)
    name = store.keep(tiny_cases["clean"])
    ballast = fill(small_disk)
    with pytest.raises(OSError, match="No space left"):
        store.keep(tiny_cases["patch"])
    assert [p.name for p in store.folder.iterdir()] == [name]
    assert CaseStore(small_disk).load(name).report.model == tiny_cases["clean"].report.model
    ballast.unlink()
    assert store.load(store.keep(tiny_cases["patch"])).finished


def test_what_a_killed_server_half_wrote_is_removed_in_time(
    store: CaseStore, tiny_cases: dict[str, Case], tmp_path: Path
) -> None:
    name = store.keep(tiny_cases["clean"])
    for left in (".old.part", ".old.gone", ".young.part"):
        (store.folder / left).mkdir()
        (store.folder / left / "case.json").write_text("{")
    for left in (".old.part", ".old.gone"):
        os.utime(store.folder / left, (0, 0))
    CaseStore(tmp_path)
    assert {p.name for p in store.folder.iterdir()} == {name, ".young.part"}


def test_a_folder_that_was_removed_is_an_empty_list(store: CaseStore, tiny_cases: dict[str, Case]) -> None:
    store.folder.rmdir()
    assert store.entries() == []
    assert [e.id for e in store.entries()] == [] and store.keep(tiny_cases["clean"])
    assert len(store.entries()) == 1


def test_opened_cases_hold_no_more_than_they_may(store: CaseStore, tiny_cases: dict[str, Case]) -> None:
    names = [store.keep(tiny_cases["clean"]) for _ in range(4)]
    weight = sum(a.nbytes for a in store.load(names[0]).arrays.values())
    opened = OpenCases(store, most=2 * weight)
    first = opened.get(names[0])
    assert opened.get(names[0]) is first
    for name in names[1:]:
        opened.get(name)
    assert list(opened._cases) == names[2:]
    assert opened.get(names[0]).report == first.report and opened.get(names[0]) is not first
    alone = OpenCases(store, most=0)
    assert alone.get(names[1]) is alone.get(names[1])
    store.delete(names[1])
    alone.forget(names[1])
    with pytest.raises(CaseError):
        alone.get(names[1])
