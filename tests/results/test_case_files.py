from __future__ import annotations

import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ti_core.errors import CaseError
from ti_core.results.case import Case
from ti_core.results.case_files import MOST_JSON_BYTES, load_case, read_case_json, save_case


def tampered(folder: Path, change: Any) -> None:
    """Change a kept case's record the way a hostile writer would, leaving it otherwise in order."""
    values = json.loads((folder / "case.json").read_text())
    change(values)
    (folder / "case.json").write_text(json.dumps(values))


def with_arrays(folder: Path, change: Any) -> None:
    arrays = load_file(folder / "case.safetensors")
    change(arrays)
    save_file(arrays, folder / "case.safetensors")
    digest = hashlib.sha256((folder / "case.safetensors").read_bytes()).hexdigest()
    tampered(folder, lambda values: values.update(arrays_sha256=digest))


@pytest.fixture
def kept(tiny_cases: dict[str, Case], tmp_path: Path) -> Path:
    save_case(tiny_cases["patch"], tmp_path / "c")
    return tmp_path / "c"


def test_what_is_read_is_what_was_written(tiny_cases: dict[str, Case], kept: Path) -> None:
    case, read = tiny_cases["patch"], load_case(kept)
    assert json.loads(read.report.as_json()) == json.loads(case.report.as_json())
    assert read.decisions == case.decisions and read.kinds == case.kinds and read.finished
    assert set(read.arrays) == set(case.arrays)
    for name, array in case.arrays.items():
        np.testing.assert_array_equal(read.arrays[name], array.astype(np.float32))


def test_a_case_holds_what_every_picture_needs(tiny_cases: dict[str, Case]) -> None:
    case = tiny_cases["patch"]
    assert case.arrays["probes"].shape == (3, 3, 8, 1, 12, 12)
    assert case.arrays["saliency/suspect"].shape == case.arrays["saliency/witness"].shape == (3, 3, 8, 12, 12)
    assert case.arrays["actmax/maker/scores"].shape == (2, 4, 4)
    assert case.maker and case.witness and case.maker != case.witness
    assert "reference/saliency/pooled" not in case.arrays, "the pack's baseline holds it"
    covered = case.report.streams["recovered_trigger"].get("occlusion")
    assert ("occlusion/turned" in case.arrays) == (covered is not None)
    assert len(case.arrays["why/joint"]) == len(case.decisions["joint"].names)


def test_the_unfinished_case_comes_without_the_deep_streams(tiny_cases: dict[str, Case]) -> None:
    partial = tiny_cases["partial"]
    assert not partial.finished and partial.decided_by == "saliency"
    assert set(partial.report.streams) == {"saliency"}
    assert "probes" in partial.arrays and "why/joint" not in partial.arrays


def test_settings_that_the_pack_does_not_ship_bring_the_reference_models_along(
    tiny_pack: Any, tiny_models: dict[str, Path], tiny_settings: Any
) -> None:
    from ti_core.inspection.case_builder import case_of
    from ti_core.inspection.with_pack import inspect
    from ti_core.loading import load_model

    settings = tiny_settings.with_(images=5, streams=("saliency",), probes_from="suspect")
    case = case_of(inspect(load_model(tiny_models["clean"]), tiny_pack, settings), tiny_pack, settings)
    fitted = sum(not m.held_out for m in tiny_pack.members)
    assert case.finished and case.maker == "" and "actmax/maker/images" not in case.arrays
    assert case.arrays["reference/saliency/pooled"].shape[:2] == (fitted, 3)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.update(case_version=99),
        lambda v: v.update(finished="yes"),
        lambda v: v.update(created="<script>"),
        lambda v: v["report"].update(verdict="fine"),
        lambda v: v["report"].update(probability=1.5),
        lambda v: v["report"].update(probability=True),
        lambda v: v["report"].update(target_class=4),
        lambda v: v["report"].update(reasons=[1]),
        lambda v: v["report"]["model"].update(sha256="../../etc"),
        lambda v: v["report"]["pack"].update(name="../mnist"),
        lambda v: v["report"]["settings"].update(images=10**9),
        lambda v: v["report"]["settings"].update(surprise=1),
        lambda v: v["report"]["timings"].update(opening="long"),
        lambda v: v["decisions"]["joint"].update(low=0.9, high=0.1),
        lambda v: v["notes"].append("x" * 5000),
        lambda v: v["report"]["streams"].update(deep=[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]),
    ],
)
def test_a_record_that_is_not_as_it_is_written_is_refused(kept: Path, change: Any) -> None:
    tampered(kept, change)
    with pytest.raises(CaseError, match=r"not valid|inspect the model again"):
        load_case(kept)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(kept: Path, number: str) -> None:
    text = (kept / "case.json").read_text()
    values = json.loads(text)
    (kept / "case.json").write_text(
        text.replace(f'"probability": {values["report"]["probability"]!r}', f'"probability": {number}', 1)
    )
    with pytest.raises(CaseError):
        load_case(kept)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.update({"probes": a["probes"][:, :, :3]}),
        lambda a: a.update({"saliency/suspect": np.full_like(a["saliency/suspect"], np.nan)}),
        lambda a: a.update({"probes": a["probes"] + 2}),
        lambda a: a.update({"seen/suspect": a["seen/suspect"] + 50}),
        lambda a: a.update({"seen/suspect": -1 - a["seen/suspect"]}),
        lambda a: a.update({"somewhere/else": np.zeros(3, "f4")}),
        lambda a: a.update({"evidence/../x": np.zeros(3, "f4")}),
        lambda a: a.update({"oof/joint": np.zeros(3, "i8")}),
        lambda a: a.update({"why/joint": np.zeros(2, "f4")}),
    ],
)
def test_arrays_of_other_shapes_or_ranges_are_refused(kept: Path, change: Any) -> None:
    with_arrays(kept, change)
    with pytest.raises(CaseError, match="not valid"):
        load_case(kept)


