from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.cli.quick import QUICK
from tests.inspection.test_with_pack import KEYS, as_file, member
from ti_core.architectures import build
from ti_core.cli.main import main
from ti_core.reference.pack import Pack
from ti_core.settings import Settings
from ti_core.zoo.plan.colour import plan_for
from ti_core.zoo.plan.draw import Recipe
from ti_core.zoo.training.data import load_data
from ti_core.zoo.training.members import keep_member
from ti_core.zoo.training.single import Trained


@pytest.fixture
def model(tiny_pack: Pack, tmp_path: Path) -> Path:
    return as_file(tiny_pack, member(tiny_pack, "clean"), tmp_path)


def test_help_and_typing_errors_answer_without_torch() -> None:
    code = "import sys; from ti_core.cli.main import parser; parser().format_help(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
    with pytest.raises(SystemExit) as stopped:
        main(["inspcet", "x"])
    assert stopped.value.code == 2


def test_inspect_writes_the_report_and_exits_by_the_verdict(
    model: Path, tiny_pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, page = tmp_path / "r" / "report.json", tmp_path / "report.html"
    code = main(
        [
            "inspect",
            str(model),
            "--pack",
            str(tiny_pack.folder),
            "--json",
            str(out),
            "--html",
            str(page),
            *QUICK,
        ]
    )
    report = json.loads(out.read_text())
    assert set(report) == KEYS | {"seal"} and report["schema_version"] == 2
    assert code == {"clean": 0, "backdoored": 1, "inconclusive": 3}[report["verdict"]]
    assert report["settings"]["images"] == 8 and report["settings"]["streams"] == ["saliency"]
    assert page.read_text().startswith("<!doctype html>")
    printed = capsys.readouterr()
    assert model.name in printed.out and printed.err == ""


def test_a_model_is_inspected_with_the_settings_of_its_pack(
    model: Path, tiny_pack: Pack, tiny_settings: Settings, tmp_path: Path
) -> None:
    """And so from the pack's own evidence and detectors; what --set names comes on top."""
    out = tmp_path / "report.json"
    arguments = ["inspect", str(model), "--pack", str(tiny_pack.folder), "--json", str(out)]
    assert main([*arguments, "--set", "bins=10"]) in (0, 1, 3)
    report = json.loads(out.read_text())
    assert Settings.parse(report["settings"]) == tiny_settings.with_(bins=10)
    assert {report["cache"][f"{name} reference"] for name in tiny_settings.streams} == {"baseline"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "quantiles=1.5"], "Setting quantiles cannot be 1.5"),
        (["--set", "quantiles="], "Setting quantiles is empty"),
        (["--set", "images=0"], "Setting images cannot be 0"),
        (["--set", "colour=blue"], "Setting 'colour' is unknown"),
        (["--set", "bins"], "--set takes KEY=VALUE"),
        (["--set", "normalisation=sunny"], "Normalisation 'sunny' is unknown"),
        (["--pack", "nowhere"], "There is no reference pack 'nowhere'"),
    ],
)
def test_a_wrong_setting_is_one_sentence_and_exit_code_2(
    model: Path, tiny_pack: Pack, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = [] if "--pack" in arguments else ["--pack", str(tiny_pack.folder)]
    assert main(["inspect", str(model), *pack, *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error and "Traceback" not in error and len(error.strip().splitlines()) == 1


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _truncated(path: Path) -> None:
    torch.save({"layers.1.weight": torch.zeros(4, 144)}, path)
    path.write_bytes(path.read_bytes()[:-200])


def _legacy(path: Path) -> None:
    torch.save({"w": torch.zeros(1)}, path, _use_new_zipfile_serialization=False)


def _nan(path: Path) -> None:
    weights = {"layers.1.weight": torch.full((4, 144), float("nan")), "layers.1.bias": torch.zeros(4)}
    torch.save(weights, path)


def _three_channels(path: Path) -> None:
    weights = {"conv1.weight": torch.zeros(6, 3, 5, 5), "conv1.bias": torch.zeros(6)}
    weights |= {"conv2.weight": torch.zeros(16, 6, 5, 5), "conv2.bias": torch.zeros(16)}
    weights |= {"fc1.weight": torch.zeros(120, 400), "fc1.bias": torch.zeros(120)}
    weights |= {"fc2.weight": torch.zeros(84, 120), "fc2.bias": torch.zeros(84)}
    weights |= {"fc3.weight": torch.zeros(4, 84), "fc3.bias": torch.zeros(4)}
    torch.save(weights, path)


def _three_classes(path: Path) -> None:
    torch.save({"layers.1.weight": torch.zeros(3, 144), "layers.1.bias": torch.zeros(3)}, path)


@pytest.mark.parametrize("make", [_empty, _truncated, _legacy, _nan, _three_channels, _three_classes])
def test_a_bad_file_is_one_sentence_and_exit_code_2(
    make: object, tiny_pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.pt"
    make(path)  # type: ignore[operator]
    assert main(["inspect", str(path), "--pack", str(tiny_pack.folder), *QUICK]) == 2
    error = capsys.readouterr().err
    assert error.startswith("trojaninterpret: ") and "Traceback" not in error
    assert len(error) < 900


def test_a_file_that_is_not_there(
    tiny_pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(tmp_path / "none.pt"), "--pack", str(tiny_pack.folder)]) == 2
    assert "none.pt" in capsys.readouterr().err


def test_a_cache_that_cannot_be_used_is_said_and_does_no_harm(
    model: Path,
    tiny_pack: Pack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TROJANINTERPRET_CACHE", str(tmp_path / "file" / "cache"))
    assert main(["inspect", str(model), "--pack", str(tiny_pack.folder), *QUICK]) in (0, 1, 3)
    assert "everything is computed anew" in capsys.readouterr().err


def test_scan_goes_on_past_broken_files_and_passes_over_others(
    tiny_pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    good = [as_file(tiny_pack, m, folder) for m in tiny_pack.members[:2]]
    (folder / "broken.pt").write_bytes(b"PK\x03\x04 not a zip")
    (folder / "notes.txt").write_text("not a model")
    lines = tmp_path / "out.jsonl"
    code = main(["scan", str(folder), "--pack", str(tiny_pack.folder), "--jsonl", str(lines), *QUICK])
    reports = [json.loads(line) for line in lines.read_text().splitlines()]
    assert sorted(Path(r["file"]).name for r in reports) == sorted(["broken.pt", *(p.name for p in good)])
    (broken,) = [r for r in reports if "error" in r]
    assert Path(broken["file"]).name == "broken.pt"
    verdicts = {r["verdict"] for r in reports if "verdict" in r}
    assert code == (1 if "backdoored" in verdicts else 2)
    assert main(["scan", str(good[0]), "--pack", str(tiny_pack.folder), *QUICK]) in (0, 1, 3)
    assert json.loads(capsys.readouterr().out.strip().splitlines()[-1])["schema_version"] == 2


def test_pack_info_verify_and_evaluate(
    tiny_pack: Pack, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = str(tiny_pack.folder)
    assert main(["pack", "info", folder]) == 0
    assert tiny_pack.sha256 in capsys.readouterr().out
    assert main(["pack", "verify", folder, "--members", "2"]) == 0
    assert "verifies" in capsys.readouterr().out
    assert main(["evaluate", "--pack", folder, "--json", str(tmp_path / "e.json")]) == 0
    assert "95 % interval" in capsys.readouterr().out
    assert json.loads((tmp_path / "e.json").read_text())[0]["auc"] >= 0


def test_zoo_train_and_pack_build_make_a_pack(
    tmp_path: Path, tiny_zoo: Path, tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pack"
    quick = ["--set", "streams=saliency", "--set", "images=4", "--set", "patch_size=4"]
    arguments = ["--zoo", str(tiny_zoo), "--data", str(tiny_data), "--out", str(out), "--jobs", "1", *quick]
    assert main(["pack", "build", *arguments]) == 0
    assert "members in" in capsys.readouterr().out
    assert main(["pack", "verify", str(out), "--members", "1"]) == 0


def test_zoo_train_begins_with_the_networks_of_a_folder(
    tmp_path: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = load_data(tiny_data)
    base = plan_for(data.name, 8, data.image_shape, data.classes, 1, "bases")[0]
    there, out = tmp_path / "other", tmp_path / "zoo"
    there.mkdir()
    network = build(base.architecture, **base.options)
    keep_member(base, base, Trained(network.state_dict(), 0.9, None), 1, there)
    planned: list[Recipe] = []
    monkeypatch.setattr(
        "ti_core.zoo.training.members.train_zoo", lambda *_, recipes, **__: planned.extend(recipes) or []
    )
    arguments = ["zoo", "train", "--data", str(tiny_data), "--out", str(out), "--count", "8", "--seed", "1"]
    assert main([*arguments, "--way", "bases", "--begin-with", str(there)]) == 0
    assert [r.begun_from for r in planned] == ["other/base-000", *(None,) * 8]
    assert (out / "other" / "base-000.safetensors").is_file() and not list(out.glob("*.json"))
    assert main([*arguments, "--begin-with", str(there)]) == 2
    assert main([*arguments, "--way", "bases", "--begin-with", str(tmp_path)]) == 2
    assert "named after bases" in (said := capsys.readouterr().err) and "has no bases" in said


def test_data_that_is_none_is_a_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.npz").write_bytes(b"no")
    assert main(["zoo", "train", "--data", str(tmp_path / "x.npz"), "--out", str(tmp_path / "z")]) == 2
    assert "x.npz is no image data set" in capsys.readouterr().err
