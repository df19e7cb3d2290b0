"""Packs that a stranger made: whatever is in them, each command answers with one sentence."""

from __future__ import annotations

import io
import json
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.damage import damaged
from tests.worker import hostile
from ti_core.cli.main import main
from ti_core.errors import PackError, TrojanInterpretError
from ti_core.evaluation.measure import Measurement
from ti_core.reference.judge import Judge
from ti_core.reference.known import KNOWN, is_known
from ti_core.reference.pack import Pack, file_digest, load_pack, pack_names
from ti_core.reference.reference import Reference
from ti_core.reference.verify import verify_pack
from ti_core.reference.whole import open_whole
from ti_core.streams import make_streams
from ti_core.system.cache import Cache
from ti_core.worker import Job, inspection_job
from ti_core.worker.pack_jobs import cache_of, evaluate_apart, open_apart
from ti_core.worker.request import InspectionRequest
from ti_core.worker.results import read_json
from ti_core.worker.tasks import TASKS, Task

Record = dict[str, Any]


@pytest.fixture
def copy(tiny_pack: Pack, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_pack.folder, tmp_path / "copy"))


def record_of(folder: Path) -> Record:
    found: Record = json.loads((folder / "pack.json").read_text())
    return found


def with_right_digests(folder: Path) -> Path:
    """A stranger's pack names the digests of its own files."""
    record = record_of(folder)
    record["files"] = {name: file_digest(folder / name) for name in record["files"]}
    (folder / "pack.json").write_text(json.dumps(record))
    return folder


def open_everything(folder: Path) -> None:
    open_whole(load_pack(folder))


def refused(work: Callable[[], object]) -> str:
    with pytest.raises(PackError) as caught:
        work()
    sentence = str(caught.value)
    assert 10 < len(sentence) < 1000 and "\n" not in sentence and sentence.endswith(".")
    return sentence


def test_a_sound_pack_of_a_stranger_opens(copy: Path) -> None:
    open_everything(copy)


RECORDS: dict[str, Callable[[Record], object]] = {
    "an unknown field": lambda r: r.update(extra=1),
    "no members": lambda r: r.update(members=[]),
    "a member that is none": lambda r: r["members"].append(3),
    "a member twice": lambda r: r["members"].append(r["members"][0]),
    "an id with a slash": lambda r: r["members"][0].update(id="../x"),
    "accuracy as text": lambda r: r["members"][0].update(clean_accuracy="high"),
    "accuracy beyond 1": lambda r: r["members"][0].update(clean_accuracy=7.0),
    "no fitted trojan": lambda r: [m.update(held_out=m["label"] != "clean") for m in r["members"]],
    "a trojan without a target": lambda r: [m.pop("target_class", 0) for m in r["members"]],
    "a target beyond the classes": lambda r: [
        m.update(target_class=99) for m in r["members"] if m["label"] != "clean"
    ],
    "a clean member with a target": lambda r: [
        m.update(target_class=0) for m in r["members"] if m["label"] == "clean"
    ],
    "a trigger that is no plan": lambda r: [
        m.update(trigger={"kind": "patch", "pattern": "x", "alpha": 1.0})
        for m in r["members"]
        if m["label"] == "patch"
    ],
    "a patch outside the images": lambda r: [
        m["trigger"].update(left=11) for m in r["members"] if m["label"] == "patch"
    ],
    "a patch without pixels": lambda r: [
        m["trigger"].update(height=0) for m in r["members"] if m["label"] == "patch"
    ],
    "a huge option": lambda r: r["members"][0]["options"].update(hidden=[10**9]),
    "a huge depth": lambda r: r["members"][0]["options"].update(depth=10**4),
    "an option that is a group": lambda r: r["members"][0]["options"].update(hidden={"a": 1}),
    "one class": lambda r: r.update(class_names=["a"]),
    "huge images": lambda r: r.update(input_shape=[3, 10**6, 10**6]),
    "a shape that is none": lambda r: r.update(input_shape="12"),
    "unknown settings": lambda r: r["settings"].update(colour="blue"),
    "settings that are none": lambda r: r.update(settings=[]),
    "a file elsewhere": lambda r: r["files"].update({"../pack.json": "0" * 64}),
    "a digest that is none": lambda r: r["files"].update({"images.npz": "x"}),
    "a probability beyond 1": lambda r: r["detectors"]["saliency"].update(out_of_fold=[1.5]),
    "weights without features": lambda r: r["detectors"]["detector"]["linear"].update(weights=[1.0]),
    "no reach": lambda r: r["detectors"]["saliency"].update(reach=0.0),
    "no calibration": lambda r: r["detectors"]["saliency"].pop("calibration"),
    "a table that is none": lambda r: r.update(table=[{"auc": "good"}]),
    "another version": lambda r: r.update(schema_version=2),
    "a name with escapes": lambda r: r.update(name="a\x1b[31m"),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_with_anything_odd_is_refused(name: str, copy: Path) -> None:
    record = record_of(copy)
    RECORDS[name](record)
    (copy / "pack.json").write_text(json.dumps(record))
    assert "\x1b" not in refused(lambda: load_pack(copy))


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 200_000,
        b'{"members": ' * 5_000,
        b'{"schema_version": 1, "schema_version": 1}',
        b'{"schema_version": NaN}',
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"x"',
    ],
)
def test_a_record_that_is_no_plain_json_is_refused(text: bytes, copy: Path) -> None:
    (copy / "pack.json").write_bytes(text)
    refused(lambda: load_pack(copy))


