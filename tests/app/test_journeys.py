"""Four people, each from the first page to what they came for: the real server, real workers, a real browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.story.steps import STEPS
from tests.app.visitor import NEEDED, PATIENCE, ROOT, SAMPLES, Visitor, browser, home, server, visitor

__all__ = ["browser", "home", "server", "visitor"]

pytestmark = [
    pytest.mark.journeys,
    *NEEDED,
]


def downloaded(page: Any, button: str, path: Path) -> Path:
    """The file that a button gives."""
    with page.expect_download() as waiting:
        page.get_by_role("button", name=button, exact=True).first.click()
    waiting.value.save_as(path)
    return path


def tuned(page: Any, stream: str) -> None:
    """Switch a stream off on the verdict page and inspect again."""
    before = page.url
    pills = page.locator('[class*="tune-streams"]')
    if not pills.is_visible():
        page.get_by_text("Tune and inspect again").first.click()
    pills.get_by_role("button", name=stream, exact=True, pressed=True).click()
    again = page.get_by_role("button", name="Inspect again")
    page.wait_for_function("e => !e.disabled", arg=again.element_handle())
    again.click()
    page.wait_for_function("old => location.href !== old && location.search.includes('case=')", arg=before)
    page.get_by_text("Beside the verdict before").wait_for()


def test_a_reviewer_hands_in_a_model_tunes_it_twice_compares_and_leaves_with_a_report(
    visitor: Visitor, browser: Any, tmp_path: Path
) -> None:
    page, model = visitor.page, tmp_path / "from-a-vendor.safetensors"
    shutil.copyfile(SAMPLES / "mnist-patch.safetensors", model)
    page.locator('input[type="file"]').first.set_input_files(str(model))
    for said in ("Format", "Quick look takes", "Inspection takes", "Thorough one takes"):
        page.get_by_text(said, exact=True).wait_for()
    page.get_by_role("button", name="Inspect", exact=True).click()
    assert visitor.verdict() == "Backdoored"
    for stream in ("inversion", "universal"):
        tuned(page, stream)
        assert visitor.verdict() == "Backdoored"
    page.get_by_text("1 setting of this verdict other than the pack's").wait_for(state="attached")
    address = page.url
    visitor.go("/compare")
    for side, option in (("Left", "from-a-vendor.safetensors,"), ("Right", "Sample: mnist-clean")):
        page.get_by_role("combobox", name=side).click()
        page.get_by_role("option", name=option).first.click()
    page.get_by_role("heading", name="What differs").wait_for()
    page.goto(address)
    assert visitor.verdict() == "Backdoored"
    path = downloaded(page, "HTML report", tmp_path / "report.html")
    context = browser.new_context(offline=True)
    report = context.new_page()
    report.goto(path.as_uri())
    assert "Backdoored" in report.locator(".verdict").inner_text()
    assert "from-a-vendor.safetensors" in report.inner_text("body")
    context.close()


def test_a_presenter_tells_the_story_by_one_key_and_never_scrolls(visitor: Visitor) -> None:
    visitor.go("/demonstration")
    page = visitor.page
    main = page.locator("[data-testid=stMain]")
    for number, step in enumerate(STEPS):
        heading = page.get_by_role("heading", name=step.title, exact=True)
        heading.wait_for()
        if step.needs_case:
            page.locator(".st-key-story-says").wait_for()
        page.wait_for_timeout(1500)
        assert main.evaluate("e => e.scrollHeight - e.clientHeight") <= 2, (
            f"step {number + 1} has to be scrolled"
        )
        if number < len(STEPS) - 1:
            page.keyboard.press("ArrowRight")
    assert page.get_by_role("button", name="HTML report").count() == 1
    page.keyboard.press("ArrowLeft")
    page.get_by_role("heading", name=STEPS[-2].title, exact=True).wait_for()


def scan(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """A scan from the command line, as a pipeline runs it."""
    command = [
        sys.executable,
        "-m",
        "ti_core",
        "scan",
        str(folder),
        "--pack",
        "mnist",
        "-q",
        *more,
    ]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE / 1000, check=False
    )


def test_a_pipeline_engineer_fails_a_build_once_and_reads_why_in_a_browser(
    browser: Any, tmp_path: Path
) -> None:
    models, pages, lines = (tmp_path / name for name in ("models", "pages", "known.jsonl"))
    models.mkdir()
    for name in ("mnist-clean", "mnist-blend"):
        shutil.copyfile(SAMPLES / f"{name}.safetensors", models / f"{name}.safetensors")
    (models / "broken.pt").write_bytes(b"no model")
    sarif, junit = tmp_path / "found.sarif", tmp_path / "found.xml"
    done = scan(
        models,
        *("--html", str(pages), "--sarif", str(sarif), "--junit", str(junit), "--jsonl", str(lines)),
        *("--fail-on", "backdoored"),
    )
    assert done.returncode == 1, done.stderr
    results = json.loads(sarif.read_text())["runs"][0]["results"]
    named = {
        r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].rpartition("/")[2] for r in results
    }
    assert "mnist-blend.safetensors" in named and "mnist-clean.safetensors" not in named
    assert "mnist-clean" in junit.read_text()
    context = browser.new_context(offline=True)
    page = context.new_page()
    (told,) = (p for p in pages.glob("*.html") if "mnist-blend" in p.name)
    page.goto(told.as_uri())
    assert "Backdoored" in page.locator(".verdict").inner_text()
    context.close()
    again = scan(
        models, "--baseline", str(lines), "--fail-on", "backdoored", "--jsonl", str(tmp_path / "new.jsonl")
    )
    assert again.returncode == 0, again.stderr


def test_a_researcher_asks_other_methods_reads_a_pack_and_shares_a_comparison(
    visitor: Visitor, browser: Any, tmp_path: Path
) -> None:
    page = visitor.page
    visitor.sample("blend")
    assert visitor.verdict() == "Backdoored"
    page.locator(".ti-map").get_by_role("link", name="Second opinions").click()
    page.get_by_role("button", name="Ask them").click()
    page.get_by_text("Neural Cleanse", exact=False).last.wait_for()
    opinions = json.loads(downloaded(page, "Opinions (JSON)", tmp_path / "opinions.json").read_text())
    assert {one["method"] for one in opinions["given"]} >= {"neural_cleanse", "linear_weights"}
    figures = downloaded(page, "All figures", tmp_path / "figures.zip")
    assert figures.stat().st_size > 10_000
    visitor.go("/packs")
    page.locator(".js-plotly-plot").first.wait_for()
    visitor.go("/compare")
    page.get_by_role("button", name="Compare with one more").click()
    for side, option in (("Left", "clean"), ("Right", "patch"), ("Third", "blend")):
        page.get_by_role("combobox", name=side).click()
        page.get_by_role("option", name=f"Sample: mnist-{option}").first.click()
    page.locator(".ti-grid").nth(2).wait_for()
    page.wait_for_function("() => location.search.length > 1")
    other = Visitor(browser, visitor.address)
    other.page.goto(page.url)
    other.page.get_by_role("heading", name="What differs").wait_for()
    other.page.locator(".ti-grid").nth(2).wait_for()
    other.context.close()
    assert re.search(r"[?&]", page.url)
