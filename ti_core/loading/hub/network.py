"""Builds the network of a model folder with the package ``transformers``, from its configuration and tensors alone.

No code of the folder is run: the configuration names one of the package's own classes. Nothing is looked up on the
network and nothing is written.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.limits import LIMITS
from ti_core.loading.state_dict import State
from ti_core.text import COMMAND, few, shown

INSTALL = (
    "The model folder needs the package transformers, which is not installed; install it and try again:\n"
    f"{COMMAND}pip install 'trojaninterpret[hub]'"
)
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "DISABLE_TELEMETRY": "1",
    "USE_TORCH": "1",
}
_FACTORIES = (
    "empty",
    "zeros",
    "ones",
    "full",
    "rand",
    "randn",
    "arange",
    "linspace",
    "eye",
    "tensor",
    "empty_like",
)
_DROPPED = (
    "quantization_config",
    "fusion_config",
    "kernel_config",
    "transformers_weights",
    "dtype",
    "torch_dtype",
)
"""Settings that would make the package look for other files or other code; none changes what the network computes."""


class HubNetwork(nn.Module):
    """A network of the package as a map from images ``N x C x H x W`` to class scores ``N x K``."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        returned = self.network(pixel_values=x)
        scores = returned.get("logits") if hasattr(returned, "get") else None
        if not isinstance(scores, torch.Tensor):
            raise TypeError("the network gives no class scores")
        return scores


class _Counted(TorchFunctionMode):
    """Counts the tensors that are made, and their elements, and stops far above those that the files hold.

    A network is built in a few passes over its tensors, so that some are made more than once.
    """

    def __init__(self, state: State) -> None:
        super().__init__()
        self.tensors = self.elements = 0
        self.most_tensors = min(LIMITS.tensors, 4 * len(state) + 1_000)
        self.most_elements = min(LIMITS.elements, 4 * _numbers(state) + 4_000_000)

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        made = function(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and getattr(function, "__name__", "") in _FACTORIES:
            self.tensors += 1
            self.elements += made.numel()
            if self.elements > self.most_elements or self.tensors > self.most_tensors:
                raise RefusedFileError(
                    f"The file config.json asks for a network of more than {self.most_elements:,} numbers, or of more"
                    f" than {self.most_tensors:,} tensors, which is far more than the weight files hold."
                )
        return made


def _numbers(state: State) -> int:
    return sum(tensor.numel() for tensor in state.values())


def build(config: Mapping[str, Any], state: State) -> tuple[nn.Module, str, tuple[str, ...]]:
    """The network, the name of its class, and sentences on what was left out.

    Parameters
    ----------
    config : the checked settings of ``config.json``.
    state : the tensors of the weight files, in float32.

    Raises
    ------
    ModelFileError : the package is missing or has no such class, or the tensors do not fit the configuration.
    RefusedFileError : the configuration asks for a network beyond the limits.
    """
    if find_spec("transformers") is None:
        raise ModelFileError(INSTALL)
    with _quiet():
        cls, made = _class_and_configuration(config)
        try:
            with _Counted(state), torch.device("meta"):
                hollow = cls(made)
        except ModelFileError:
            raise
        except Exception as error:
            raise _impossible(cls, error) from error
        _check_size(hollow, state)
        try:
            with torch.random.fork_rng(devices=[]):
                network, info = cls.from_pretrained(
                    None,
                    config=made,
                    state_dict=dict(state),
                    output_loading_info=True,
                    dtype=torch.float32,
                    attn_implementation="eager",
                )
        except Exception as error:
            raise _impossible(cls, error) from error
    missing, strange = sorted(info["missing_keys"]), sorted(info["unexpected_keys"])
    wrong = sorted(str(key[0] if isinstance(key, tuple) else key) for key in info["mismatched_keys"])
    if missing or wrong or info.get("error_msgs"):
        lacking = f"has no weights for {few(missing)}" if missing else f"has other shapes for {few(wrong)}"
        raise ModelFileError(
            f"The weights do not fit the configuration: {cls.__name__} needs all its tensors, and the folder {lacking}."
        )
    left = (
        (f"{len(strange)} tensors that {cls.__name__} has no place for were ignored: {few(strange)}.",)
        if strange
        else ()
    )
    return HubNetwork(network.requires_grad_(False)).eval(), cls.__name__, left


@contextmanager
def _quiet() -> Iterator[None]:
    """The package without network, progress bars and messages."""
    os.environ.update(_OFFLINE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers.utils import logging

        before = logging.get_verbosity()
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.set_verbosity(before)


def _class_and_configuration(config: Mapping[str, Any]) -> tuple[Any, Any]:
    """The package's class that the configuration names, and the configuration as an object of the package."""
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as KNOWN

    kind = config["model_type"]
    if not isinstance(kind, str) or kind not in KNOWN:
        raise ModelFileError(
            f"The file config.json names the model type {shown(str(kind), 60)!r}, which is no image classifier that the"
            f" installed transformers {transformers.__version__} knows; export the model to ONNX and hand that in."
        )
    names = KNOWN[kind] if isinstance(KNOWN[kind], tuple) else (KNOWN[kind],)
    wanted = config.get("architectures") or [names[0]]
    chosen = next((name for name in names if isinstance(wanted, list) and name in wanted), None)
    if chosen is None:
        named = few([str(name) for name in wanted]) if isinstance(wanted, list) else shown(str(wanted), 60)
        raise ModelFileError(
            f"The file config.json names the network {named}, which gives no class scores; an image classifier of this"
            f" type is a {' or a '.join(names)}."
        )
    try:
        usual = CONFIG_MAPPING[kind]()
        known = set(usual.to_dict()) | set(usual.attribute_map) | {"num_labels", "id2label", "label2id"}
        kept = {
            name: value
            for name, value in config.items()
            if name in known and name not in _DROPPED and not name.startswith("_")
        }
        made = CONFIG_MAPPING[kind](**kept)
        # A setting of the folder could name code that the package would fetch for it.
        made._attn_implementation = "eager"
        return getattr(transformers, chosen), made
    except Exception as error:
        raise ModelFileError(
            f"The file config.json is damaged: {shown(kind, 60)} cannot have these settings ({_reason(error)})."
        ) from error


def _check_size(hollow: nn.Module, state: State) -> None:
    """The files hold about as many weights as the configuration asks for, so that no more memory is taken."""
    asked = sum(tensor.numel() for tensor in hollow.state_dict().values())
    held = _numbers(state)
    if asked > 2 * held + 1_000_000:
        raise ModelFileError(
            f"The weights do not fit the configuration: it asks for {asked:,} numbers, and the files hold {held:,}."
        )


def _impossible(cls: Any, error: Exception) -> ModelFileError:
    return ModelFileError(
        f"The network {cls.__name__} cannot be built from the folder's configuration and weights ({_reason(error)})."
    )


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shown(lines[0] if lines else type(error).__name__, 200)