def npz(folder: Path, name: str, **arrays: np.ndarray) -> None:
    np.savez(folder / name, **arrays)


def declares_16_tib(folder: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 44, 1, 12, 12)}
    )
    with zipfile.ZipFile(folder / "images.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue() + b"0")
        archive.writestr("labels.npy", header.getvalue() + b"0")


def objects(folder: Path) -> None:
    made = io.BytesIO()
    np.lib.format.write_array(made, np.array([{}], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(folder / "images.npz", "w") as archive:
        archive.writestr("images.npy", made.getvalue())
        archive.writestr("labels.npy", made.getvalue())


def other_images(folder: Path) -> None:
    npz(folder, "images.npz", images=np.zeros((4, 1, 9, 9), np.uint8), labels=np.zeros(4, int))


def other_labels(folder: Path) -> None:
    npz(folder, "images.npz", images=np.zeros((4, 1, 12, 12), np.uint8), labels=np.array([0, 1, 2, 99]))


def rewritten(folder: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    arrays = dict(np.load(folder / "baseline.npz"))
    change(arrays)
    np.savez(folder / "baseline.npz", **arrays)


def truncated(name: str) -> Callable[[Path], None]:
    def cut(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])

    return cut


def no_finite_weights(folder: Path) -> None:
    from safetensors.numpy import load_file, save_file

    zoo = load_file(folder / "zoo.safetensors")
    save_file(
        {k: np.full_like(v, np.nan) if v.dtype == np.float16 else v for k, v in zoo.items()},
        folder / "zoo.safetensors",
    )


def other_architecture(name: str, **options: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        record = record_of(folder)
        for member in record["members"]:
            member.update(architecture=name)
            member["options"].update(options)
        (folder / "pack.json").write_text(json.dumps(record))

    return change


def stored_patches(folder: Path) -> None:
    record = record_of(folder)
    for member in record["members"]:
        if member["label"] == "patch":
            member["trigger"].update(pattern="stored")
    (folder / "pack.json").write_text(json.dumps(record))


FILES: dict[str, Callable[[Path], None]] = {
    "16 TiB of images": declares_16_tib,
    "objects": objects,
    "images of another size": other_images,
    "labels of no class": other_labels,
    "half of the images": truncated("images.npz"),
    "half of the evidence": truncated("baseline.npz"),
    "half of the weights": truncated("zoo.safetensors"),
    "an empty zoo": lambda f: (f / "zoo.safetensors").write_bytes(b"") and None,
    "evidence of fewer members": lambda f: rewritten(
        f, lambda a: [a.update({k: v[:3]}) for k, v in a.items() if v.ndim]
    ),
    "evidence with NaN": lambda f: rewritten(
        f, lambda a: [a.update({k: np.full_like(v, np.nan)}) for k, v in a.items() if v.ndim]
    ),
    "evidence of another shape": lambda f: rewritten(
        f, lambda a: [a.update({k: v.reshape(len(v), -1)[:, :1]}) for k, v in a.items() if v.ndim]
    ),
    "no evidence": lambda f: rewritten(f, lambda a: a.clear()),
    "exponents beyond all numbers": lambda f: rewritten(
        f, lambda a: [a.update({k: np.array(30_000, np.int16)}) for k, v in a.items() if not v.ndim]
    ),
    "weights that are not finite": no_finite_weights,
    "an unknown architecture": other_architecture("alexnet"),
    "unknown options": other_architecture("mlp", width=3),
    "wider networks than the weights": other_architecture("mlp", hidden=[60_000, 60_000]),
    "a trigger that is not stored": stored_patches,
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_anything_odd_is_refused(name: str, copy: Path) -> None:
    """The digests are right: a stranger's pack names those of its own files."""
    FILES[name](copy)
    refused(lambda: open_everything(with_right_digests(copy)))


@pytest.mark.parametrize("name", ["pack.json", "images.npz", "baseline.npz", "zoo.safetensors"])
def test_a_mutated_file_opens_or_is_refused(name: str, copy: Path) -> None:
    """What a process opens that is not confined. Most damages of numbers cannot be told from other numbers."""
    data, rng = (copy / name).read_bytes(), random.Random(name)
    outcomes = []
    for _ in range(25):
        (copy / name).write_bytes(damaged(data[:4000], rng) + data[4000:])
        try:
            open_everything(copy if name == "pack.json" else with_right_digests(copy))
            outcomes.append(True)
        except PackError as error:
            assert 10 < len(str(error)) < 1000
            outcomes.append(False)
    assert not all(outcomes)


@pytest.mark.parametrize("damage", ["cut", "flipped", "text"])
def test_a_damaged_model_of_catboost_is_an_error_and_never_ends_this_process(
    damage: str, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copy / "saliency.cbm"
    data = bytearray(path.read_bytes())
    if damage == "cut":
        del data[len(data) // 2 :]
    elif damage == "flipped":
        for at in range(8, len(data), 7):
            data[at] ^= 0xFF
    else:
        data[:] = b"no model"
    path.write_bytes(bytes(data))
    with_right_digests(copy)
    assert main(["pack", "verify", str(copy), "--members", "1"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("trojaninterpret: ") and "Traceback" not in error


@pytest.mark.parametrize("attack", [hostile.crash, hostile.leave_like_a_finding, hostile.recurse])
def test_a_pack_that_ends_its_process_is_an_error(
    attack: Callable[..., None],
    copy: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As the models of CatBoost could that a stranger made."""
    monkeypatch.setitem(TASKS, "verify pack", Task(attack))
    assert main(["pack", "verify", str(copy)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("trojaninterpret: Pack 'bars' cannot be used: ") and error.count("\n") == 1


@pytest.mark.parametrize(
    "text", ['{"said": 3, "problems": []}', '{"said": []}', "[]", "{", '{"said": [], "said": []}']
)
def test_what_a_packs_process_leaves_is_checked(
    text: str, copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Job, "wait", lambda *_: None)
    monkeypatch.setattr(Job, "state", "done")
    monkeypatch.setattr(
        Job, "result_json", lambda job, name, most: read_json(written(copy.parent, name, text), name, most)
    )
    assert main(["pack", "verify", str(copy)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    if text.startswith("{") and text != "{":
        with pytest.raises(TrojanInterpretError):
            evaluate_apart(load_pack(copy), {}, Measurement(), lambda stage, share: None)


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder


def that_open(pack: Path, data: Path, model: Path) -> list[list[str]]:
    """Every command that opens more of a pack than its record."""
    new = ["--zoo", str(pack.parent / "more"), "--out", str(pack.parent / "out")]
    train = ["zoo", "train", "--data", str(data), "--out", str(pack.parent / "zoo"), "--count", "8"]
    return [
        ["pack", "verify", str(pack)],
        ["pack", "renew", str(pack)],
        ["pack", "extend", str(pack), *new],
        [*train, "--way", "kinds", "--bases", f"pack:{pack}"],
        ["evaluate", "--pack", str(pack)],
        ["inspect", str(model), "--pack", str(pack)],
        ["scan", str(model), "--pack", str(pack)],
    ]


def test_every_command_that_takes_a_pack_answers_in_a_sentence(
    copy: Path, tiny_data: Path, tiny_models: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    objects(copy)
    shutil.copyfile(copy / "images.npz", copy / "baseline.npz")
    with_right_digests(copy)
    commands = that_open(copy, tiny_data, tiny_models["clean"])
    for command in commands:
        assert main(command) == 2, command
        said = capsys.readouterr()
        assert ".npz of pack 'bars' cannot be used" in said.err + said.out and "Traceback" not in said.err
    (copy / "pack.json").write_text("[" * 100_000)
    for command in (["pack", "info", str(copy)], *commands[:-1]):
        assert main(command) == 2, command
        assert "nested too deeply" in capsys.readouterr().err
    assert not (copy.parent / "out").exists() and not (copy.parent / "zoo").exists()


def test_no_command_opens_a_strangers_pack_before_the_worker_did(
    copy: Path,
    tiny_data: Path,
    tiny_models: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The worker crashes, and this process has read nothing but the record."""
    before = record_of(copy)
    for task in ("open pack", "verify pack", "evaluate pack"):
        monkeypatch.setitem(TASKS, task, Task(hostile.crash))
    for reader in ("PackFiles", "Weights"):
        monkeypatch.setattr(f"ti_core.reference.pack.{reader}", pytest.fail)
    for command in that_open(copy, tiny_data, tiny_models["clean"])[:5]:
        assert main(command) == 2, command
        error = capsys.readouterr().err
        assert error.startswith("trojaninterpret: Pack 'bars' cannot be used: ") and error.count("\n") == 1
    assert record_of(copy) == before


def test_a_sound_pack_of_a_stranger_is_renewed(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pack", "renew", str(copy)]) == 0
    assert "Nothing has changed" in capsys.readouterr().out


def test_a_pack_that_changes_while_it_is_opened_is_refused(copy: Path) -> None:
    pack = load_pack(copy)
    record = record_of(copy)
    (copy / "pack.json").write_text(json.dumps(record | {"data_set": "others"}))
    assert "changed while it was opened" in refused(lambda: open_apart(pack))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x: x.reshape(3), "does not take the pack's images"),
        (lambda x: torch.zeros(len(x), 3), "one score for each class"),
        (lambda x: torch.full((len(x), 4), torch.nan), "not finite"),
    ],
)
def test_a_network_that_is_none_of_these_images_is_refused(
    answer: Callable[[torch.Tensor], torch.Tensor], words: str, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pack, "scores", lambda *_: answer)
    assert words in refused(lambda: open_everything(copy))


def test_a_sound_pack_is_verified_and_evaluated_in_the_worker(
    copy: Path, tiny_pack: Pack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ti_core.cli.tables import evaluation_text
    from ti_core.evaluation import evaluate
    from ti_core.reference import verify

    def here(*_: object) -> None:
        raise AssertionError("only the worker opens a stranger's pack")

    rows = evaluate(tiny_pack)
    monkeypatch.setattr(verify, "verify_pack", here)
    monkeypatch.setattr("ti_core.detector.metamodels.load_trees", here)
    assert main(["pack", "verify", str(copy), "--members", "2"]) == 0
    said = capsys.readouterr().out
    assert said.count("accuracy, attack and verdict as recorded") == 2 and "verifies" in said
    assert main(["evaluate", "--pack", str(copy)]) == 0
    assert capsys.readouterr().out.strip() == evaluation_text(tiny_pack, rows).strip()
    assert main(["pack", "verify", str(copy), "--members", "-1"]) == 2


def fewer_features(detector: Record) -> None:
    detector["features"].pop()
    if "linear" in detector:
        detector["linear"]["weights"].pop()
        detector["linear"]["centre"].pop()


@pytest.mark.parametrize("change", [fewer_features, lambda detector: detector.update(out_of_fold=[0.5])])
def test_a_detector_that_does_not_fit_the_evidence_is_an_error(
    change: Callable[[Record], None], copy: Path
) -> None:
    record = record_of(copy)
    for detector in record["detectors"].values():
        change(detector)
    (copy / "pack.json").write_text(json.dumps(record))
    assert "does not fit" in refused(lambda: verify_pack(load_pack(copy), 1))


def test_the_packs_that_come_with_the_program_are_known_by_their_digests(copy: Path) -> None:
    """After a pack was built anew, ti_core/reference/known.py holds the new digest of its pack.json."""
    assert {name: load_pack(name).sha256 for name in pack_names()} == KNOWN
    assert not is_known(load_pack(copy))


def test_a_strangers_pack_has_a_cache_of_its_own(copy: Path, tmp_path: Path) -> None:
    model = tmp_path / "m.safetensors"

    def cache(pack: str | None) -> Path:
        asked = InspectionRequest(pack=pack, cache=str(tmp_path / "cache"))
        return Path(inspection_job.for_model(asked, model, "0" * 64).cache or "")

    own = cache_of(load_pack(copy), tmp_path / "cache")
    assert cache(str(copy)).is_relative_to(own) and not cache("mnist").is_relative_to(own.parent)
    assert cache("mnist") == cache(None)
    assert cache(str(tmp_path / "nowhere")) == cache(None), "the worker reports a pack that is not there"


def test_a_judge_of_a_sound_pack_gives_finite_log_odds(tiny_pack: Pack) -> None:
    reference = Reference(tiny_pack, tiny_pack.settings, Cache(None))
    streams = make_streams(tiny_pack.settings)
    judge = Judge(reference, streams, {s.name: reference.evidence(s, None) for s in streams})
    assert judge.paper is not None and judge.joint is not None
    assert np.isfinite(judge.paper.logit(judge.paper.reference)).all()
