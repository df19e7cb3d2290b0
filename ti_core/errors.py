"""Every error that ``ti_core`` raises on purpose; each message is one sentence for a person.

::

    TrojanInterpretError
    ├── ModelFileError            the file cannot be opened as a model
    │   ├── RefusedFileError      the file could run code, or exceeds the limits: it is not opened
    │   ├── UnknownArchitectureError   a bare state dict that matches no registered network
    │   └── SketchError           the sketch of a network cannot be read, or does not fit the file
    ├── ModelBehaviourError       the network opened, but does not behave as a classifier of this pack's images
    ├── SettingsError             a setting is unknown or outside its range
    │   └── NoRuleError           a method of attribution cannot be used on this network
    ├── PackError                 a reference pack is missing, altered or does not fit
    │   └── NoPackFitsError       no bundled pack has the model's channels and class count
    ├── TooLongError              the work would take longer than it may
    ├── CaseError                 a kept case is damaged or was tampered with
    ├── ReportError               a file is no report, or a damaged one
    ├── DataError                 training images cannot be read or do not fit
    └── CancelledError            the caller asked the work to stop
"""

from __future__ import annotations


class TrojanInterpretError(Exception):
    """Base of all expected errors: its text is fit to be shown to the user."""


class ModelFileError(TrojanInterpretError):
    """The file cannot be opened as a model."""


class RefusedFileError(ModelFileError):
    """The file is refused because opening it could run code or exhaust the machine."""


class UnknownArchitectureError(ModelFileError):
    """A bare state dict whose keys and shapes match no registered architecture."""


class SketchError(ModelFileError):
    """The sketch of a network cannot be read, or its layers and the file's tensors do not fit together."""


class ModelBehaviourError(TrojanInterpretError):
    """The network does not map a batch of images to one finite score per class."""


class SettingsError(TrojanInterpretError):
    """A setting is unknown or outside its range."""


class NoRuleError(SettingsError):
    """A method of attribution cannot be used on this network."""


class PackError(TrojanInterpretError):
    """A reference pack is missing, altered, or does not fit the model."""


class NoPackFitsError(PackError):
    """No bundled reference pack has the model's channels and class count; images of the user's own may serve."""


class TooLongError(TrojanInterpretError):
    """The work would take longer than it may, or more memory: it is not begun."""


class CaseError(TrojanInterpretError):
    """A kept case is missing, damaged, or not what this program writes."""


class ReportError(TrojanInterpretError):
    """A file is not a report that this program writes."""


class DataError(TrojanInterpretError):
    """Training or probe images cannot be read."""


class CancelledError(TrojanInterpretError):
    """The caller asked the work to stop."""
