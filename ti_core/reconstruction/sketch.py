"""A sketch: the layers of a network in order, as plain data that prints itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from ti_core.text import few

Value = int | float


@dataclass(frozen=True)
class Layer:
    """One layer.

    Parameters
    ----------
    word : a name of :data:`~ti_core.reconstruction.vocabulary.WORDS`.
    sizes : the numbers after it.
    options : the named numbers, sorted by name.
    flags : words without a number, sorted.
    source : name of the file's layer whose tensors are taken; "" for the next that fits.
    """

    word: str
    sizes: tuple[Value, ...] = ()
    options: tuple[tuple[str, tuple[Value, ...]], ...] = ()
    flags: tuple[str, ...] = ()
    source: str = ""

    def option(self, name: str) -> tuple[Value, ...]:
        """The values of an option; none where it is not given."""
        return dict(self.options).get(name, ())

    def __str__(self) -> str:
        parts = [self.word, *map(_number, self.sizes)]
        for name, values in self.options:
            parts += [name, *map(_number, values)]
        parts += self.flags
        return " ".join([*parts, *(["from", self.source] if self.source else [])])


@dataclass(frozen=True)
class Block:
    """The sum of two ways. An empty shortcut hands the input on as it is."""

    main: Items
    shortcut: Items = ()

    def __str__(self) -> str:
        beside = f" shortcut {_braced(self.shortcut)}" if self.shortcut else ""
        return f"block {_braced(self.main)}{beside}"


@dataclass(frozen=True)
class Concat:
    """Several ways whose results stand behind one another. An empty way hands the input on as it is."""

    ways: tuple[Items, ...]

    def __str__(self) -> str:
        return f"concat {' '.join(map(_braced, self.ways))}"


@dataclass(frozen=True)
class Repeat:
    """The same layers several times in a row, each time with tensors of their own."""

    count: int
    body: Items

    def __str__(self) -> str:
        return f"repeat {self.count} {_braced(self.body)}"


Item = Layer | Block | Concat | Repeat
Items = tuple[Item, ...]


@dataclass(frozen=True)
class Sketch:
    """A whole network. ``str`` gives it on one line; the grammar reads it back as the same sketch."""

    items: Items

    def __str__(self) -> str:
        return "; ".join(map(str, self.items))

    def lines(self) -> str:
        """The same on several lines: each begins with a layer that has weights, or with a group."""
        lines: list[list[str]] = []
        for item in self.items:
            if not lines or not isinstance(item, Layer) or item.word in ("conv", "linear", "flatten"):
                lines.append([])
            lines[-1].append(str(item))
        return "\n".join("; ".join(line) for line in lines)

    @property
    def sha256(self) -> str:
        """Digest of the sketch, for names of what is kept."""
        return sha256(str(self).encode()).hexdigest()

    @property
    def input(self) -> tuple[int, int, int] | None:
        """(C, H, W) of the images, if the sketch gives it."""
        first = self.items[0] if self.items else None
        if not isinstance(first, Layer) or first.word != "input":
            return None
        channels, height, *width = (int(n) for n in first.sizes)
        return channels, height, width[0] if width else height

    def layers(self) -> Iterator[Layer]:
        """Every layer, repeated ones as often as they are repeated."""
        yield from _layers(self.items)

    def without_sources(self) -> Sketch:
        """The same without the names of the file's layers."""
        return Sketch(_without_sources(self.items))

    def folded(self) -> Sketch:
        """The same, with equal blocks in a row as one repeated block."""
        return Sketch(_folded(self.items))


OTHER_OPTIONS = "the same layers with their options in another order"


def difference(sketch: Sketch, other: Sketch) -> str:
    """What stands in the other sketch and not in this one, in words."""
    ours, theirs = (
        Counter(str(layer) for layer in one.without_sources().layers()) for one in (sketch, other)
    )
    gone, more = ours - theirs, theirs - ours
    if not gone and not more:
        ours_in_order, theirs_in_order = ([layer.word for layer in one.layers()] for one in (sketch, other))
        return OTHER_OPTIONS if ours_in_order == theirs_in_order else "the same layers in another order"
    if not more:
        return f"without {few(gone)}"
    return f"{few(more)} in place of {few(gone)}" if gone else f"with {few(more)}"


def _layers(items: Items) -> Iterator[Layer]:
    for item in items:
        if isinstance(item, Layer):
            yield item
        elif isinstance(item, Repeat):
            for _ in range(item.count):
                yield from _layers(item.body)
        else:
            for way in (item.main, item.shortcut) if isinstance(item, Block) else item.ways:
                yield from _layers(way)


def _without_sources(items: Items) -> Items:
    found: list[Item] = []
    for item in items:
        if isinstance(item, Layer):
            found.append(replace(item, source=""))
        elif isinstance(item, Repeat):
            found.append(Repeat(item.count, _without_sources(item.body)))
        elif isinstance(item, Block):
            found.append(Block(_without_sources(item.main), _without_sources(item.shortcut)))
        else:
            found.append(Concat(tuple(map(_without_sources, item.ways))))
    return tuple(found)


def _folded(items: Items) -> Items:
    """Runs of equal groups, with or without the layer that follows each, as one repetition."""
    found: list[Item] = []
    at = 0
    while at < len(items):
        length, count = 1, 1
        if not isinstance(items[at], (Layer, Repeat)):
            length, count = max(
                ((n, _runs(items, at, n)) for n in (1, 2, 3, 4)),
                key=lambda run: run[0] * run[1] if run[1] > 1 else 1,
            )
        if count > 1:
            found.append(Repeat(count, items[at : at + length]))
        else:
            found.append(items[at])
            length = 1
        at += length * count
    return tuple(found)


def _runs(items: Items, at: int, length: int) -> int:
    """How often the ``length`` items from ``at`` on stand there in a row."""
    first, count = items[at : at + length], 1
    while len(first) == length and items[at + count * length : at + (count + 1) * length] == first:
        count += 1
    return count


def _braced(items: Sequence[Item]) -> str:
    inner = "; ".join(map(str, items))
    return f"{{ {inner} }}" if inner else "{ }"


def _number(value: Value) -> str:
    return str(value) if isinstance(value, int) else f"{value:.12g}"
