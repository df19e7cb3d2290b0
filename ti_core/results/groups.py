"""The groups of the JSON report: every field with its type, its limits and its meaning.

The models check what a stranger's file holds. :class:`ti_core.results.report.Report` names the group of each of its
fields; ``docs/report-schema.md`` and ``docs/report-schema.json`` are made from the descriptions here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema

from ti_core.errors import SettingsError
from ti_core.kinds import Kind, MappingKind
from ti_core.reference.manifest import Performance, Share
from ti_core.results.coverage import Status
from ti_core.settings import Settings
from ti_core.system.records import NAME, Digest, Group, Name, Number, Text, Whole, absent

Class = Annotated[int, Field(strict=True, ge=0)]
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+\d\d:\d\d|Z)?|")


@dataclass(frozen=True)
class Shaped:
    """Annotation: a value's JSON is checked as ``shape``. The annotated type is the value's type in memory."""

    shape: Any

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler.generate_schema(self.shape)


def as_settings(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same values. Raises :class:`ValueError` unless they are valid settings."""
    try:
        Settings.parse({k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    except (SettingsError, TypeError) as error:
        raise ValueError(str(error)) from error
    return values


Speaks = Literal["for", "against", "neither"]


class Bearing(Group):
    """What one reason says of the verdict."""

    speaks: Speaks = Field(description='"for" a backdoor, "against" one, or for "neither".')
    of: Text = Field(
        description="The entry of `streams` with its figures; `pack`: about what the model was compared with; or empty."
    )


class Occlusion(Group):
    """Result of covering stamped images rectangle by rectangle."""

    side: Whole = Field(description="Longer side of the covering rectangle, in pixels.")
    height: Whole = absent("Height of the covering rectangle, in pixels.")
    width: Whole = absent("Width of the covering rectangle, in pixels.")
    top: Whole = Field(description="First row of the rectangle that changes most answers.")
    left: Whole = Field(description="First column of that rectangle.")
    turned: Number = Field(description="Share of images whose answer that rectangle changes, 0 to 1.")
    images: Whole = Field(description="Number of stamped images that were covered.")
    sentence: Text = Field(description="The same in words.")


class RecoveredTrigger(Group):
    """The trigger that was recovered for the suspected class."""

    kind: Text = Field(description='"blend", "patch", "warp" or "stripes".')
    target_class: Whole | None = Field(description="The class that it leads to; null if there are several.")
    source_class: Whole = absent("The only class that it was made for and tried on.")
    blend_ratio: Number = absent("How strongly a blend or a patch covers the image, 0 to 1.")
    share_of_image: Number = absent("Share of the image that a blend or a patch covers, 0 to 1.")
    largest_displacement: Number = absent("Of a warp, the largest displacement, in pixels.")
    amplitude: Number = absent("Of stripes, the amplitude of the strongest channel; pixels are 0 to 1.")
    period: Number = absent("Of stripes, the distance from crest to crest, in pixels.")
    flip_share: Number = Field(description="Share of unseen clean images that it leads there, 0 to 1.")
    unseen_images: Whole = Field(description="Number of images that the share was measured on.")
    sentence: Text = Field(description="The same in words.")
    occlusion: Occlusion = absent("Result of covering stamped images rectangle by rectangle.")


class Stream(Group):
    """One stream, by its name."""

    score: Number | None = Field(description="Its score, in its own unit; a higher score is more suspicious.")
    clean_share: Number | None = Field(
        description="Share of clean reference models that score as much, 0 to 1."
    )
    target_class: Whole | None = Field(description="The class that it points to.")
    sentence: Text = Field(description="Its result in words.")
    figures: dict[
        Text, Annotated[Any, Field(description="A number, a text, or a list with one number a class.")]
    ] = Field(description="`values` by class, `low`, `middle` and `high` of clean models, and more.")
    probability: Number = absent("Result of its own detector, where it has one.")
    verdict: Text = absent("The verdict of that detector.")
    trigger_kind: Text | None = absent("The kind of trigger that it suspects.")


class Streams(Group):
    """Every stream of evidence by its name, and the recovered trigger."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Stream] = Field(init=False)

    recovered_trigger: RecoveredTrigger = absent("The trigger that was recovered for the suspected class.")

    @model_validator(mode="after")
    def _names(self) -> Self:
        # Names of streams become names of files.
        if not all(map(NAME.fullmatch, self.__pydantic_extra__)):
            raise ValueError("a stream has no proper name")
        return self


class Pair(Group):
    """One class, and the class that it is led to."""

    source: Class = Field(description="The class of the images, counted from 0.")
    source_name: Text = Field(description="Its name in the pack.")
    target: Class = Field(description="The class that they become.")
    target_name: Text = Field(description="Its name in the pack.")
    moved: Share = Field(description="Share of unseen images of the class that do, 0 to 1.")


class LabelMapping(Group):
    """Where a backdoor leads."""

    kind: MappingKind = Field(
        description='"all to one": every class is led to one; "one source": one class is led to one other; "all to'
        ' all": every class is led to another one.'
    )
    source: Class | None = Field(description='Of "one source", the class that is led away, counted from 0.')
    source_name: Text | None = Field(description="Its name in the pack.")
    target: Class | None = Field(description='The class that it is led to; null for "all to all".')
    target_name: Text | None = Field(description="Its name in the pack.")
    assignment: list[Pair] = Field(description='Of "all to all", each class and the class it is led to.')

    @model_validator(mode="after")
    def _as_its_kind(self) -> Self:
        if (self.target is None or self.target_name is None) != (self.kind == "all to all"):
            raise ValueError('a mapping names a target unless it is "all to all"')
        if (self.source is None) != (self.source_name is None):
            raise ValueError("a class has a number and a name")
        return self

    @property
    def largest(self) -> int:
        """The largest class index."""
        pairs = [index for pair in self.assignment for index in (pair.source, pair.target)]
        return max([i for i in (self.source, self.target) if i is not None] + pairs, default=0)


class CoveredRates(Group):
    """How often the pack finds such backdoors, on models held out from fitting."""

    found: Share = Field(description="Share of the trojaned models called backdoored.")
    low: Share = Field(description="Lower end of its 95 % interval.")
    high: Share = Field(description="Upper end of its 95 % interval.")
    trojaned: Whole = Field(description="Number of trojaned models tested.")
    false_alarms: Share = Field(description="Share of the clean models called backdoored.")
    alarms_low: Share = Field(description="Lower end of its 95 % interval.")
    alarms_high: Share = Field(description="Upper end of its 95 % interval.")
    clean: Whole = Field(description="Number of clean models tested.")


class Covered(Group):
    """One kind of trigger with one mapping."""

    kind: Kind = Field(description="The kind of trigger, as in `trigger_kind`.")
    mapping: MappingKind = Field(description="Where it leads, as in `mapping.kind`.")
    status: Status = Field(description='"found", "looked for, not found" or "not looked for".')
    streams: list[Name] = Field(description="The streams that looked for it.")
    why: Text | None = Field(description="Why it was not looked for, or why the search is weak.")
    figures: CoveredRates | None = Field(
        description="How often the pack finds it; null where that was not measured or it was not looked for."
    )
    weak: bool = Field(
        description="Whether fewer than four of five are found, or it was not measured, or not looked for."
    )


class Preprocessing(Group):
    """How images are made for the network."""

    normalisation: Text = Field(description="Scaling of the pixels; see [settings](settings.md).")
    channel_order: Text = Field(description='"rgb" or "bgr".')
    output: Text = Field(description='"logits" or "probabilities".')
    output_used: Text | None = Field(description="Which of several outputs holds the class scores.")
    variant: Text = Field(description="The variant of the architecture, where there are several.")
    resized_to: Whole | None = Field(description="Side that images are scaled to.")
    tried: dict[Text, Annotated[Number, Field(description="0 to 1.")]] = Field(
        description="By way of scaling, the share of labelled images classified correctly."
    )


class Reconstruction(Group):
    """How sure the network is that was reconstructed from names and shapes."""

    first: Number = Field(
        description="Share of the images that the network classifies as labelled; without labels, how much its answers"
        " tell of the images."
    )
    second: Number | None = Field(
        description="The same of the next likeliest network; null if there is none."
    )
    agreement: Number = Field(description="Share of the images that both answer alike.")
    runner_up: Text = Field(description="Sketch of the next likeliest network.")
    images: Whole = Field(description="Number of images.")
    labelled: bool = Field(description="Whether the images have labels.")
    equal: list[Text] = Field(
        description="What differs in further networks that the images do not tell from it, and that give the same"
        " answers.",
    )


class Inspected(Group):
    """The model that was inspected."""

    file: Text = Field(description="Name of the file; it comes from whoever made the model.")
    sha256: Digest = Field(
        description="Digest of the file; of an ONNX graph with its weight files, of all in order."
    )
    format: Text = Field(
        description='"safetensors", "torch state dict", "torch module", "onnx", "keras h5", "keras archive" or "model'
        ' folder".'
    )
    architecture: Text = Field(description="The network's architecture, as recognised.")
    parameters: Whole = Field(description="Number of weights.")
    sketch: Text = absent("The layers in order, where the network was built from a sketch or reconstructed.")
    reconstruction: Reconstruction = absent("How sure a reconstructed network is.")
    classes: Whole = Field(ge=1, description="Number of classes.")
    input_shape: list[Whole] = Field(
        min_length=3, max_length=3, description="Channels, height and width of an image."
    )
    preprocessing: Preprocessing = Field(description="How images are made for the network.")
    clean_accuracy: Number | None = Field(description="On the labelled images; null without labels.")
    remarks: list[Text] = absent("What opening the file did beyond reading it, in sentences.")
    notes: dict[Text, Annotated[Text, Field(description="The note's text.")]] = absent(
        "What the file holds beside the weights, as text. It comes from whoever made the model."
    )


class OwnImages(Group):
    """Clean images of the user's own, in place of a pack."""

    file: Text = Field(description="Name of the folder or file.")
    sha256: Digest = Field(description="Digest of the pixels and labels that were used.")
    count: Whole = Field(description="Number of images used.")
    labelled: bool = Field(description="Whether they carry labels.")


class ReferencePack(Group):
    """The reference pack, or the user's own images in its place."""

    name: Name | None = Field(
        description="Name of the reference pack; null where the user's own images took its place."
    )
    sha256: Digest | None = Field(
        description="Digest of its `pack.json`, which records those of its other files."
    )
    detects: dict[Text, Performance] = Field(
        description="By kind of trigger, the performance on models held out from fitting."
    )
    images: OwnImages = absent("Clean images of the user's own, in place of a pack.")
    changed_settings: Annotated[
        dict[Text, Annotated[Any, Field(description="The pack's own value.")]], AfterValidator(as_settings)
    ] = absent("The settings that differ from the pack's own, and with images from the program's own.")
    all_streams: dict[Text, Performance] = absent(
        "By kind of trigger, the pack's performance with all streams, where the verdict rests on saliency alone."
    )

    @model_validator(mode="after")
    def _pack_or_images(self) -> Self:
        if "images" in self.model_fields_set:
            if self.name is not None or self.sha256 is not None or self.detects:
                raise ValueError("it names a pack and images")
        elif self.name is None or self.sha256 is None:
            raise ValueError("it names neither a pack nor images")
        return self
