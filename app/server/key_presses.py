"""A script of the page that turns the steps of the demonstration by the arrow keys, and loses no press.

Streamlit sends each press of a button as a signal, and two signals that arrive while the server is busy become one. So
a presenter who presses a key twice, or while the next step is being drawn, would move on by one step only. This script
takes the arrow keys before Streamlit does. It keeps the presses in order, and presses the page's button for the next
one once the number of the step of the one before is shown. A press within a control that has arrow keys of its own is
left alone, and so is the repetition of a key that is held down.
"""

from __future__ import annotations

BAR = "story-turn"
"""Key of the container with both buttons and the number of the step."""
BUTTONS = {"ArrowLeft": "story-back", "ArrowRight": "story-next"}
OWN = 'input,textarea,select,[contenteditable="true"],[role="radiogroup"],[role="tablist"],[role="grid"]'
"""Elements in which the arrow keys mean something else."""
PATIENCE = 40
"""Looks, 50 ms apart, after which a press that changed nothing on a page at rest is made again. The presses of a page
that is left are dropped after as many."""

TURNING = (
    "{let presses=[],from=null,idle=0,gone=0,timer=0;"
    f'const bar=()=>document.querySelector(".st-key-{BAR}");'
    "const rest=()=>{presses=[];from=null;clearInterval(timer);timer=0};"
    "const turn=()=>{const here=bar();if(!presses.length)return rest();"
    f"if(!here){{if(++gone>{PATIENCE})rest();return}}gone=0;"
    r"const at=/(\d+) of (\d+)/.exec(here.textContent);if(!at)return;const now=+at[1];"
    "if(from!==null&&from!==now){presses.shift();from=null;if(!presses.length)return}"
    f'if(from===null){{if(now===(presses[0]==="{BUTTONS["ArrowLeft"]}"?1:+at[2])){{presses.shift();return}}'
    "const button=here.querySelector(`.st-key-${presses[0]} button`);"
    "if(button&&!button.disabled){from=now;idle=0;button.click()}}"
    """else if(document.querySelector('[data-test-script-state="notRunning"]')){"""
    f"if(++idle>{PATIENCE})from=null}}else idle=0}};"
    'addEventListener("keydown",event=>{'
    f'const press={{ArrowLeft:"{BUTTONS["ArrowLeft"]}",ArrowRight:"{BUTTONS["ArrowRight"]}"}}[event.key];'
    "if(!press||!bar()&&!timer||event.ctrlKey||event.metaKey||event.altKey||event.shiftKey"
    f"||event.target.closest?.('{OWN}'))return;"
    "event.preventDefault();event.stopImmediatePropagation();if(event.repeat)return;"
    "presses.push(press);timer||=setInterval(turn,50);turn()},true)}"
)
