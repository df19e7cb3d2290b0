"""PNG pictures from arrays, for the report."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HEAT = np.array(
    [[13, 8, 60], [126, 3, 168], [204, 71, 120], [248, 149, 64], [240, 249, 33]], dtype=np.float64
)
"""Anchors of a colour scale whose lightness rises evenly, so that it is also legible in grey."""


@dataclass(frozen=True)
class Figure:
    """One figure: a file name without its ending, a caption, and either pixels ``H x W x 3`` or an SVG drawing."""

    name: str
    caption: str
    pixels: NDArray[np.uint8] | None = None
    drawing: str = ""

    @property
    def file(self) -> str:
        return f"{self.name}.svg" if self.drawing else f"{self.name}.png"

    def data(self) -> bytes:
        """The file's bytes."""
        if self.drawing:
            return self.drawing.encode()
        assert self.pixels is not None
        return png(self.pixels)


def grid(images: NDArray[np.floating], columns: int, scale: int = 4, gap: int = 2) -> NDArray[np.uint8]:
    """Images ``M x C x H x W`` in [0, 1] as one picture ``H' x W' x 3``: rows of ``columns``, pixels ``scale`` wide."""
    images = np.asarray(images, dtype=np.float64)
    if images.shape[1] == 1:
        images = np.repeat(images, 3, axis=1)
    pixels = (np.clip(images, 0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    pixels = pixels.repeat(scale, axis=1).repeat(scale, axis=2)
    count, height, width, _ = pixels.shape
    rows = -(-count // columns)
    canvas = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, dtype=np.uint8)
    for i, picture in enumerate(pixels):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        canvas[top : top + height, left : left + width] = picture
    return canvas


def heat(maps: NDArray[np.floating], highest: float | None = None) -> NDArray[np.float64]:
    """Maps ``M x H x W``, at least 0, as colours ``M x 3 x H x W``.

    All maps share one scale. It ends at ``highest``, or at the largest value.
    """
    top = highest if highest is not None else float(maps.max())
    position = np.clip(maps / max(top, 1e-12), 0, 1) * (len(HEAT) - 1)
    below = np.floor(position).astype(int).clip(0, len(HEAT) - 2)
    share = (position - below)[..., None]
    colours = (HEAT[below] * (1 - share) + HEAT[below + 1] * share) / 255
    return np.asarray(colours.transpose(0, 3, 1, 2))


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels ``H x W x 3`` as a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def evenly(count: int, most: int) -> tuple[int, ...]:
    """At most ``most`` of the indices below ``count``, spread evenly, with both ends."""
    shown = min(count, most)
    return tuple(round(i * (count - 1) / max(1, shown - 1)) for i in range(shown))


def scale_for(image: NDArray[np.floating], wanted: int) -> int:
    """Pixels a side for one pixel of ``... x W``, for a picture about ``wanted`` pixels wide."""
    return max(1, round(wanted / int(image.shape[-1])))
