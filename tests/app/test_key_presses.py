"""The arrow keys of the demonstration: on a page whose buttons are slow, no press is lost and none counts twice."""

from __future__ import annotations

from typing import Any

import pytest

from app.server.key_presses import BAR, BUTTONS, TURNING
from tests.app.visitor import NEEDED, PATIENCE, browser

__all__ = ["browser"]

pytestmark = [pytest.mark.browser, NEEDED[0]]

STEPS = 8
PAGE = f"""
<input><div id="app" data-test-script-state="notRunning"></div>
<script>
let step = 1, lost = 0, pressed = 0;
const app = document.querySelector("#app");
function draw(shown) {{
  const button = (key, to) => `<div class="st-key-${{key}}"><button ${{to < 1 || to > {STEPS} ? "disabled" : ""}}
    onclick="press(${{to}})">icon ${{Math.random()}} named</button></div>`;
  const bar = button("{BUTTONS["ArrowLeft"]}", step - 1) + button("{BUTTONS["ArrowRight"]}", step + 1);
  app.innerHTML = shown ? `<div class="st-key-{BAR}">${{bar}}${{step}} of {STEPS}</div>` : "";
}}
// As with Streamlit: a press while the server is busy is merged with the one before, and the page is drawn in parts.
function press(to) {{
  pressed++;
  if (app.dataset.testScriptState === "running" || lost-- > 0) return;
  app.dataset.testScriptState = "running";
  setTimeout(() => draw(false), 40);
  setTimeout(() => {{ step = to; draw(true); app.dataset.testScriptState = "notRunning"; }}, 160);
}}
draw(true);
</script>"""


@pytest.fixture
def page(browser: Any) -> Any:
    context = browser.new_context()
    found = context.new_page()
    found.set_default_timeout(PATIENCE)
    found.set_content(PAGE)
    found.add_script_tag(content=TURNING)
    yield found
    context.close()


def test_presses_while_a_step_is_drawn_are_kept_in_order(page: Any) -> None:
    for key in ["ArrowRight"] * 5 + ["ArrowLeft"] * 2:
        page.keyboard.press(key)
    page.wait_for_function("() => pressed === 7 && step === 4")
    page.wait_for_timeout(400)
    assert page.evaluate("[step, pressed]") == [4, 7]


def test_presses_beyond_the_ends_are_dropped(page: Any) -> None:
    for key in ["ArrowLeft"] * 2 + ["ArrowRight"] * (STEPS + 2) + ["ArrowLeft"]:
        page.keyboard.press(key)
    page.wait_for_function(f"() => pressed === {STEPS} && step === {STEPS - 1}")


def test_a_press_that_the_page_did_not_take_is_made_again(page: Any) -> None:
    page.evaluate("lost = 1")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => step === 2")
    assert page.evaluate("pressed") == 2


def test_keys_of_a_control_and_of_the_browser_are_left_alone(page: Any) -> None:
    page.locator("input").focus()
    page.keyboard.press("ArrowRight")
    page.locator("body").focus()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Alt+ArrowRight")
    page.keyboard.press("ArrowDown")
    page.wait_for_timeout(200)
    assert page.evaluate("pressed") == 0
