"""Arrays as PIL images and as data URIs for a page."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ti_core.rendering.pictures import HEAT, Figure, heat

Array = NDArray[np.floating]


def photo(image: Array) -> Image.Image:
    """An image ``C x H x W`` in [0, 1]. One channel is shown as grey. Of more than three, the first three are shown."""
    pixels = (np.clip(np.asarray(image, dtype=np.float64), 0, 1) * 255).round().astype(np.uint8)
    if len(pixels) < 3:
        return Image.fromarray(pixels[0])
    return Image.fromarray(np.ascontiguousarray(pixels[:3].transpose(1, 2, 0)))


def heat_map(values: Array, top: float) -> Image.Image:
    """A map ``H x W`` with values of at least 0. Larger values are lighter. ``top`` is the end of the shared scale."""
    return photo(heat(np.asarray(values)[None], top)[0])


def overlay(image: Array, values: Array, top: float, opacity: float = 0.75) -> Image.Image:
    """The map drawn over its image. Stronger saliency covers more of the image."""
    grey = np.repeat(np.asarray(image, dtype=np.float64)[:3].mean(axis=0, keepdims=True), 3, axis=0)
    weight = opacity * np.clip(np.asarray(values) / max(top, 1e-12), 0, 1) ** 0.5
    return photo((1 - weight) * 0.6 * grey + weight * heat(np.asarray(values)[None], top)[0])


def trigger_picture(mask: Array, pattern: Array) -> Image.Image:
    """The pattern where the mask is 1, and mid grey where it is 0."""
    weight = np.clip(np.asarray(mask), 0, 1)[None]
    return photo(weight * np.asarray(pattern) + (1 - weight) * 0.5 if weight.min() < 1 else pattern)


def enlarged(image: Image.Image, width: int) -> Image.Image:
    """The image enlarged by a whole factor to about ``width`` pixels, without smoothing."""
    factor = max(1, round(width / image.width))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def colour_scale(width: int = 256, height: int = 10) -> Image.Image:
    """The colour scale of :func:`heat_map`, with 0 on the left."""
    return photo(heat(np.tile(np.linspace(0, 1, width), (height, 1))[None], 1.0)[0])


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def figure_uri(figure: Figure) -> str:
    """A figure of the report as a data URI."""
    kind = "svg+xml" if figure.drawing else "png"
    return f"data:image/{kind};base64," + base64.b64encode(figure.data()).decode()


def uri(image: Image.Image) -> str:
    """The picture as a data URI, so that the page does not request it from a host."""
    return "data:image/png;base64," + base64.b64encode(png(image)).decode()


__all__ = [
    "HEAT",
    "colour_scale",
    "enlarged",
    "figure_uri",
    "heat_map",
    "overlay",
    "photo",
    "png",
    "trigger_picture",
    "uri",
]
