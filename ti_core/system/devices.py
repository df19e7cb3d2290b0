"""The device of the computation: CUDA if it is available, else the CPU."""

from __future__ import annotations

from ti_core.errors import SettingsError


def device(choice: str) -> str:
    """The device for ``choice``, which is "auto", "cuda" or "cpu". "auto" is "cuda" if it is available, else "cpu".

    Raises
    ------
    SettingsError : the choice is "cuda" and CUDA is not available.
    """
    if choice == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if choice == "cuda":
        raise SettingsError("There is no CUDA device on this machine; use --device cpu.")
    return "cpu"
