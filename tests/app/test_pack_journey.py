"""A person builds a pack of their own on the page of the packs, and inspects a model with it: nothing is a stand-in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from tests.app.visitor import NEEDED, Visitor, browser, serving
from ti_core.architectures import build
from ti_core.reference.pack import load_pack

__all__ = ["browser"]

pytestmark = [pytest.mark.journeys, *NEEDED]

SIDE, EACH, CLASSES, COUNT = 28, 100, 2, 32
"""The smallest pack that the page builds without a warning about its images."""
SOME_TRAINED = re.compile(r"Training the reference models: (?![0-4]%)\d+%")
"""Two of the networks or more."""
LONGEST = 1_800_000
"""Milliseconds that the training of the reference models may take."""


def bars(seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Grey images of two classes, each with a bright bar in a place of its own."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(CLASSES), EACH)
    images = rng.integers(0, 60, (len(labels), SIDE, SIDE), dtype=np.uint8)
    for image, at in zip(images, 8 + 10 * labels + rng.integers(-2, 3, len(labels)), strict=True):
        image[:, at - 2 : at + 2] += 180
    return images, labels


def classifier(path: Path) -> Path:
    """A small network that tells the bars apart."""
    torch.manual_seed(0)
    images, labels = bars(seed=1)
    x, y = torch.from_numpy(images).unsqueeze(1) / 255, torch.from_numpy(labels)
    network = build("lenet5", in_channels=1, classes=CLASSES, size=SIDE)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(40):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(x), y).backward()
        optimiser.step()
    assert (network(x).argmax(1) == y).float().mean() > 0.95
    save_file(network.state_dict(), path)
    return path


@pytest.fixture
def packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TROJANINTERPRET_PACKS", str(tmp_path / "packs"))
    return tmp_path / "packs"


@pytest.fixture
def builder(packs: Path, tmp_path: Path, browser: Any) -> Iterator[Visitor]:
    with serving(tmp_path / "home") as address:
        found = Visitor(browser, address)
        yield found
        assert not found.elsewhere and not found.refused
        found.context.close()


def choose(page: Any, box: str, option: str) -> None:
    page.get_by_role("combobox", name=box).click()
    page.get_by_role("option", name=option, exact=True).click()


def test_a_pack_is_built_from_images_and_a_model_is_inspected_with_it(
    builder: Visitor, packs: Path, tmp_path: Path
) -> None:
    page = builder.page
    builder.go("/packs")
    page.get_by_text("Build a pack of your own", exact=True).click()
    images, labels = bars()
    np.savez_compressed(tmp_path / "bars.npz", images=images, labels=labels)
    page.locator('input[type="file"]').nth(1).set_input_files(str(tmp_path / "bars.npz"))
    page.get_by_role("textbox", name="Name of the pack").fill("bars")
    page.keyboard.press("Enter")
    choose(page, "Reference models", str(COUNT))
    choose(page, "Side of the images in pixels", str(SIDE))
    button = page.get_by_role("button", name="Say how long it takes")
    page.wait_for_function("e => !e.disabled", arg=button.element_handle())
    button.click()
    build = page.get_by_role("button", name="Build it")
    build.wait_for()
    page.get_by_text("This will take about").wait_for()
    assert "--" not in page.get_by_test_id("stMain").inner_text(), "the page names no option of a command"
    assert not packs.exists(), "nothing is built before the time was said"
    build.click()
    page.get_by_text(SOME_TRAINED).wait_for(timeout=LONGEST)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("trained so far. What is finished is kept.").wait_for()
    kept = int(page.get_by_text("trained so far").inner_text().split()[0])
    assert kept >= 2
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("Recovering the triggers of the reference models").wait_for(timeout=LONGEST)
    page.get_by_text("is stored").wait_for(timeout=LONGEST)
    page.get_by_text("networks can enter a pack").wait_for()
    pack = load_pack(packs / "bars")
    # A network that did not learn its trigger enters no pack.
    assert COUNT // 2 < len(pack.members) <= COUNT and len(pack.class_names) == CLASSES
    assert pack.input_shape == (1, SIDE, SIDE)
    page.get_by_text("bars (added)").first.wait_for()
    builder.go("/")
    page.get_by_text("Settings", exact=True).click()
    choose(page, "Reference pack", "bars")
    builder.upload(classifier(tmp_path / "bars-from-a-vendor.safetensors"))
    assert builder.verdict() in ("Clean", "Inconclusive", "Backdoored")
    page.get_by_text("reference pack bars", exact=True).wait_for()
