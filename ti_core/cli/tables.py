"""Tables as text for the command line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ti_core.evaluation.table import HANDFUL, PAPER_AUC
from ti_core.reference.families import HARD_NEGATIVES
from ti_core.reference.pack import Pack
from ti_core.text import shown

if TYPE_CHECKING:
    from ti_core.evaluation import Row
    from ti_core.evaluation.ablations import Ablations
    from ti_core.evaluation.methods import MethodTable
    from ti_core.evaluation.shift import Shift


STREAM_TITLES = {"saliency": "saliency (the paper's stream)", "joint": "all streams"}


TESTED = {
    "fitted": "fitted members, tested where they took no part in the fit",
    "held-out": "members held out from fitting",
    "all": "all members, tested where they took no part in the fit",
}


def evaluation_text(pack: Pack, rows: Sequence[Row]) -> str:
    """Table 1 with intervals, separately for both families, as aligned text."""
    head = (
        "streams",
        "kind",
        "family",
        "clean",
        "trojaned",
        "AUC",
        "95 % interval",
        "accuracy",
        "found",
        "false alarms",
        "of hard clean",
        "target right",
    )
    lines = [
        (
            STREAM_TITLES.get(r.streams, r.streams),
            f"{r.what}/clean",
            r.family,
            str(r.clean),
            str(r.trojaned),
            f"{r.auc:.3f}",
            f"{r.low:.3f} to {r.high:.3f}",
            f"{r.accuracy:.2f}",
            f"{r.found:.0%}",
            f"{r.false_alarms:.0%}",
            "-" if r.hard_alarms is None else f"{r.hard_alarms:.0%} of {r.hard}",
            "-" if r.target is None else f"{r.target:.0%}",
        )
        for r in rows
    ]
    data_set = pack.record["data_set"]
    paper = PAPER_AUC.get(data_set)
    note = (
        f"\nThe paper's own AUC on {data_set}: blend {paper['blend']:.2f}, patch {paper['patch']:.2f}"
        " (on the Trojan Detection Challenge's networks)."
        if paper
        else ""
    )
    if any(r.hard for r in rows):
        note = f"\nHard clean networks: {', '.join(sorted(HARD_NEGATIVES))}.{note}"
    return f"Pack {shown(pack.name)}, members held out from fitting:\n" + aligned(head, lines) + note


def methods_text(pack: Pack, table: MethodTable) -> str:
    """Second opinions on the held-out members, and what each finds that our verdict does not, as aligned text."""
    head = (
        *("method", "backdoor", "clean", "trojaned", "AUC", "95 % interval"),
        *("found", "false alarms", "target right", "seconds"),
    )
    lines = [
        (
            r.method,
            r.kind,
            str(r.clean),
            str(r.trojaned),
            f"{r.auc:.3f}",
            f"{r.low:.3f} to {r.high:.3f}",
            *("-" if share is None else f"{share:.0%}" for share in (r.found, r.false_alarms, r.target)),
            f"{r.seconds:.2f}",
        )
        for r in table.rows
    ]
    beyond = [
        f"Found by {name} and not by our verdict: {', '.join(map(shown, found))}."
        for name in table.versions
        if (found := table.beyond(name))
    ]
    return "\n".join(
        [f"Pack {shown(pack.name)}, members held out from fitting:", aligned(head, lines), *beyond]
    )


def few_networks(rows: Sequence[Row]) -> str:
    """A sentence on rows of Table 1 that rest on too few networks; empty if none does."""
    weak = sum(min(r.clean, r.trojaned) < HANDFUL for r in rows)
    if not weak:
        return ""
    which = "The row rests" if len(rows) == 1 else f"{weak} of the {len(rows)} rows rest"
    return f"{which} on fewer than {HANDFUL} clean or {HANDFUL} trojaned networks; such figures say little."


def shift_text(pack: Pack, shift: Shift) -> str:
    """The performance of the detector on recipes and architectures that it was not fitted to, as aligned text."""
    head = (
        "left out",
        "streams",
        "kind",
        "fitted",
        "clean",
        "trojaned",
        "AUC",
        "95 % interval",
        "found",
        "false alarms",
    )
    lines = [
        (
            r.title,
            STREAM_TITLES.get(r.row.streams, r.row.streams),
            f"{r.row.kind}/clean",
            "" if r.together else str(r.fitted),
            str(r.row.clean),
            str(r.row.trojaned),
            f"{r.row.auc:.3f}",
            f"{r.row.low:.3f} to {r.row.high:.3f}",
            f"{r.row.found:.0%}",
            f"{r.row.false_alarms:.0%}",
        )
        for r in shift.rows
    ]
    dropped = max((r.dropped for r in shift.rows if not r.together), default=0)
    notes = list(shift.notes)
    if dropped:
        notes.append(
            f"Up to {dropped} members shared a group with a tested one and were kept out of the fit."
        )
    return "\n".join(
        [
            f"Pack {shown(pack.name)}, fitted without the recipe or architecture it is tested on;"
            f" {TESTED[shift.members]}:",
            aligned(head, lines),
            "A recipe is left out with its clean counterpart: standard with the clean networks of standard training,"
            " challenge with the fine-tuned clean twins.",
            *notes,
        ]
    )


def ablations_text(pack: Pack, ablations: Ablations) -> str:
    """The paper's stream with one change at a time, as aligned text, with both kinds of trigger side by side."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for r in ablations.rows:
        cell = f"{r.auc:.3f} ({r.low:.3f} to {r.high:.3f})"
        found.setdefault((r.topic, r.name), {})[r.kind] = cell
    lines = [(*key, cells.get("blend", "-"), cells.get("patch", "-")) for key, cells in found.items()]
    return "\n".join(
        [
            f"Pack {shown(pack.name)}, the paper's stream alone; {TESTED[ablations.members]}; AUC (95 % interval):",
            aligned(("part", "changed to", "blend/clean", "patch/clean"), lines),
            *ablations.notes,
        ]
    )


def aligned(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Columns of text below their headings."""
    rows = [tuple(shown(cell) for cell in row) for row in (head, *lines)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def pack_text(pack: Pack) -> str:
    """The contents of a pack as text."""
    fitted = Counter((m.label, m.family) for m in pack.members if not m.held_out)
    held = Counter((m.label, m.family) for m in pack.members if m.held_out)
    lines = [
        (label, family, str(fitted[label, family]), str(held[label, family]), *_ranges(pack, label, family))
        for label, family in sorted(fitted | held)
    ]
    head = ("label", "family", "fitted", "held out", "clean accuracy", "attack success")
    c, h, w = pack.input_shape
    return (
        f"Pack {shown(pack.name)}: {shown(str(pack.record['data_set']))}, {len(pack.class_names)} classes,"
        f" images {c} x {h} x {w}, {len(pack.members)} members\nSHA-256 {pack.sha256}\n"
        + aligned(head, lines)
        + "\narchitectures: "
        + ", ".join(
            f"{n} {shown(name)}" for name, n in Counter(m.architecture for m in pack.members).most_common()
        )
    )


def _ranges(pack: Pack, label: str, family: str) -> tuple[str, str]:
    own = [m for m in pack.members if (m.label, m.family) == (label, family)]
    success = [m.attack_success for m in own if m.attack_success is not None]
    accuracies = [m.clean_accuracy for m in own]
    return (
        f"{min(accuracies):.3f} to {max(accuracies):.3f}",
        f"{min(success):.3f} to {max(success):.3f}" if success else "-",
    )
