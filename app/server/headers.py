"""Security headers: they tell the browser what to refuse, whatever a page contains."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping

INLINE_SCRIPT = re.compile(r"<script(?: type=\"importmap\")?>(.*?)</script>", re.DOTALL)

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    # Streamlit's components and Plotly set styles on elements as they draw them.
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self'",
    "media-src": "'self'",
    "manifest-src": "'self'",
    "worker-src": "'self' blob:",
    "frame-src": "'none'",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}

UNUSED = (
    "accelerometer",
    "autoplay",
    "camera",
    "display-capture",
    "geolocation",
    "gyroscope",
    "hid",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "publickey-credentials-get",
    "screen-wake-lock",
    "serial",
    "usb",
    "xr-spatial-tracking",
)
"""Browser features that no page uses."""

SCRIPTS = ("text/javascript", "application/javascript", "text/css")
"""Content types of scripts and style sheets. A browser takes them for nothing else (``nosniff``)."""
OF_A_SCRIPT = ("X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Resource-Policy")
"""Headers that mean something on a script or style sheet. The others speak to a page, and are most of a small file."""


def security_headers(page: str) -> dict[str, str]:
    """The headers of every response but scripts and style sheets (:func:`script_headers`).

    Parameters
    ----------
    page : the page that is served, as HTML. Its inline scripts are allowed by their digests. No other inline script is
        allowed.
    """
    digests = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in INLINE_SCRIPT.findall(page)
    ]
    policy = POLICY | {"script-src": " ".join([POLICY["script-src"], *digests])}
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": ", ".join(f"{name}=()" for name in UNUSED),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


def script_headers(of_a_page: Mapping[str, str]) -> dict[str, str]:
    """The headers of a script or style sheet, of those of a page. A first visit loads eighty of them.

    Opened as a page of its own, or as a worker, it may load nothing.
    """
    kept = {name: value for name, value in of_a_page.items() if name in OF_A_SCRIPT}
    return {"Content-Security-Policy": "default-src 'none'"} | kept
