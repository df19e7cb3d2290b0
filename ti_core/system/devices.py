"""Where the work is done: CUDA where there is one, else the CPU."""

from __future__ import annotations

from ti_core.errors import SettingsError


def device(choice: str) -> str:
    """ "cuda" where there is one, else "cpu".

    Raises
    ------
    SettingsError : CUDA is asked for and missing.
    """
    if choice == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if choice == "cuda":
        raise SettingsError("There is no CUDA device on this machine; use --device cpu.")
    return "cpu"
