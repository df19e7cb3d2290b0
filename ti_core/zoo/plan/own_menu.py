"""The menu of architectures that a user names as ``NAME[:option=value,...]``."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ti_core.architectures import ARCHITECTURES
from ti_core.errors import SettingsError
from ti_core.zoo.plan.draw import Menu, Recipe, menu_for

_OF_THE_DATA = ("in_channels", "classes", "size")


def parse_architecture(text: str) -> tuple[str, dict[str, Any]]:
    """The registered name and the options in ``NAME[:option=value,...]``. Dashes join several numbers.

    ``convnet:channels=16-32,depth=2`` is ``("convnet", {"channels": (16, 32), "depth": 2})``.

    Raises
    ------
    SettingsError : the name or an option is unknown, or a value has another type than the option's default.
    """
    name, _, rest = text.partition(":")
    if name not in ARCHITECTURES:
        raise SettingsError(f"Architecture {name!r} is unknown; known are {', '.join(ARCHITECTURES)}.")
    defaults = options_of(name)
    found: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals or key not in defaults or key in _OF_THE_DATA:
            known = ", ".join(k for k in defaults if k not in _OF_THE_DATA)
            raise SettingsError(
                f"Architecture {name} takes option=value of {known or 'no option'}, not {part!r}."
            )
        found[key] = _value(name, key, value, defaults[key])
    return name, found


def options_of(name: str) -> dict[str, Any]:
    """The options of a registered architecture and their defaults."""
    parameters = inspect.signature(ARCHITECTURES[name].__init__).parameters
    return {k: p.default for k, p in parameters.items() if k != "self"}


def _value(name: str, key: str, text: str, default: Any) -> Any:
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False, "1": True, "0": False}[text.lower()]
        if isinstance(default, tuple):
            return tuple(int(part) for part in text.split("-"))
        return type(default)(text)
    except (ValueError, KeyError) as error:
        example = "-".join(map(str, default)) if isinstance(default, tuple) else default
        raise SettingsError(
            f"Option {key} of {name} cannot be {text!r}; its default is {example}."
        ) from error


def menu_of(architectures: Sequence[str], image_shape: tuple[int, int, int]) -> Menu:
    """The menu for this image shape with these architectures (``NAME[:option=value,...]``) at equal weights."""
    chosen = [parse_architecture(text) for text in architectures]
    networks = tuple((1.0, name, {k: [v] for k, v in options.items()}) for name, options in chosen)
    return replace(menu_for(image_shape), networks=networks)


def fitting_options(recipe: Recipe, image_shape: tuple[int, int, int], given: Sequence[str] = ()) -> Recipe:
    """The recipe with only the options that its architecture has, including the image's side.

    ``given`` are the user's architectures. Their options take precedence over drawn ones.
    """
    known = options_of(recipe.architecture)
    own = dict(recipe.options) | ({"size": image_shape[1]} if "size" in known else {})
    for text in given:
        name, options = parse_architecture(text)
        # The user may name an architecture twice with different options. The drawn options tell which one this is.
        if name == recipe.architecture and all(
            own.get(k) == v for k, v in options.items() if k != "activation"
        ):
            own |= options
            break
    return replace(recipe, options={k: v for k, v in own.items() if k in known})
