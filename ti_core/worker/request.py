"""The request for one inspection, as plain data. A page, a command or a scan sends it to the worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any


@dataclass(frozen=True)
class InspectionRequest:
    """One inspection. All paths are absolute, since the worker works in another folder.

    Parameters
    ----------
    model : path of the model file; empty until it is known (a scan asks the same of many files).
    digest : of the model file as the caller saw it (:func:`ti_core.loading.digest.digest_of`). Another file is then not
        opened. Empty if the caller did not look.
    companions : paths of the files that belong to the model, such as the weights of an ONNX graph.
    architecture : the user's declaration of a bare state dict's architecture; None to try every architecture.
    sketch : text of a sketch of the network (:mod:`ti_core.reconstruction.grammar`); None for none.
    pack : a bundled pack's name, or the folder of another pack; None to choose one by the model.
    images : path of the user's own clean images, which replace a pack.
    settings : the requested settings by name. The other settings are the pack's own.
    device : "auto", "cpu" or "cuda".
    threads : of the process; None for the default.
    cache : folder of the cache; None for none.
    seconds : how long the inspection may take on the clock; None for the default. The worker fills in its limit.
    case : whether the arrays for pictures and charts are kept, too.
    isolation : the means that confine the process; the worker fills them in.
    """

    model: str = ""
    digest: str = ""
    companions: tuple[str, ...] = ()
    architecture: str | None = None
    sketch: str | None = None
    pack: str | None = None
    images: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    threads: int | None = None
    cache: str | None = None
    seconds: float | None = None
    case: bool = False
    isolation: Mapping[str, str] = field(default_factory=dict)

    def with_(self, **changes: Any) -> InspectionRequest:
        """The same request with these fields changed."""
        return replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """The request as plain data for JSON. Fields that are None are left out."""
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in self.settings.items()}
        record = asdict(self) | {"companions": list(self.companions), "settings": plain}
        return {name: value for name, value in record.items() if value is not None}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> InspectionRequest:
        """The request that :meth:`as_dict` wrote. Missing fields have their default.

        Raises
        ------
        ValueError : a field is unknown, or of another type.
        """
        if unknown := record.keys() - {f.name for f in fields(cls)}:
            raise ValueError(f"a request has no field {min(unknown)!r}")
        companions = record.get("companions", [])
        if not isinstance(companions, list) or not all(isinstance(path, str) for path in companions):
            raise ValueError(f"a request's field companions cannot be {companions!r}")
        found = cls(**{**record, "companions": tuple(companions)})
        for name, kinds in _KINDS.items():
            value = getattr(found, name)
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                raise ValueError(f"a request's field {name} cannot be {value!r}")
        return found


_TEXT, _NONE = str, type(None)
_KINDS: dict[str, tuple[type, ...]] = {
    "model": (_TEXT,),
    "digest": (_TEXT,),
    "companions": (tuple,),
    "architecture": (_TEXT, _NONE),
    "sketch": (_TEXT, _NONE),
    "pack": (_TEXT, _NONE),
    "images": (_TEXT, _NONE),
    "settings": (dict,),
    "device": (_TEXT,),
    "threads": (int, _NONE),
    "cache": (_TEXT, _NONE),
    "seconds": (float, int, _NONE),
    "case": (bool,),
    "isolation": (dict,),
}
