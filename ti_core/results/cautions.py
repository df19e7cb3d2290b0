"""What must be known before a verdict is read: settings other than the pack's own, and a weaker detector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from ti_core.settings import Settings

DECLARED = ("normalisation", "channel_order", "output", "input_size", "variant")
"""Settings that declare what the model is. They change nothing of the method."""

Words = Callable[[str, Any], tuple[str, str]]
"""From the name of a setting and its value to both in words."""


def own_values(settings: Settings, own: Settings) -> dict[str, Any]:
    """The pack's own value of each setting that differs from it. Settings that only change pictures are left out."""
    changed = settings.differing(own)
    return {
        f.name: getattr(own, f.name)
        for f in fields(Settings)
        if f.name in changed and f.metadata["stage"] != "view"
    }


def as_words(name: str, value: Any) -> tuple[str, str]:
    """A setting as the command line and the report name it."""
    return name, ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def cautions(pack: Mapping[str, Any], settings: Mapping[str, Any], words: Words = as_words) -> list[str]:
    """Sentences to read before the verdict; none where it was made with the pack's own settings and all streams.

    Parameters
    ----------
    pack, settings : those records of the report.
    """
    return [*_settings_sentence(pack, settings, words), *_weaker_sentence(pack)]


def _settings_sentence(pack: Mapping[str, Any], settings: Mapping[str, Any], words: Words) -> list[str]:
    changed = {k: own for k, own in (pack.get("changed_settings") or {}).items() if k in settings}
    here = {key: words(key, settings[key]) for key in changed}
    turned = [
        f"{here[k][0]} {here[k][1]} instead of {words(k, own)[1]}"
        for k, own in changed.items()
        if k not in DECLARED
    ]
    declared = [f"{name} {value}" for key, (name, value) in here.items() if key in DECLARED]
    said = []
    if turned:
        whose, measured = "the program's own", ""
        if pack.get("name") is not None:
            whose, measured = "the pack's own", " The pack's rates were measured at its own settings."
        said.append(f"This verdict was made with settings other than {whose}: {'; '.join(turned)}.{measured}")
    if declared:
        said.append(f"Declared of the model, not found out: {'; '.join(declared)}.")
    return said


def _weaker_sentence(pack: Mapping[str, Any]) -> list[str]:
    every = pack.get("all_streams")
    if every is None:
        return []
    own = pack["detects"]
    kinds = [kind for kind in ("blend", "patch") if kind in own and kind in every]
    alone = "This verdict rests on saliency alone, without the deep streams."
    if not kinds:
        return [f"{alone} The pack does not record how much weaker that is."]
    weak, strong = (
        " and ".join(f"{figures[kind]['auc']:.2f} for {kind} triggers" for kind in kinds)
        for figures in (own, every)
    )
    return [
        f"{alone} On held-out models saliency alone reaches AUC {weak}; with all streams the same pack reaches"
        f" {strong}."
    ]
