"""The dashboard as a person uses it: the real server, real workers, Debian's chromium."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.app.visitor import NEEDED, PATIENCE, SAMPLES, Visitor, browser, home, server, visitor
from ti_core.reference.pack import load_pack, pack_names

__all__ = ["browser", "home", "server", "visitor"]

pytestmark = [
    pytest.mark.browser,
    *NEEDED,
]


def test_a_trojaned_upload_is_backdoored_and_its_report_opens(
    visitor: Visitor, browser: Any, tmp_path: Path
) -> None:
    visitor.upload(SAMPLES / "mnist-patch.safetensors")
    assert visitor.verdict() == "Backdoored"
    page = visitor.page
    page.get_by_role("heading", name="Recovered trigger").wait_for()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="HTML report").click()
    path = tmp_path / "report.html"
    waiting.value.save_as(path)
    context = browser.new_context()
    report, asked = context.new_page(), []
    report.on("request", lambda r: asked.append(r.url))
    report.goto(path.as_uri())
    assert "Backdoored: a patch leads all images to class 6" in report.locator(".verdict").inner_text()
    assert "patches" in report.locator("table.covered tr.hit").inner_text()
    assert report.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert [u for u in asked if not u.startswith(("data:", "file:"))] == []
    context.close()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="JSON").click()
    assert json.loads(Path(waiting.value.path()).read_text())["verdict"] == "backdoored"


def test_a_clean_upload_is_clean_and_leaves_the_servers_memory(visitor: Visitor, server: str) -> None:
    visitor.page.get_by_text("Settings", exact=True).click()
    offered = visitor.page.locator(".st-key-settings-streams [role=toolbar]")
    assert offered.evaluate("e => e.scrollWidth <= e.clientWidth"), "no stream is hidden beside the column"
    visitor.upload(SAMPLES / "mnist-clean.safetensors")
    assert visitor.verdict() == "Clean"
    box = visitor.page.locator(".ti-verdict").inner_text()
    assert "of patches, blends, warps and input-dependent triggers that lead all images to one class" in box
    assert "Not looked for: " in box
    links = visitor.page.locator(".ti-map")
    assert links.evaluate("e => e.scrollWidth <= e.clientWidth"), "no link of the map is hidden"
    visitor.page.set_viewport_size({"width": 390, "height": 900})
    table = visitor.page.locator("table.ti-covered")
    assert table.evaluate("e => e.scrollWidth <= e.parentElement.clientWidth")
    main = visitor.page.locator("[data-testid=stMain]")
    assert main.evaluate("e => e.scrollWidth <= e.clientWidth"), "a phone need not scroll sideways"
    with urllib.request.urlopen(f"{server}/_stcore/metrics", timeout=60) as answer:
        assert "UploadedFileManager" not in answer.read().decode()


@pytest.mark.parametrize("data_set", [name for name in pack_names() if name != "mnist"])
def test_a_sample_is_compared_with_the_pack_of_its_own_data_set(visitor: Visitor, data_set: str) -> None:
    """With the streams of few passes: the others take minutes with many classes, and are tested with MNIST."""
    found = data_set == "cifar10"
    visitor.only("saliency", *(["windowed"] if found else []))
    visitor.sample("patch", data_set)
    word, names = visitor.verdict(), load_pack(data_set).class_names
    visitor.page.get_by_text(f"reference pack {data_set}", exact=True).wait_for()
    small = visitor.page.locator(".ti-grid td small")
    small.first.wait_for()
    seen = small.all_inner_texts()
    assert seen and all(
        any(name.startswith(s.removeprefix("sees ").rstrip("…")) for name in names) for s in seen
    )
    if found:
        target = json.loads((SAMPLES / f"{data_set}-patch.json").read_text())["target"]
        assert word == "Backdoored" and f"all images to class {names[target]}" in visitor.says()


def test_images_of_ones_own_take_the_place_of_a_pack(visitor: Visitor, home: Path, tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "mine"
    folder.mkdir()
    pixels = (255 * load_pack("mnist").images[:60, 0]).round().byte().numpy()
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{i}.png")
    shutil.make_archive(str(folder), "zip", folder)
    page = visitor.page
    page.get_by_text("My own images", exact=True).click()
    page.locator('input[type="file"]').nth(1).set_input_files(str(folder.with_suffix(".zip")))
    page.get_by_text("mine.zip").wait_for()
    visitor.upload(SAMPLES / "mnist-patch.safetensors")
    assert visitor.verdict() == "Backdoored"
    page.get_by_text("No reference models took part").wait_for()
    assert not list((home / "work").glob("*.attached"))


def test_cancel_stops_a_running_inspection(visitor: Visitor) -> None:
    visitor.sample("blend")
    cancel = visitor.page.get_by_role("button", name="Cancel")
    cancel.wait_for()
    # The page redraws itself while an inspection runs; a click into a redraw may go nowhere, as a visitor's might.
    stopped = visitor.page.get_by_text("The inspection was stopped")
    end = time.monotonic() + PATIENCE / 1000
    while not stopped.is_visible() and time.monotonic() < end:
        if cancel.is_visible():
            cancel.click()
        visitor.page.wait_for_timeout(500)
    stopped.wait_for()
    visitor.samples().get_by_role("button", name="MNIST blend").wait_for()


def test_quantiles_redraw_without_a_job(visitor: Visitor, home: Path) -> None:
    visitor.sample("patch")
    visitor.verdict()
    # A link of the map opens the section that it leads to, and the address says so; a reload finds it open.
    page = visitor.page
    page.locator(".ti-map").get_by_role("link", name="Histograms of saliency").click()
    page.get_by_role("button", name="Hide Histograms of saliency").wait_for()
    page.wait_for_function("() => location.search.includes('histograms-of-saliency')")
    page.reload()
    page.get_by_role("button", name="Hide Histograms of saliency").wait_for()
    assert not page.get_by_role("button", name="Hide Why").count()
    kept = len(list((home / "cases").iterdir()))
    box = visitor.page.get_by_label("Quantiles").last
    box.click()
    box.press_sequentially("0.75")
    box.press("Enter")
    visitor.page.get_by_text("other settings than the verdict above").wait_for()
    # The chart's title stands on two lines.
    visitor.page.get_by_text("75th quantile", exact=True).first.wait_for()
    assert len(list((home / "cases").iterdir())) == kept


class Hostile:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch /tmp/trojaninterpret-was-run",)


def test_a_malicious_pickle_is_refused_with_a_reason(visitor: Visitor, tmp_path: Path) -> None:
    import torch

    path = tmp_path / "<img src=x onerror=alert(1)>.pt"
    torch.save({"state_dict": Hostile()}, path)
    visitor.upload(path)
    visitor.page.get_by_text("was not inspected").wait_for()
    said = visitor.page.locator("[data-testid=stMain]").inner_text()
    assert re.search(r"(posix|os)\.?\s?system", said) and "Traceback" not in said
    assert not Path("/tmp/trojaninterpret-was-run").exists()
    assert visitor.page.locator("img[src='x']").count() == 0
    legacy = tmp_path / "legacy.pkl"
    legacy.write_bytes(pickle.dumps(Hostile()))
    visitor.upload(legacy)
    visitor.page.get_by_text("legacy.pkl was not inspected").wait_for()
    assert not Path("/tmp/trojaninterpret-was-run").exists()
    _sketch_of_branches(visitor, tmp_path / "branches.pt")


def _sketch_of_branches(visitor: Visitor, path: Path) -> None:
    """A network that branches is refused with a box for its layers, which is checked as it is left."""
    import torch
    from torch import nn

    parts = {"left": nn.Conv2d(1, 4, 3), "right": nn.Conv2d(1, 5, 5), "joined": nn.Conv2d(9, 10, 1)}
    torch.save(nn.ModuleDict(parts).state_dict(), path)
    visitor.upload(path)
    visitor.page.get_by_text("branches.pt was not inspected").wait_for()
    box = visitor.page.get_by_role("textbox", name="Sketch")
    box.fill("conv 4 3; conv 9 9")
    box.blur()
    visitor.page.get_by_text("layers that no tensors of the file fit: conv 9 9").wait_for()
    inspect = visitor.page.get_by_role("button", name="Inspect with these layers")
    assert inspect.is_disabled()
    box.fill("concat { conv 4 3 padding 1 } { conv 5 5 padding 2 }; conv 10 1; globalavgpool; flatten")
    box.blur()
    visitor.page.get_by_text("All 3 layers fit, and no tensor is left over").wait_for()
    assert inspect.is_enabled()


def test_a_file_beyond_the_limit_is_refused(visitor: Visitor, tmp_path: Path) -> None:
    path = tmp_path / "huge.safetensors"
    with path.open("wb") as file:
        file.truncate(1100 * 1024**2)
    visitor.page.locator('input[type="file"]').first.set_input_files(str(path))
    visitor.page.get_by_text(re.compile("must be (1024(.0)? ?MB|1(.0)? ?GB) or smaller")).wait_for()
    visitor.sample("clean")
    assert visitor.verdict() == "Clean"


def test_a_case_survives_a_reload_and_is_found_in_the_list_and_back_leaves_it(visitor: Visitor) -> None:
    visitor.sample("clean")
    visitor.verdict()
    address = visitor.page.url
    assert "case=" in address and "ticket=" not in address
    begin = visitor.page.get_by_role("heading", name="Is there a backdoor in this model?")
    visitor.page.go_back()
    begin.wait_for()
    visitor.page.wait_for_function("() => !location.search")
    visitor.page.go_forward()
    assert visitor.verdict() == "Clean" and visitor.page.url == address
    visitor.page.add_init_script(
        "window.seen=[];new MutationObserver(()=>['.ti-verdict','.js-plotly-plot'].forEach(one=>"
        "!seen.includes(one)&&document.querySelector(one)&&seen.push(one))).observe(document,{childList:true,subtree:true})"
    )
    visitor.page.reload()
    assert visitor.verdict() == "Clean"
    visitor.page.locator(".js-plotly-plot").first.wait_for()
    assert visitor.page.evaluate("seen") == [".ti-verdict", ".js-plotly-plot"], (
        "the verdict waits for no chart"
    )
    visitor.go("/cases")
    visitor.page.get_by_text("Every finished inspection").wait_for()
    visitor.page.locator("[data-testid=stDataFrame]").wait_for()


def test_two_models_are_compared(visitor: Visitor) -> None:
    from playwright import sync_api

    visitor.go("/compare")
    page = visitor.page
    for side, sample in (("Left", "mnist-clean"), ("Right", "mnist-patch")):
        box = page.get_by_role("combobox", name=side)
        box.click()
        page.get_by_role("option", name=f"Sample: {sample}").click()
        sync_api.expect(box).to_have_value(re.compile(f"Sample: {sample}"), timeout=PATIENCE)
    page.get_by_role("heading", name="What differs").wait_for()
    page.locator(".ti-grid").nth(1).wait_for()
    assert page.locator(".ti-grid").count() == 2


def test_two_sessions_at_once_each_get_their_own(browser: Any, server: str) -> None:
    one, two = Visitor(browser, server), Visitor(browser, server)
    one.sample("patch")
    two.sample("clean")
    assert (two.verdict(), one.verdict()) == ("Clean", "Backdoored")
    one.context.close()
    two.context.close()


def test_a_closed_tabs_job_ends(browser: Any, server: str, home: Path) -> None:
    other = Visitor(browser, server)
    kept = len(list((home / "cases").glob("2*")))
    other.sample("blend")
    other.page.get_by_role("button", name="Cancel").wait_for()
    other.context.close()
    end = time.monotonic() + 60
    while any((home / "work").iterdir()):
        assert time.monotonic() < end
        time.sleep(0.2)
    assert len(list((home / "cases").glob("2*"))) in (kept, kept + 1)


def test_the_page_is_narrow_enough_for_a_small_window(visitor: Visitor) -> None:
    visitor.page.set_viewport_size({"width": 800, "height": 900})
    visitor.sample("clean")
    visitor.verdict()
    overflow = visitor.page.evaluate(
        "() => { const m = document.querySelector('[data-testid=stMain]'); return m.scrollWidth - m.clientWidth; }"
    )
    assert overflow <= 1
    unnamed = visitor.page.evaluate(
        "() => [...document.querySelectorAll('.ti-grid img, .ti-strip img')].filter(i => !i.alt).length"
    )
    assert unnamed == 0


def test_axe_finds_no_barrier_on_any_page(visitor: Visitor, browser: Any, home: Path, tmp_path: Path) -> None:
    """Each page in a theme and at a width of its own; ``benchmarks.accessibility`` looks at all combinations."""
    from app.store.cases import CaseStore
    from benchmarks.accessibility import PAGES, barriers, settled, still
    from benchmarks.screenshots import finished

    kept = CaseStore(home).entries()
    if kept:
        visitor.go(f"/?case={kept[0].id}&open=all")
    else:
        visitor.sample("patch")
    visitor.verdict()
    page = visitor.page
    finished(page)
    still(page)
    found = {"verdict": barriers(page)}
    with page.expect_download() as download:
        page.get_by_role("button", name="HTML report").first.click()
    download.value.save_as(tmp_path / "report.html")
    for number, path in enumerate(PAGES):
        page.emulate_media(color_scheme=("light", "dark")[number % 2])
        page.set_viewport_size({"width": (390, 800, 1440)[number % 3], "height": 900})
        visitor.go(f"/{path}")
        settled(page, path)
        found[path] = barriers(page)
    context = browser.new_context()
    report = context.new_page()
    report.goto((tmp_path / "report.html").as_uri())
    found["report"] = barriers(report)
    context.close()
    assert not {name: lines for name, lines in found.items() if lines}
