"""The options of one layer, read from untrusted JSON: every value has a type and a range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.keras import limits
from ti_core.text import shown

Pair = tuple[int, int]


class Options:
    """The options of a layer.

    Parameters
    ----------
    values : the layer's ``config``.
    label : the layer in words, for messages.
    version : 2 or 3, the Keras that wrote the file. Some defaults and activations differ.
    """

    def __init__(self, values: Mapping[str, Any], label: str, version: int = 3) -> None:
        self.values, self.label, self.version = values, label, version

    def __contains__(self, key: str) -> bool:
        return self.values.get(key) is not None

    def wrong(self, key: str) -> ModelFileError:
        """The error for an option with a value that it cannot have."""
        return ModelFileError(
            f"{self.label} has the option {shown(key, 40)} = {shown(str(self.values.get(key)), 60)}, which is not"
            " supported."
        )

    def integer(self, key: str, default: int | None = None, least: int = 1) -> int:
        value = self.values.get(key)
        value = default if value is None else value
        if type(value) is not int or value < least:
            raise self.wrong(key)
        if value > limits.OPTION:
            raise RefusedFileError(f"{self.label} has the option {key} = {value:.3g}, beyond the limits.")
        return value

    def number(self, key: str, default: float) -> float:
        found = _number(self.values.get(key))
        if found is None and self.values.get(key) is not None:
            raise self.wrong(key)
        return default if found is None else found

    def optional(self, key: str) -> float | None:
        """A number, or None where there is none."""
        return self.number(key, 0.0) if key in self else None

    def flag(self, key: str, default: bool) -> bool:
        value = self.values.get(key)
        value = default if value is None else value
        if not isinstance(value, bool):
            raise self.wrong(key)
        return value

    def choice(self, key: str, choices: Sequence[str], default: str) -> str:
        value = self.values.get(key)
        value = default if value is None else value
        if value not in choices:
            raise self.wrong(key)
        return str(value)

    def pair(self, key: str, default: Pair | None = None, least: int = 1) -> Pair:
        """Two whole numbers, for height and width; one counts for both."""
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        return self._pair(key, value, least)

    def pairs(self, key: str) -> tuple[Pair, Pair]:
        """((above, below), (left, right)); one number, or one for each axis, counts for both ends."""
        value = self.values.get(key)
        if isinstance(value, list) and len(value) == 2 and all(isinstance(v, list) for v in value):
            return self._pair(key, value[0], 0), self._pair(key, value[1], 0)
        high, wide = self._pair(key, value, 0)
        return (high, high), (wide, wide)

    def integers(self, key: str) -> tuple[int, ...]:
        """Whole numbers of any sign; one number is a list of one."""
        value = self.values.get(key)
        items = value if isinstance(value, list) else [value]
        if len(items) > limits.LIST or not all(type(i) is int and abs(i) <= limits.OPTION for i in items):
            raise self.wrong(key)
        return tuple(items)

    def numbers(self, key: str, default: float) -> list[float]:
        """Numbers; one is a list of one."""
        value = self.values.get(key)
        found: list[float] = []
        for item in _flat([default if value is None else value]):
            number = _number(item)
            if number is None or len(found) > limits.LIST:
                raise self.wrong(key)
            found.append(number)
        return found

    def only(self, key: str, *allowed: Any) -> None:
        """An error unless the option is absent or has one of these values."""
        value = self.values.get(key)
        if value is not None and value not in allowed:
            raise self.wrong(key)

    @property
    def channels_first(self) -> bool:
        return (
            self.choice("data_format", ("channels_last", "channels_first"), "channels_last")
            == "channels_first"
        )

    def _pair(self, key: str, value: Any, least: int) -> Pair:
        items = value if isinstance(value, list) else [value, value]
        if len(items) != 2 or not all(type(i) is int and i >= least for i in items):
            raise self.wrong(key)
        if max(items) > limits.OPTION:
            raise RefusedFileError(
                f"{self.label} has the option {key} = {max(items):.3g}, beyond the limits."
            )
        return items[0], items[1]


def _number(value: Any) -> float | None:
    # Keras 2.0 to 2.2 wrote the numbers of some activations as arrays.
    if isinstance(value, Mapping) and value.get("type") == "ndarray":
        value = value.get("value")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e30:
        return None
    return float(value)


def _flat(value: list[Any]) -> list[Any]:
    """The items of nested lists, such as (1, 1, 3) numbers are written as."""
    found: list[Any] = []
    waiting = list(reversed(value))
    while waiting and len(found) <= limits.LIST:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += reversed(item[: limits.LIST + 1])
        else:
            found.append(item)
    return found
