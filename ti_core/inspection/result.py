"""Everything that one inspection made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ti_core.classifier.classifier import Classifier
from ti_core.detector.detector import Detector
from ti_core.inspection.trigger_occlusion import Occlusion
from ti_core.inspection.trigger_recovery import RecoveredTrigger
from ti_core.inspection.triggers.recovered import Recovered
from ti_core.paper.probes import Probes
from ti_core.results.formats.notebook import card, frame
from ti_core.results.report import Report
from ti_core.stream_registry import STREAMS
from ti_core.streams import Evidence, Reading
from ti_core.streams.base import Array
from ti_core.streams.searches.sparing import Sparing

if TYPE_CHECKING:
    import pandas


@dataclass
class Inspection:
    """Everything an inspection made: the report, and the arrays that its pictures are drawn from."""

    classifier: Classifier | None = None
    probes: Probes | None = None
    evidence: dict[str, Evidence] = field(default_factory=dict)
    reference: dict[str, dict[str, Array]] = field(default_factory=dict)
    readings: dict[str, Reading] = field(default_factory=dict)
    detectors: dict[str, Detector] = field(default_factory=dict)
    rows: dict[str, Array] = field(default_factory=dict)
    class_scores: dict[str, Array] = field(default_factory=dict)
    leading: str | None = None
    """The stream that found a backdoor by itself, where that is likelier than what all streams together suspect."""
    left_out: dict[str, float] = field(default_factory=dict)
    """Streams for which there was no time, and the seconds that each would have taken."""
    sparing: Sparing = field(default_factory=Sparing)
    """What was left out of the searches."""
    too_long: tuple[str, ...] = ()
    """Streams that take too long with a network of this size."""
    not_needed: tuple[str, ...] = ()
    """Streams that did not run, since the verdict was certain before."""
    too_large: tuple[str, ...] = ()
    """Streams that were begun, and for which there was not enough memory."""
    proof: RecoveredTrigger | None = None
    """The trigger that made the verdict certain before all streams had run."""
    unlike: tuple[str, ...] = ()
    """In what the network is unlike the clean reference models, a sentence each."""
    trigger: Recovered | None = None
    """The recovered trigger that is shown."""
    beside: RecoveredTrigger | None = None
    """The patch or blend for all images that counted as evidence, where a trigger of another kind is shown."""
    occlusion: Occlusion | None = None
    report: Report = field(init=False)

    def to_dict(self) -> dict[str, Any]:
        """The JSON report as plain data."""
        return self.report.as_dict()

    def to_frame(self) -> pandas.DataFrame:
        """One row a stream, for pandas."""
        return frame(self.report)

    def _repr_html_(self) -> str:
        """The verdict as a card, which a notebook shows."""
        return card(self.report)

    def in_order_of_report(self) -> None:
        """Put what the streams found into the order in which they report. They run in another one."""
        everything: tuple[dict[str, Any], ...] = (self.evidence, self.reference, self.readings)
        for found in everything:
            for name in [name for name in STREAMS if name in found]:
                found[name] = found.pop(name)

    @property
    def decided_by(self) -> str:
        """The detector that the verdict rests on: "joint", or "saliency" where no deep stream took part."""
        return "joint" if "joint" in self.detectors else "saliency"
