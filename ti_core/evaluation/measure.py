"""The four evaluations of a pack under one call, and their results as JSON on the way between two processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ti_core.errors import PackError
from ti_core.evaluation.ablations import Ablations, ablate
from ti_core.evaluation.methods import MethodTable, measure_methods
from ti_core.evaluation.shift import Shift, shift
from ti_core.evaluation.table import Row, evaluate
from ti_core.reference.pack import Pack
from ti_core.settings import Settings
from ti_core.system.cache import Cache
from ti_core.system.progress import StageProgress, silent_stage

Measured: TypeAlias = tuple[Row, ...] | Shift | Ablations | MethodTable


@dataclass(frozen=True)
class Measurement:
    """What is to be measured of a pack.

    Parameters
    ----------
    what : "table", "shift", "ablations" or "methods".
    members, automl_budget : as for :func:`~ti_core.evaluation.shift.shift` and
        :func:`~ti_core.evaluation.ablations.ablate`.
    methods, learnt, count : names, folder, and members of each kind, as for
        :func:`~ti_core.evaluation.methods.measure_methods`.
    """

    what: str = "table"
    members: str = "fitted"
    automl_budget: float = 60.0
    methods: Sequence[str] = ()
    learnt: str | None = None
    count: int | None = None

    def of(
        self, pack: Pack, settings: Settings, cache: Cache, progress: StageProgress = silent_stage
    ) -> Measured:
        """The result on this pack."""
        if self.what == "shift":
            return shift(pack, settings, self.members, cache, progress)
        if self.what == "ablations":
            return ablate(pack, settings, self.members, self.automl_budget, cache, progress)
        if self.what == "methods":
            folder = None if self.learnt is None else Path(self.learnt)
            return measure_methods(pack, self.methods, settings, cache, folder, progress, self.count)
        return tuple(evaluate(pack, settings, cache))

    def as_json(self, measured: Measured) -> str:
        """The result as JSON."""
        text: str = self._adapter().dump_json(measured).decode()
        return text

    def from_json(self, record: Mapping[str, Any] | list[Any], pack: str) -> Measured:
        """The result that another process wrote. It is checked, since a file of the pack may have taken that over.

        Raises
        ------
        PackError : it is no such result.
        """
        from pydantic import ValidationError

        try:
            found: Measured = self._adapter().validate_python(record)
        except ValidationError as error:
            raise PackError(f"The evaluation of pack {pack!r} left no result that can be read.") from error
        return found

    def _adapter(self) -> Any:
        from pydantic import TypeAdapter

        kinds: dict[str, Any] = {"shift": Shift, "ablations": Ablations, "methods": MethodTable}
        return TypeAdapter(kinds.get(self.what, tuple[Row, ...]))
