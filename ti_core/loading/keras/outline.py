"""What a Keras file declares, for the file report. No network is built from it."""

from __future__ import annotations

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.findings import Finding, Severity
from ti_core.loading.keras import audit
from ti_core.loading.keras.build import check_layers
from ti_core.loading.keras.graph import graph_of
from ti_core.loading.keras.load import saved_in
from ti_core.loading.keras.weights_only import weights_only
from ti_core.loading.limits import LIMITS
from ti_core.loading.pickles.files.container import Member
from ti_core.loading.pickles.tensors import TensorInfo
from ti_core.text import shown


def outline(data: bytes) -> tuple[tuple[Member, ...], tuple[TensorInfo, ...], tuple[Finding, ...]]:
    """The members of an archive, the arrays, and the findings about the configuration.

    Raises
    ------
    ModelFileError, RefusedFileError : the file holds no model of Keras, or exceeds the limits.
    """
    if (layers := weights_only(data)) is not None:
        held = (
            (key, layer.tensors[role])
            for layer in layers
            for role, key in zip(layer.tensors, layer.keys, strict=True)
        )
        return (), tuple(TensorInfo(shown(key, 200), tuple(t.shape), "float32") for key, t in held), ()
    saved = saved_in(data)
    arrays = list(saved.arrays.arrays.values())[: LIMITS.tensors]
    tensors = tuple(TensorInfo(shown(a.path, 200), a.shape, shown(a.dtype, 40)) for a in arrays)
    findings = audit.findings_in(*saved.configurations)
    try:
        check_layers(graph_of(saved.model), saved.version)
    except ModelFileError as error:
        refused = isinstance(error, RefusedFileError)
        found = Finding(Severity.REFUSED if refused else Severity.UNREADABLE, str(error))
        # A layer of code is not known either; the finding about its code says more.
        if not any(finding.severity.rank >= Severity.REFUSED.rank for finding in findings):
            findings.append(found)
    return saved.members, tensors, tuple(findings)
