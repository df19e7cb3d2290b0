"""Many models, each in a process of its own: what is written, passed over and gone on with."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_main import QUICK
from tests.inspection.test_with_pack import as_file
from ti_core.cli.main import main
from ti_core.errors import SettingsError
from ti_core.loading.digest import digest_of
from ti_core.reference import known
from ti_core.reference.pack import Pack
from ti_core.scan.ledger import known_lines
from ti_core.scan.scan import Scan, model_files
from ti_core.settings import Settings
from ti_core.worker import Limits
from ti_core.worker.inspection_job import for_model
from ti_core.worker.request import InspectionRequest


def scan(folder: Path, out: Path, pack: Pack, *more: str) -> tuple[int, list[dict[str, Any]]]:
    code = main(["scan", str(folder), "--pack", str(pack.folder), "--jsonl", str(out), *QUICK, *more])
    return code, [json.loads(line) for line in out.read_text().splitlines()]


@pytest.fixture
def folder(tiny_pack: Pack, tmp_path: Path) -> Path:
    models = tmp_path / "models"
    models.mkdir()
    for member in tiny_pack.members[:2]:
        as_file(tiny_pack, member, models)
    (models / "broken.pt").write_bytes(b"PK\x03\x04 not a zip")
    return models


def test_what_is_in_the_file_already_is_passed_over(folder: Path, tiny_pack: Pack, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    code, first = scan(folder, out, tiny_pack)
    assert len(first) == 3 and code in (1, 2)
    assert {line.get("looked_for") for line in first} == {None, "patch, blend: all to one"}
    again_code, again = scan(folder, out, tiny_pack)
    assert again == first and again_code == code
    kept = first[0]["file"]
    lines = [line for line in out.read_text().splitlines() if json.loads(line)["file"] == kept]
    # A kill in the midst of a line.
    out.write_text(lines[0] + "\n" + '{"file": "half')
    _, resumed = scan(folder, out, tiny_pack, "--jobs", "2")
    assert sorted(r["file"] for r in resumed) == sorted(r["file"] for r in first)
    assert resumed[0]["file"] == kept


def test_another_file_or_setting_is_inspected_anew(folder: Path, tiny_pack: Pack, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    for path in folder.glob("*.safetensors"):
        path.unlink()
    _, first = scan(folder, out, tiny_pack)
    assert len(first) == 1 and first[0]["sha256"]
    (folder / "broken.pt").write_bytes(b"PK\x03\x04 something else")
    _, second = scan(folder, out, tiny_pack)
    assert len(second) == 2 and second[1]["sha256"] != first[0]["sha256"]
    _, third = scan(folder, out, tiny_pack, "--set", "seed=1")
    assert len(third) == 3
    _, fourth = scan(folder, out, tiny_pack)
    assert len(fourth) == 3


def test_a_setting_named_that_is_the_packs_anyway_is_the_same_work(tiny_pack: Pack, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    as_file(tiny_pack, tiny_pack.members[0], folder)
    out = tmp_path / "out.jsonl"
    _, first = scan(folder, out, tiny_pack)
    _, again = scan(folder, out, tiny_pack, "--set", f"bins={tiny_pack.settings.bins}")
    assert again == first and Settings.parse(first[0]["settings"]).bins == tiny_pack.settings.bins
    _, other = scan(folder, out, tiny_pack, "--set", f"bins={tiny_pack.settings.bins + 1}")
    assert len(other) == 2


def test_a_killed_scan_goes_on(folder: Path, tiny_pack: Pack, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    arguments = ["scan", str(folder), "--pack", str(tiny_pack.folder), "--jsonl", str(out), *QUICK]
    process = subprocess.Popen([sys.executable, "-m", "ti_core", *arguments])
    end = time.monotonic() + 120
    while time.monotonic() < end and not (out.exists() and out.read_bytes().count(b"\n")):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = out.read_text().splitlines()
    _, lines = scan(folder, out, tiny_pack)
    assert len(lines) == 3 and json.loads(before[0]) == lines[0]


def test_a_file_that_is_no_output_of_scan_is_left_alone(
    folder: Path, tiny_pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "notes.txt"
    out.write_text("my notes\n")
    arguments = ["scan", str(folder), "--pack", str(tiny_pack.folder), "--jsonl", str(out), *QUICK]
    assert main(arguments) == 2
    assert "is no output of scan" in capsys.readouterr().err and out.read_text() == "my notes\n"
    with pytest.raises(SettingsError):
        list(known_lines(out))


def test_every_model_file_once_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("a/x.pt", "a/y.ONNX", "a/z.txt", "a/model.onnx.data", "w.safetensors"):
        (tmp_path / name).write_bytes(b"")
    named = tmp_path / "a" / "z.txt"
    found = model_files([tmp_path, tmp_path / "a" / "x.pt", named])
    assert [p.name for p in found] == ["x.pt", "y.ONNX", "w.safetensors", "z.txt"]


def test_a_file_that_takes_too_much_is_a_line_and_the_scan_goes_on(folder: Path, tiny_pack: Pack) -> None:
    files = sorted(folder.glob("*"))
    request = InspectionRequest(pack=str(tiny_pack.folder), settings=Settings().as_dict())
    lines = list(Scan(files, request, 2, Limits(wall_seconds=0.05)).lines())
    assert len(lines) == 3 and all("error" in line for line in lines)


def test_what_one_model_could_write_no_other_reads(
    folder: Path, tiny_pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a cache of its own, but where the reference models' evidence must be computed and shared."""
    monkeypatch.setitem(known.KNOWN, "bars", tiny_pack.sha256)
    request = InspectionRequest(pack=str(tiny_pack.folder), cache="/caches")

    def caches(asked: dict[str, Any], pack: str | None = request.pack) -> tuple[str, str]:
        whole = request.with_(settings=asked, pack=pack)
        return tuple(for_model(whole, folder / name, digest).cache for name, digest in ("x1", "y2"))

    own = ("/caches/models/1", "/caches/models/2")
    same_as_the_packs = {"images": tiny_pack.settings.images, "bins": 9}
    assert caches({}) == caches(same_as_the_packs) == caches({"bins": 9}) == own
    one, other = caches({"seed": 1})
    assert one == other and one.startswith("/caches/settings/")
    # With no pack named it may become any of the bundled ones, none of which has this seed.
    assert len(set(caches({"seed": 1}, None))) == 1 and caches({"seed": 1}, "nowhere") == own
    assert for_model(request.with_(cache=None), folder / "x", "1").cache is None
    # What a pack could write that does not come with the program, only inspections with that pack read.
    monkeypatch.delitem(known.KNOWN, "bars")
    assert caches({}) == tuple(f"/caches/packs/{tiny_pack.sha256}/models/{digest}" for digest in "12")