def test_arrays_that_the_record_does_not_name_are_refused(kept: Path, tmp_path: Path) -> None:
    arrays = load_file(kept / "case.safetensors")
    save_file({k: v * 0 for k, v in arrays.items()}, kept / "case.safetensors")
    with pytest.raises(CaseError, match="not those its record names"):
        load_case(kept)


def test_links_and_endless_files_are_not_followed(kept: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    (kept / "case.json").rename(secret)
    (kept / "case.json").symlink_to(secret)
    with pytest.raises(CaseError, match="no such case"):
        read_case_json(kept)
    (kept / "case.json").unlink()
    with (kept / "case.json").open("wb") as file:
        file.truncate(MOST_JSON_BYTES + 1)
    with pytest.raises(CaseError, match="larger than"):
        read_case_json(kept)
    with pytest.raises(CaseError, match="no such case"):
        load_case(tmp_path / "nowhere")


def test_truncated_arrays_are_refused(kept: Path) -> None:
    path = kept / "case.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    tampered(kept, lambda values: values.update(arrays_sha256=digest))
    with pytest.raises(CaseError, match="cannot be read"):
        load_case(kept)


@pytest.mark.parametrize("name", ["case.json", "case.safetensors"])
def test_whatever_is_damaged_it_is_a_sentence_or_the_same_case(kept: Path, name: str) -> None:
    """Bytes changed, a part overwritten, the end cut off, the file gone: never anything but a CaseError."""
    whole, right = (kept / name).read_bytes(), load_case(kept)
    rng = random.Random(name)
    for turn in range(120):
        data, place = bytearray(whole), rng.randrange(len(whole))
        if turn % 3 == 0:
            data[place] = rng.randrange(256)
        elif turn % 3 == 1:
            data[place : place + 50] = rng.randbytes(50)
        else:
            del data[place:]
        (kept / name).write_bytes(data)
        try:
            case = load_case(kept)
        except CaseError as error:
            assert str(error).endswith(("inspect the model again.", "; it is not read.")) or "valid" in str(
                error
            )
        else:
            assert case.report.model["sha256"] == right.report.model["sha256"] or name == "case.json"
            assert all(np.array_equal(case.arrays[k], v) for k, v in right.arrays.items())
    (kept / name).unlink()
    with pytest.raises(CaseError):
        load_case(kept)


def test_hostile_texts_survive_as_texts(tiny_cases: dict[str, Case], tmp_path: Path) -> None:
    case = tiny_cases["clean"]
    hostile = "</script><img src=x onerror=alert(1)>"
    report = replace(case.report, model=case.report.model | {"file": hostile})
    save_case(replace(case, report=report, class_names=(hostile, "b", "c", "d")), tmp_path / "h")
    assert load_case(tmp_path / "h").report.model["file"] == hostile
