"""Damaged and hostile Keras files: a model or a sentence, and the program goes on."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import h5py
import pytest
import torch

from tests.loading.keras.files import opened, stored
from tests.loading.keras.mutations import WAYS, mutation, run
from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading import describe_file, load_model
from ti_core.worker import Job, tasks

OUTLINE = "ti_core.loading.keras.outline"


@pytest.fixture(autouse=True)
def _ready_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host imports torch once, for the jobs of all these tests."""
    task = tasks.TASKS["describe"]
    monkeypatch.setitem(tasks.TASKS, "describe", replace(task, needs=(*task.needs, OUTLINE)))


def test_damaged_files_open_or_are_refused() -> None:
    found, faults = run("all", 0, 120)
    assert not faults
    assert sum(found.values()) == 120 and found["refused"] > 30 and found["opened"] > 10


def test_damaged_files_in_the_worker(tmp_path: Path) -> None:
    """The parent gets a description or a sentence, and goes on."""
    for number, way in enumerate(WAYS):
        path = tmp_path / f"{way}.h5"
        path.write_bytes(mutation(way, number))
        with Job.start("describe", {"model": str(path)}) as job:
            job.wait()
            assert job.state == "done" or job.error


@pytest.mark.parametrize("name", ["mnist_example-2.h5", "mnist_example-3.keras"])
def test_a_sound_file_is_described_in_the_worker(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(stored()[name])
    with Job.start("describe", {"model": str(path)}) as job:
        job.wait()
        assert job.state == "done", job.error
        assert '"opens": true' in (job.folder / "file.json").read_text()


@pytest.mark.parametrize("name", ["nested-2.h5", "nested-3.keras", "shared-3.h5"])
def test_what_opens_is_reported_as_fit_to_be_opened(name: str, tmp_path: Path) -> None:
    """The name decides nothing."""
    path = tmp_path / "model.bin"
    path.write_bytes(stored()[name])
    assert load_model(path).sha256 == describe_file(path).sha256
    assert describe_file(path).opens and not describe_file(path).findings


def test_a_file_that_is_hdf5_and_an_archive_is_refused(tmp_path: Path) -> None:
    """Readers of archives look at the end of a file first."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("data.pkl", b"x")
    path = tmp_path / "model.h5"
    path.write_bytes(stored()["nested-2.h5"] + out.getvalue())
    with pytest.raises(RefusedFileError, match="ends as a zip archive and begins as something else"):
        load_model(path)


def test_an_external_link_in_a_whole_model_is_refused(tmp_path: Path) -> None:
    """The weights would come from another file of the machine."""
    out = io.BytesIO(stored()["mnist_example-2.h5"])
    with h5py.File(out, "r+") as file:
        del file["model_weights/dense"]
        file["model_weights/dense"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/")
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["dense/kernel:0"] = torch.ones(3).numpy()
    path = tmp_path / "model.h5"
    path.write_bytes(out.getvalue())
    with pytest.raises(RefusedFileError, match="'model_weights/dense' is a link to another place or file"):
        load_model(path)


def test_a_swelling_archive_is_refused(tmp_path: Path) -> None:
    """64 MiB of zeros in 64 kB."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * (64 << 20))
        archive.writestr("model.weights.h5", b"")
    path = tmp_path / "model.keras"
    path.write_bytes(out.getvalue())
    with pytest.raises(RefusedFileError, match="would swell"):
        load_model(path)
    assert not describe_file(path).is_safe


def test_a_configuration_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ti_core.loading.keras.limits.CONFIG_BYTES", 1000)
    path = tmp_path / "model.keras"
    path.write_bytes(stored()["mnist_example-3.keras"])
    with pytest.raises(RefusedFileError, match="more than 1,000 bytes, the limit"):
        load_model(path)


def test_weights_in_several_files_and_missing_members_are_told() -> None:
    for names, match in (
        (("config.json", "model.weights.json", "metadata.json"), "keeps its weights in several files"),
        (("config.json", "metadata.json"), r"lacks model\.weights\.h5"),
        (("model.weights.h5",), r"lacks config\.json"),
    ):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name in names:
                archive.writestr(name, b"{}")
        with pytest.raises(ModelFileError, match=match):
            opened(out.getvalue())