def test_the_digest_covers_weights_beside_a_graph(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"graph")
    alone = digest_of(path)
    assert alone == hashlib.sha256(b"graph").hexdigest()
    (tmp_path / "m.onnx.data").write_bytes(b"weights")
    assert digest_of(path) == hashlib.sha256(b"graphweights").hexdigest()


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is an optional extra")
def test_on_a_ray_cluster(folder: Path, tiny_pack: Pack, tmp_path: Path) -> None:
    """The lines are the same wherever they are made, also where something imported Ray with its defaults before."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray  # noqa: F401
    out = tmp_path / "there.jsonl"
    # Without a cache, so that both have everything to compute.
    _, here = scan(folder, tmp_path / "here.jsonl", tiny_pack, "--no-cache")
    _, there = scan(folder, out, tiny_pack, "--no-cache", "--engine", "ray", "--jobs", "2")
    by_file = [{line["file"]: line for line in lines} for lines in (here, there)]
    assert by_file[0].keys() == by_file[1].keys() and len(there) == len(here) == 3
    for file, line in by_file[0].items():
        other = by_file[1][file]
        assert line.keys() == other.keys()
        assert [key for key in line if key != "timings" and line[key] != other[key]] == []
    # A kill in the midst of a line: what is there is not made anew.
    out.write_text(json.dumps(there[0]) + "\n" + '{"file": "half')
    _, again = scan(folder, out, tiny_pack, "--engine", "ray", "--jobs", "2")
    assert again[0] == there[0] and len(again) == len(there)


def test_checkpoints_by_the_names_that_old_training_scripts_give_them(tmp_path: Path) -> None:
    for name in ("model_best.pth.tar", "ckpt.t7", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert [path.name for path in model_files([tmp_path])] == ["ckpt.t7", "model_best.pth.tar"]
