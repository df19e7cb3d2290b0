"""The case of an inspection without a reference pack, on the user's own clean images."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ti_core.inspection.case_builder import card
from ti_core.inspection.case_trigger import trigger_arrays
from ti_core.inspection.result import Inspection
from ti_core.reference.own_images import OwnImages
from ti_core.results.case import Array, Case
from ti_core.system.code_digest import code_digest


def case_alone(
    inspection: Inspection, own: OwnImages, file: Mapping[str, Any] | None = None, device: str = "cpu"
) -> Case:
    """The case of :func:`ti_core.inspection.without_pack.inspect_alone`.

    It has no probes and no meta-model.

    Parameters
    ----------
    own : the images of the inspection.
    file : :meth:`ti_core.loading.FileReport.as_dict` of the model file.
    device : where the inspection ran.
    """
    arrays: dict[str, Array] = {}
    for name, evidence in inspection.evidence.items():
        for key, values in evidence.items():
            arrays[f"evidence/{name}/{key}"] = np.nan_to_num(
                np.asarray(values, dtype=np.float32), posinf=0.0, neginf=0.0
            )
    arrays |= trigger_arrays(inspection, own.images.to(device))
    return Case(
        report=inspection.report,
        finished=True,
        class_names=own.names_of(int(inspection.report.model["classes"])),
        file=card(file or {}),
        code=code_digest(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        arrays=arrays,
    )
