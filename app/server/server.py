"""The server's middleware, and the message that a visitor reads when a page fails."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from streamlit import config, file_util

from app.server.compressed import Compressed
from app.server.guard import Guard
from app.server.headers import security_headers
from app.server.index_page import index_page
from app.server.late_charts import LateCharts
from app.store.arrivals import arrivals
from app.store.uploads import Held

METRICS = "TROJANINTERPRET_METRICS"
"""Set to 1, this machine itself may read Streamlit's metrics."""
FULL = (errno.ENOSPC, errno.EDQUOT)


def middleware() -> list[Middleware]:
    """What every request passes before it reaches Streamlit, the outermost first."""
    scripts = Path(file_util.get_static_dir()) / "static" / "js"
    return [guard(), Middleware(LateCharts, folder=scripts), Middleware(Compressed)]


def guard() -> Middleware:
    """The middleware that limits and answers for this server (:mod:`app.server.guard`)."""
    page = index_page(
        Path(file_util.get_static_dir()) / "index.html",
        str(config.get_option("server.baseUrlPath")).strip("/"),
    )
    origins = frozenset(o.rstrip("/") for o in config.get_option("server.corsAllowedOrigins") or ())
    return Middleware(
        Guard,
        headers=security_headers(page[1].decode()),
        held=Held(),
        arrivals=arrivals(),
        origins=origins,
        metrics=os.environ.get(METRICS) == "1",
        page=page,
    )


def failed(error: Exception) -> bool:
    """Show a sentence instead of a page that could not be drawn. The details go to the log only."""
    logging.getLogger("app").error("A page could not be drawn.", exc_info=error)
    st.error(sentence(error), icon=":material/error:")
    return True


def sentence(error: Exception) -> str:
    """The sentence that a visitor reads about an unexpected error."""
    if isinstance(error, OSError) and error.errno in FULL:
        return (
            "The disk of this machine is full; free some space and reload the page. Finished cases are kept."
        )
    return (
        f"This page could not be drawn ({type(error).__name__}); reload it. Finished cases are kept, and the server's"
        " log says what happened."
    )
