"""Entry point of the dashboard: ``streamlit run app/main.py`` from the root of the repository.

Streamlit reads this file in two ways: once as a module, to find the server in ``app``, and again as the script of each
visitor's page.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Streamlit puts this file's folder on the path. The packages lie one folder above.
ROOT = str(Path(__file__).resolve().parent.parent)
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

# Plotly mistakes a half-imported pandas for a whole one when another thread has begun to import it.
# So pandas is imported first.
import pandas  # noqa: E402, F401
import streamlit as st  # noqa: E402

from app import address, state, status  # noqa: E402
from app.markup.page import style  # noqa: E402
from app.server import server  # noqa: E402
from app.views import attack_lab, cases, compare, demonstration, inspect, packs, training_data  # noqa: E402


@st.cache_resource(show_spinner=False)
def warm() -> None:
    """Once per server, before the first request: start the processes that open model files, and read the packs.

    A pack that does not come with the program is not read.
    """
    import threading

    def work() -> None:
        from contextlib import suppress

        from ti_core.errors import TrojanInterpretError
        from ti_core.reference.known import is_known
        from ti_core.worker import warm_up

        with suppress(OSError, TrojanInterpretError):
            warm_up(2)
            import ti_core.streams.saliency  # noqa: F401

            for pack in map(state.pack, state.packs()):
                _ = pack.baseline if is_known(pack) else None

    threading.Thread(target=work, daemon=True, name="warm-up").start()


def main() -> None:
    st.set_page_config(page_title="TrojanInterpret", page_icon="🔍", layout="wide")
    warm()
    st.logo(Path(__file__).with_name("logo.svg"), size="medium")
    st.html(style(state.colours()))
    pages = [
        st.Page(inspect.page, title="Inspect", icon=":material/search:", url_path="inspect", default=True),
        st.Page(compare.page, title="Compare", icon=":material/compare:", url_path="compare"),
        st.Page(attack_lab.page, title="Attack lab", icon=":material/science:", url_path="lab"),
        st.Page(
            training_data.page, title="My training data", icon=":material/dataset:", url_path="training-data"
        ),
        st.Page(
            demonstration.page,
            title="Demonstration",
            icon=":material/present_to_all:",
            url_path="demonstration",
        ),
        st.Page(packs.page, title="Reference packs", icon=":material/inventory_2:", url_path="packs"),
        st.Page(cases.page, title="Cases", icon=":material/folder_open:", url_path="cases"),
    ]
    st.session_state["pages"] = {page.url_path or "inspect": page for page in pages}
    chosen = st.navigation(pages, position="top")
    if chosen.url_path not in ("", "inspect"):
        address.leave()
        status.elsewhere(pages[0])
    if chosen.url_path != "compare":
        address.leave_comparison()
    chosen.run()


if __name__ == "__main__":
    main()
else:
    app = st.App(__file__, middleware=server.middleware(), on_script_error=server.failed)
