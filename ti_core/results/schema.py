"""Every field of the JSON report, its type and its meaning; ``docs/report-schema.md`` is made from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Field:
    """One field, or with "*" in its path one for each name that may stand there.

    Parameters
    ----------
    path : names joined by dots.
    kind : words for its type, joined by " or ": see :data:`KINDS`.
    says : what it is.
    always : whether it is there whenever the group around it is.
    """

    path: str
    kind: str
    says: str
    always: bool = True


KINDS: Mapping[str, tuple[type, ...]] = {
    "text": (str,),
    "whole number": (int,),
    "number": (int, float),
    "yes or no": (bool,),
    "null": (type(None),),
    "list": (list,),
    "group": (dict,),
    "anything": (object,),
}

FIELDS = (
    Field("schema_version", "whole number", "1."),
    Field("verdict", "text", '"clean", "backdoored" or "inconclusive".'),
    Field("probability", "number", "Of a backdoor, calibrated, 0 to 1."),
    Field("trigger_kind", "text or null", 'The suspected kind of trigger, "blend" or "patch".'),
    Field(
        "target_class", "whole number or null", "The class that the backdoor answers with, counted from 0."
    ),
    Field("target_class_name", "text or null", "Its name in the pack."),
    Field("reasons", "list", "Sentences, the weightiest first."),
    Field("streams", "group", "For every stream of evidence its own score and the figures behind it."),
    Field("streams.*", "group", "One stream: `saliency`, `universal`, `windowed` or `inversion`."),
    Field("streams.*.score", "number or null", "Its own figure, in its own unit; more is more suspicious."),
    Field(
        "streams.*.clean_share",
        "number or null",
        "Share of clean reference models that score as much, 0 to 1.",
    ),
    Field("streams.*.target_class", "whole number or null", "The class that it points to."),
    Field("streams.*.sentence", "text", "What it saw."),
    Field(
        "streams.*.figures",
        "group",
        "`values` by class, `low`, `middle` and `high` of clean models, and more.",
    ),
    Field("streams.*.figures.*", "anything", "A number, a text, or a list with one number a class.", False),
    Field("streams.*.probability", "number", "What its own detector says, where it has one.", False),
    Field("streams.*.verdict", "text", "The verdict of that detector.", False),
    Field("streams.*.trigger_kind", "text or null", "The kind of trigger that it suspects.", False),
    Field("streams.recovered_trigger", "group", "The trigger that was made for the suspected class.", False),
    Field("streams.recovered_trigger.kind", "text", '"blend" or "patch".'),
    Field("streams.recovered_trigger.target_class", "whole number", "The class that it was made for."),
    Field("streams.recovered_trigger.blend_ratio", "number", "How strongly it covers the image, 0 to 1."),
    Field("streams.recovered_trigger.share_of_image", "number", "Share of the image that it covers, 0 to 1."),
    Field(
        "streams.recovered_trigger.flip_share",
        "number",
        "Share of unseen clean images that it turns, 0 to 1.",
    ),
    Field("streams.recovered_trigger.unseen_images", "whole number", "How many images that was measured on."),
    Field("streams.recovered_trigger.sentence", "text", "The same in words."),
    Field(
        "streams.recovered_trigger.occlusion",
        "group",
        "Where the decision hangs: stamped images covered.",
        False,
    ),
    Field(
        "streams.recovered_trigger.occlusion.side", "whole number", "Side of the covering square, in pixels."
    ),
    Field(
        "streams.recovered_trigger.occlusion.top", "whole number", "Row of the square that turns most back."
    ),
    Field("streams.recovered_trigger.occlusion.left", "whole number", "Its column."),
    Field(
        "streams.recovered_trigger.occlusion.turned", "number", "Share of images that it turns back, 0 to 1."
    ),
    Field(
        "streams.recovered_trigger.occlusion.images", "whole number", "How many stamped images were covered."
    ),
    Field("streams.recovered_trigger.occlusion.sentence", "text", "The same in words."),
    Field("model", "group", "What was inspected."),
    Field("model.file", "text", "Name of the file; it comes from whoever made the model."),
    Field(
        "model.sha256", "text", "Digest of the file; of an ONNX graph with its weight files, of all in order."
    ),
    Field("model.format", "text", '"safetensors", "torch state dict", "torch module" or "onnx".'),
    Field("model.architecture", "text", "Which network it is taken for."),
    Field("model.parameters", "whole number", "Number of weights."),
    Field("model.classes", "whole number", "Number of classes."),
    Field("model.input_shape", "list", "Channels, height and width of an image."),
    Field("model.preprocessing", "group", "How images are made for the network."),
    Field("model.preprocessing.normalisation", "text", "Scaling of the pixels; see [settings](settings.md)."),
    Field("model.preprocessing.channel_order", "text", '"rgb" or "bgr".'),
    Field("model.preprocessing.output", "text", '"logits" or "probabilities".'),
    Field(
        "model.preprocessing.output_used", "text or null", "Which of several outputs holds the class scores."
    ),
    Field("model.preprocessing.variant", "text", "The variant of the architecture, where there are several."),
    Field("model.preprocessing.resized_to", "whole number or null", "Side that images are scaled to."),
    Field(
        "model.preprocessing.tried",
        "group",
        "By way of scaling, the share of labelled images classified rightly.",
    ),
    Field("model.preprocessing.tried.*", "number", "0 to 1.", False),
    Field("model.clean_accuracy", "number or null", "On the labelled images; null without labels."),
    Field("pack", "group", "What the model was compared with."),
    Field(
        "pack.name",
        "text or null",
        "Name of the reference pack; null where images of one's own took its place.",
    ),
    Field(
        "pack.sha256", "text or null", "Digest of its `pack.json`, which records those of its other files."
    ),
    Field(
        "pack.detects", "group", "By kind of trigger, how well it detects on models held out from fitting."
    ),
    Field("pack.detects.*", "group", '"blend" or "patch".', False),
    Field("pack.detects.*.streams", "text", '"joint", or "saliency" where no deep stream took part.'),
    Field("pack.detects.*.kind", "text", "The kind of trigger."),
    Field("pack.detects.*.family", "text", "How the trojaned models were made."),
    Field("pack.detects.*.clean", "whole number", "Clean models tested."),
    Field("pack.detects.*.trojaned", "whole number", "Trojaned models tested."),
    Field("pack.detects.*.auc", "number", "Area under the ROC curve, 0 to 1."),
    Field("pack.detects.*.low", "number", "Lower end of its 95 % interval."),
    Field("pack.detects.*.high", "number", "Upper end of its 95 % interval."),
    Field("pack.detects.*.accuracy", "number", "At the pack's threshold, the mean of both sides."),
    Field("pack.detects.*.found", "number", "Share of the trojaned models called backdoored."),
    Field("pack.detects.*.false_alarms", "number", "Share of the clean models called backdoored."),
    Field("pack.detects.*.clean_called", "number", "Share of the clean models called clean."),
    Field(
        "pack.detects.*.target", "number or null", "Of those found, the share whose target class is right."
    ),
    Field("pack.images", "group", "Clean images of one's own, in the place of a pack.", False),
    Field("pack.images.file", "text", "Name of the folder or file."),
    Field("pack.images.sha256", "text", "Digest of their pixels and labels, as they were used."),
    Field("pack.images.count", "whole number", "How many were used."),
    Field("pack.images.labelled", "yes or no", "Whether they carry labels."),
    Field("settings", "group", "What the inspection was done with: [settings](settings.md)."),
    Field("settings.*", "anything", "A number, a text, or a list of either."),
    Field("timings", "group", "Seconds by stage."),
    Field("timings.*", "number", "Seconds.", False),
    Field("cache", "group", "By stage, where its figures came from."),
    Field("cache.*", "text", '"computed", "cache" or "baseline"; `problem`: why there is no cache.', False),
    Field("versions", "group", "Of the program and of what its figures depend on."),
    Field("versions.*", "text", "A version; `source`: digest of the program's own source files.", False),
    Field(
        "isolation", "group", "What kept the process that opened the file from network, files and processes."
    ),
    Field(
        "isolation.*",
        "text",
        "A sentence; none where the caller's own process opened the file.",
        False,
    ),
)


def problems(record: Mapping[str, Any]) -> list[str]:
    """What is not as :data:`FIELDS` has it, one sentence each: fields that are unknown, missing, or of another type."""
    return list(_problems(record, ""))


def _problems(group: Mapping[str, Any], path: str) -> Iterator[str]:
    known = children(path)
    for name in (n for n, f in known.items() if n != "*" and f.always and n not in group):
        yield f"{path}{name} is missing."
    for name, value in group.items():
        field = known.get(name) or known.get("*")
        if field is None:
            yield f"{path}{name} is unknown."
        elif not fits(value, field.kind):
            yield f"{path}{name} is no {field.kind}."
        elif field.kind == "group":
            yield from _problems(value, f"{field.path}.")


def children(path: str) -> dict[str, Field]:
    """The fields of the group at ``path`` (with a dot at its end, "" for the whole), by their last name."""
    return {
        f.path.removeprefix(path): f
        for f in FIELDS
        if f.path.startswith(path) and "." not in f.path.removeprefix(path)
    }


def fits(value: Any, kind: str) -> bool:
    """Whether a value is of a kind."""
    words = [kind] if kind in KINDS else kind.split(" or ")
    types = tuple(t for word in words for t in KINDS[word])
    return isinstance(value, types) and (not isinstance(value, bool) or bool in types or object in types)


def table() -> str:
    """The reference as a Markdown table."""
    rows = [f"| `{f.path}` | {f.kind} | {f.says}{'' if f.always else ' Not always there.'} |" for f in FIELDS]
    return "\n".join(["| field | type | what it is |", "| --- | --- | --- |", *rows])
