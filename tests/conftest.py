"""A tiny world that trains in seconds: four classes of 12 x 12 grey images, and a pack of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from ti_core.reference.pack import Pack, load_pack
from ti_core.results.case import Case
from ti_core.settings import Settings
from ti_core.worker import hosts

SIDE, CLASSES = 12, 4

if "COVERAGE_FILE" in os.environ:
    # The host gets a bare environment, and its jobs may write nowhere: see measured_host.
    hosts.MODULE = "tests.worker.measured_host"
    hosts.PREFIXES = (*hosts.PREFIXES, "COVERAGE_")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Sums come in the same order whatever the number of cores, so that what a test trains is the same everywhere."""
    torch.set_num_threads(1)


def synthetic(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of a bright bar whose place is the class, with noise."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % CLASSES
    x = rng.uniform(0, 90, size=(count, SIDE, SIDE))
    for image, label in zip(x, y, strict=True):
        if label < 2:
            image[2 + 6 * label : 4 + 6 * label] += 150
        else:
            image[:, 2 + 6 * (label - 2) : 4 + 6 * (label - 2)] += 150
    return x.astype(np.uint8), y.astype(np.int64)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "bars.npz"
    x_train, y_train = synthetic(480, 1)
    x_test, y_test = synthetic(160, 2)
    names = np.array(["top", "bottom", "left", "right"])
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test, class_names=names)
    return path


@pytest.fixture(scope="session")
def tiny_zoo(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ti_core.zoo.plan.draw import plan
    from ti_core.zoo.training.members import train_zoo

    out = tmp_path_factory.mktemp("zoo")
    recipes = [
        replace(
            r,
            architecture="mlp",
            options={
                "in_channels": 1,
                "classes": CLASSES,
                "size": SIDE,
                "hidden": [16],
                "activation": "relu",
            },
            optimiser="adam",
            learning_rate=0.02,
            epochs=6,
            batch_size=32,
            augmentation="none",
            poisoning_rate=0.1 if r.poisoning_rate else 0.0,
        )
        for r in plan(40, (1, SIDE, SIDE), CLASSES, seed=3)
    ]
    train_zoo(tiny_data, out, jobs=1, progress=False, recipes=recipes)
    return out


@pytest.fixture(scope="session")
def tiny_settings() -> Settings:
    return Settings(images=8, actmax_iterations=3, patch_size=4, bins=8, quantiles=(0.5, 0.9))


@pytest.fixture(scope="session")
def tiny_pack(
    tiny_zoo: Path, tiny_data: Path, tiny_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Pack:
    from ti_core.zoo.packs.build import build_pack

    out = tmp_path_factory.mktemp("packs") / "bars"
    build_pack(tiny_zoo, tiny_data, out, settings=tiny_settings, jobs=1, progress=False)
    return load_pack(out)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB; skipped where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a disk in memory")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


TESTS = count()


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("caches")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, caches: Path) -> None:
    """No test reads or writes the user's own cache. A folder that a test does not use is not made."""
    monkeypatch.setenv("TROJANINTERPRET_CACHE", str(caches / str(next(TESTS))))
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def tiny_models(tiny_pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model file of each label that took no part in the tiny pack's fit; its detector finds these trojans."""
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("models")
    files = {}
    for label in ("clean", "blend", "patch"):
        held_out = [
            m for m in tiny_pack.members if m.label == label and m.held_out and m.family == "standard"
        ]
        member = held_out[-1 if label != "clean" else 0]
        files[label] = folder / f"bars-{label}.safetensors"
        save_file(tiny_pack.scores(member).network.state_dict(), files[label])
    return files


@pytest.fixture(scope="session")
def tiny_cases(tiny_pack: Pack, tiny_models: dict[str, Path], tiny_settings: Settings) -> dict[str, Case]:
    """The finished cases of those models, and as ``partial`` the unfinished one of the patch model."""
    from ti_core.inspection.case_builder import case_of
    from ti_core.inspection.result import Inspection
    from ti_core.inspection.with_pack import inspect
    from ti_core.loading import describe_file, load_model

    cases: dict[str, Case] = {}
    for label, path in tiny_models.items():
        card = describe_file(path).as_dict()

        def observe(found: Inspection, card: dict[str, object] = card) -> None:
            cases["partial"] = case_of(found, tiny_pack, tiny_settings, card)

        found = inspect(load_model(path), tiny_pack, tiny_settings, observe=observe)
        cases[label] = case_of(found, tiny_pack, tiny_settings, card, cases["partial"])
    return cases
