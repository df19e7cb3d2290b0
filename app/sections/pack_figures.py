"""Detection performance of a reference pack: Table 1, ROC and calibration curves of its held-out members."""

from __future__ import annotations

import streamlit as st

from app import state, words
from app.charts.curves import calibration_curve, held_out_scores, roc_curves
from app.charts.packs import table_forest
from app.charts.verdict import CONFIG
from ti_core.errors import PackError
from ti_core.evaluation import pack_summary
from ti_core.evaluation.curves import Curves, curves
from ti_core.evaluation.table import PAPER_AUC, Row
from ti_core.reference.known import is_known
from ti_core.reference.pack import Pack

STREAM_WORDS = {"joint": "All streams", "saliency": "Saliency alone"}


def table(pack: Pack) -> None:
    """Table 1 of the paper on this pack's held-out members."""
    st.header("How well it detects")
    try:
        rows = sorted(
            pack_summary.table(pack), key=lambda r: (r.what, r.family != "all", r.family, r.streams)
        )
    except PackError as error:
        st.info(words.safe(str(error)), icon=":material/info:")
        return
    clean, trojaned = max(r.clean for r in rows), sum(m.held_out and m.trojaned for m in pack.members)
    st.markdown(
        f"Table 1 of the paper on this pack: measured on {clean} clean and {trojaned} backdoored models that took no"
        " part in fitting. The fewer they are, the wider the 95% interval beside each figure, which holds the true"
        " value in 95 of 100 such measurements."
    )
    paper = PAPER_AUC.get(pack.name, {})
    st.plotly_chart(
        table_forest(rows, paper, _name, state.colours()),
        theme=None,
        config=CONFIG,
        key="packs.table.chart",
        alt="Area under the ROC curve with 95% intervals: "
        + "; ".join(f"{_name(r)} {STREAM_WORDS.get(r.streams, r.streams)} {r.auc:.2f}" for r in rows),
    )
    st.caption(
        "In brackets the backdoored models that a row rests on."
        + (
            " The paper measured its stream on the Trojan Detection Challenge's own networks, so that its crosses are a"
            " yardstick rather than the same measurement."
            if paper
            else ""
        )
    )
    with st.expander("Table 1 in figures", icon=":material/table:"):
        st.dataframe(
            [_line(r) for r in rows], hide_index=True, width="stretch", alt="Table 1 with 95% intervals"
        )
        st.caption(
            "Accuracy, found and false alarms at the pack's upper threshold, from which on a model is called"
            " backdoored; accuracy is the mean of both sides. Target class right: among the models found."
        )


def _name(row: Row) -> str:
    return f"{row.what.capitalize()}, {row.family} ({row.trojaned})"


def _line(row: Row) -> dict[str, str]:
    return {
        "Evidence": STREAM_WORDS.get(row.streams, row.streams),
        "Trigger": row.what.capitalize(),
        "Family": row.family,
        "AUC": f"{row.auc:.3f}",
        "95% interval": f"{row.low:.3f} to {row.high:.3f}",
        "Accuracy": f"{row.accuracy:.0%}",
        "Found": f"{row.found:.0%}",
        "False alarms": f"{row.false_alarms:.0%}",
        "Of hard clean models": "–" if row.hard_alarms is None else f"{row.hard_alarms:.0%} of {row.hard}",
        "Target class right": "–" if row.target is None else f"{row.target:.0%}",
        "Models": f"{row.trojaned} backdoored, {row.clean} clean",
    }


def held_out(pack: Pack) -> None:
    """ROC and calibration curves, and the score of every held-out member."""
    st.header("Curves of the held-out models")
    try:
        old = pack_summary.outdated(pack)
        if old:
            st.info(
                f"This pack ships its {' and '.join(old)} evidence in another version than this program's, so that"
                " drawing the curves would run all its models; build the pack again to see them.",
                icon=":material/info:",
            )
            return
        if not is_known(pack):
            # A damaged file of CatBoost can crash the process that opens it.
            st.info(
                "The server draws curves only of packs that come with the program. Of this one,"
                f" `python -m ti_core evaluate --pack {words.plain(pack.name, 40)}` measures the same, in a confined"
                " process.",
                icon=":material/info:",
            )
            return
        found = _curves(pack.sha256, pack)
    except PackError as error:
        st.info(words.safe(words.for_the_page(str(error))), icon=":material/info:")
        return
    offered = [name for name in STREAM_WORDS if name in found]
    chosen = st.segmented_control(
        "Evidence",
        offered,
        default=offered[0],
        format_func=STREAM_WORDS.__getitem__,
        required=True,
        key="packs.curves.streams",
        help="All streams together decide an inspection; saliency alone is the paper's method.",
    )
    one = found[chosen]
    left, right = st.columns(2, gap="large")
    with left:
        _roc(one)
    with right:
        _calibration(one)
    st.markdown("**Every held-out model**")
    st.plotly_chart(
        held_out_scores(one, state.colours()),
        theme=None,
        config=CONFIG,
        key="packs.scores",
        alt=_scores(one),
    )
    st.caption(_scores(one))


def _roc(one: Curves) -> None:
    """ROC curves, and the number of models behind them."""
    clean = one.labels.count("clean")
    st.markdown("**ROC curves**")
    said = "; ".join(f"{r.kind} AUC {r.auc:.3f}, 95% interval {r.low:.3f} to {r.high:.3f}" for r in one.roc)
    st.plotly_chart(
        roc_curves(one.roc, one.upper, state.colours()),
        theme=None,
        config=CONFIG,
        key="packs.roc",
        alt=f"ROC curves: {said}",
    )
    kinds = " and ".join(f"{one.labels.count(r.kind)} {r.kind}" for r in one.roc)
    st.caption(
        f"From {kinds} models against {clean} clean ones; one clean model is {1 / max(1, clean):.1%} of the way"
        f" across. The marks are at the threshold {one.upper:.0%} from which on a model is called backdoored; the"
        " dotted line is a guess."
    )


def _calibration(one: Curves) -> None:
    """The calibration curve with its Brier score."""
    st.markdown("**Calibration**")
    bins = one.calibration
    st.plotly_chart(
        calibration_curve(bins, state.colours()),
        theme=None,
        config=CONFIG,
        key="packs.calibration",
        alt=f"Calibration of {len(one.labels)} models; Brier score {bins.brier:.3f}",
    )
    least, most = int(bins.count.min()), int(bins.count.max())
    st.caption(
        f"{len(one.labels)} models in {len(bins.count)} groups of {least if least == most else f'{least} to {most}'},"
        f" each with its 95% interval; on the dotted line a probability is exact. Brier"
        f" score {bins.brier:.3f}, where 0 is perfect and 0.25 a coin."
    )


def _scores(found: Curves) -> str:
    """The verdicts on the held-out models, counted."""
    parts = []
    for label in dict.fromkeys(("clean", "blend", "patch", *found.labels)):
        own = [p for p, name in zip(found.probability, found.labels, strict=True) if name == label]
        if own:
            above, below = sum(p >= found.upper for p in own), sum(p < found.lower for p in own)
            parts.append(
                f"of {len(own)} {label} model{'' if len(own) == 1 else 's'} {above} {'is' if above == 1 else 'are'}"
                f" called backdoored, {below} clean and {len(own) - above - below} neither"
            )
    text = "; ".join(parts)
    return text[:1].upper() + text[1:] + "."


@st.cache_resource(show_spinner="Drawing the curves from the pack's evidence", max_entries=8)
def _curves(pack_sha256: str, _pack: Pack) -> dict[str, Curves]:
    return curves(_pack)
