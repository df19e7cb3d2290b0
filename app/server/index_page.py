"""The page that Streamlit serves, with script that tells it where its server is, and more for links and keys.

Under an address such as ``/lab`` Streamlit's own page first asks for ``/lab/_stcore/health``, which does not exist, and
then for ``/_stcore/health``. Told where the server is, and that no page of another origin may command it, it connects
at once, without those requests. A link to a section of the page opens that section if it is closed
(:mod:`app.markup.section_map`). The arrow keys turn the demonstration (:mod:`app.server.key_presses`).

Streamlit's page loads the code of an element when the first one of its kind is to be drawn, which on a slow line is two
more waits. What the first page and a verdict begin with is loaded while the page waits for the server.

Fonts are most of what a slow line would wait for. The theme takes the system's own font, from the first moment on, so
that the line by which Streamlit's page asks for another one goes. The font of the icons is loaded once the page is
drawn and can be used: before that, icons are empty boxes.
"""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Scope, Send

from app.server.key_presses import TURNING
from app.server.late_charts import import_map

PAGES = ("compare", "lab", "training-data", "demonstration", "packs", "cases")
"""Addresses of the pages of ``app/main.py``, except for the first page, which has none."""
HEAD, END = "<head>", b"</head>"
FONT = re.compile(rb'<link\s+rel="preload"[^>]*\bas="font"[^>]*>\s*')
OPENING = (
    'addEventListener("click",event=>{const link=event.target.closest("a[href^=\'#\']");'
    'if(link)document.querySelector(".st-key-show-"+CSS.escape(link.hash.slice(1))+" button")?.click()},true)'
)
"""Presses the button that opens the section to which a followed link leads."""
HOST = (
    "{allowedOrigins:[location.origin],useExternalAuthToken:false,enableCustomParentMessages:false,"
    'blockErrorDialogs:false,metricsUrl:""}'
)
"""Which pages may embed and command this one: none but its own."""
SOON = ("Html", "FileUploader", "Button", "DownloadButton")
"""Names of the files of Streamlit's page that are wanted first."""
IMPORTED = re.compile(r"""\b(?:from|import)["']\./([\w.-]+\.js)["']""")
EARLY = '{bodyFont:"system-ui",headingFont:"system-ui"}'
"""The theme before that of ``.streamlit/config.toml`` arrives."""
LATE = "ti-without-icons"
ICONS = (
    "let drawn=0,late=[];const load=document.fonts.load.bind(document.fonts);"
    "document.fonts.load=(...asked)=>new Promise(done=>late.push(()=>done(load(...asked))));"
    f'document.documentElement.classList.add("{LATE}");'
    "const show=()=>{clearInterval(look);document.fonts.load=load;late.splice(0).forEach(one=>one());"
    f'document.documentElement.classList.remove("{LATE}")}},'
    "look=setInterval(()=>{const there=name=>document.querySelector("
    """'[data-test-script-state="notRunning"] [data-testid="'+name+'"]');"""
    'drawn=there("stHeading")&&!there("stSkeleton")?drawn+1:0;if(drawn>2)show()},200);'
    "setTimeout(show,10000);"
)
"""Has the icons wait until a page is drawn, but not for ever. Streamlit asks for their font at once; that waits too."""
STYLE = (
    f"<style>.{LATE} span[translate=no][aria-hidden=true]{{font-family:system-ui!important;visibility:hidden;"
    "width:1em;overflow:hidden}</style>"
)


def index_page(index: Path, base: str = "") -> tuple[bytes, bytes]:
    """Streamlit's page as it lies on the disk, and with the script and without the font.

    Parameters
    ----------
    base : path that the server is configured to serve under (``server.baseUrlPath``). Where it is empty, a proxy may
        still serve under a path, so that the place is the page's own address without the name of the page.
    """
    place = (
        f"location.origin+{json.dumps('/' + base)}"
        if base
        else rf'location.origin+location.pathname.replace(/\/({"|".join(PAGES)})\/*$/,"/")'
    )
    original = index.read_bytes()
    told = f"LIGHT_THEME:{EARLY},DARK_THEME:{EARLY},HOST_CONFIG:{HOST},BACKEND_BASE_URL:{place}"
    script = f"<script>window.__streamlit={{{told}}};{ICONS}{OPENING};{TURNING}</script>"
    charts = import_map(index.parent / "static" / "js")
    page = FONT.sub(b"", original).replace(HEAD.encode(), (HEAD + STYLE + charts + script).encode(), 1)
    later = "".join(
        f'<link rel="modulepreload" crossorigin fetchpriority="low" href="./static/js/{name}">'
        for name in wanted_soon(index.parent / "static" / "js")
        if name.encode() not in original
    )
    return original, page.replace(END, later.encode() + END, 1)


def wanted_soon(folder: Path) -> list[str]:
    """The scripts of :data:`SOON` and all that they import; none if Streamlit names its files otherwise."""
    found: dict[str, None] = {}
    waiting = [path.name for name in SOON for path in sorted(folder.glob(f"{name}.*.js"))]
    while waiting:
        name = waiting.pop(0)
        if name not in found and (folder / name).is_file():
            found[name] = None
            waiting += IMPORTED.findall((folder / name).read_text(encoding="utf-8"))
    return list(found)


def replacing(send: Send, original: bytes, replacement: bytes, compress: bool = False) -> Send:
    """``send``, with a body of ``original`` replaced by ``replacement``; everything else passes as it is.

    Parameters
    ----------
    compress : whether the replacement is sent compressed.
    """
    held: Message | None = None
    body = b""

    async def pass_on(message: Message) -> None:
        nonlocal held, body
        if message["type"] == "http.response.start" and _may_be(message, len(original)):
            held = message
            return
        if held is None or message["type"] != "http.response.body":
            await send(message)
            return
        body += message.get("body", b"")
        if message.get("more_body"):
            return
        if body == original:
            headers = MutableHeaders(scope=held)
            body = gzip.compress(replacement, 6, mtime=0) if compress else replacement
            headers["content-length"] = str(len(body))
            if compress:
                headers["content-encoding"] = "gzip"
            # They are of the original.
            del headers["etag"], headers["last-modified"]
        await send(held)
        held = None
        await send({"type": "http.response.body", "body": body})

    return pass_on


def for_a_page(scope: Scope) -> Scope:
    """A browser's request for a page, without leave to compress the answer; every other request as it is.

    What is compressed could not be replaced.
    """
    headers = Headers(scope=scope)
    if "text/html" not in headers.get("accept", ""):
        return scope
    return {**scope, "headers": [pair for pair in scope["headers"] if pair[0].lower() != b"accept-encoding"]}


def _may_be(message: Message, size: int) -> bool:
    """Whether an answer begins like that page's."""
    headers = MutableHeaders(scope=message)
    return (
        message["status"] == 200
        and headers.get("content-type", "").startswith("text/html")
        and headers.get("content-length") == str(size)
    )
