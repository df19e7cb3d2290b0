"""Reads the text of a sketch. Nothing in it is evaluated: it is cut into words, and every word is looked up.

::

    sketch   = item { (";" | new line) item }
    item     = layer | block | concat | repeat
    layer    = NAME { number } { OPTION number [number] | FLAG } [ "from" NAME_IN_THE_FILE ]
    block    = "block" "{" sketch "}" [ "shortcut" "{" sketch "}" ]
    concat   = "concat" "{" sketch "}" "{" sketch "}" { "{" sketch "}" }
    repeat   = "repeat" number "{" sketch "}"

A ``#`` begins a comment that ends with its line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite

from ti_core.errors import SketchError
from ti_core.reconstruction.sketch import Block, Concat, Item, Items, Layer, Repeat, Sketch, Value
from ti_core.reconstruction.vocabulary import FROM, GROUPS, PAIRS, WORDS, Number
from ti_core.text import shown

LONGEST = 100_000
"""Maximum number of characters of a sketch."""
MOST_LAYERS = 2000
"""Maximum number of layers, repeated ones counted each time."""
DEEPEST = 8
"""How deeply groups may stand in one another."""
MOST_WAYS = 16
"""Maximum number of ways of ``concat``."""
LONGEST_NAME = 300

_NUMBER = re.compile(r"[-+]?(\d{1,12}(\.\d{0,12})?|\.\d{1,12})([eE][-+]?\d{1,2})?")
_WHOLE = re.compile(r"[-+]?\d{1,12}")
_NAME = re.compile(r"[A-Za-z_]\w{0,40}", re.ASCII)
_ENDS = (";", "\n")


@dataclass(frozen=True)
class _Token:
    text: str
    line: int


def parse_sketch(text: str) -> Sketch:
    """The sketch that a text describes.

    Raises
    ------
    SketchError : it is no sketch; the message names the line, what is wrong, and what may stand there.
    """
    if len(text) > LONGEST:
        raise SketchError(f"The sketch has {len(text):,} characters; at most {LONGEST:,} are read.")
    reader = _Reader(_tokens(text))
    sketch = Sketch(reader.items(0))
    if not reader.at_end:
        raise reader.error('there is a "}" without a "{"')
    if not sketch.items:
        raise SketchError("The sketch names no layer; begin with, for example, conv 16 5.")
    return sketch


def _tokens(text: str) -> list[_Token]:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        found += [_Token(word, number) for word in re.findall(r"[{};]|[^\s{};]+", line.partition("#")[0])]
        found.append(_Token("\n", number))
    return found


class _Reader:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens, self._at, self._layers, self._times = tokens, 0, 0, 1

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._tokens)

    def error(self, what: str) -> SketchError:
        line = self._tokens[min(self._at, len(self._tokens) - 1)].line if self._tokens else 1
        return SketchError(f"Line {line} of the sketch: {what}.")

    def _peek(self) -> str:
        return "" if self.at_end else self._tokens[self._at].text

    def _skip(self, *what: str) -> None:
        while not self.at_end and self._peek() in what:
            self._at += 1

    def _take(self, what: str) -> None:
        self._skip("\n")
        if self._peek() != what:
            found = (
                f"not {shown(self._peek(), 40)!r}"
                if self._peek() not in ("", "\n")
                else "but the sketch ends"
            )
            raise self.error(f'a "{what}" is expected here, {found}')
        self._at += 1

    def items(self, depth: int) -> Items:
        """The items up to the end, or to the brace that closes the group."""
        if depth > DEEPEST:
            raise self.error(f"groups stand more than {DEEPEST} deep in one another")
        found: list[Item] = []
        self._skip(*_ENDS)
        while not self.at_end and self._peek() != "}":
            found.append(self._item(depth))
            if not self.at_end and self._peek() not in (*_ENDS, "}"):
                word = shown(self._peek(), 40)
                raise self.error(
                    f"{word!r} does not belong here; separate layers by a semicolon or a new line"
                )
            self._skip(*_ENDS)
        return tuple(found)

    def _group(self, depth: int) -> Items:
        self._take("{")
        found = self.items(depth + 1)
        self._take("}")
        return found

    def _item(self, depth: int) -> Item:
        word = self._peek()
        if word == "block":
            self._at += 1
            main = self._group(depth)
            before = self._at
            self._skip("\n")
            if self._peek() != "shortcut":
                self._at = before
                return Block(main)
            self._at += 1
            return Block(main, self._group(depth))
        if word == "concat":
            self._at += 1
            ways = [self._group(depth), self._group(depth)]
            while self._peek() == "{":
                ways.append(self._group(depth))
            if len(ways) > MOST_WAYS:
                raise self.error(f"concat has {len(ways)} ways; at most {MOST_WAYS} are read")
            return Concat(tuple(ways))
        if word == "repeat":
            return self._repeat(depth)
        return self._layer(depth)

    def _repeat(self, depth: int) -> Repeat:
        self._at += 1
        count = int(self._number("repeat", "count", Number(1, 200)))
        self._times *= count
        body = self._group(depth)
        self._times //= count
        if count > 1 and any(layer.source for layer in Sketch(body).layers()):
            raise self.error('a layer that is repeated cannot have a name after "from"')
        return Repeat(count, body)

    def _layer(self, depth: int) -> Layer:
        name = self._peek()
        if name not in WORDS:
            known = ", ".join([*WORDS, *GROUPS])
            if _NAME.fullmatch(name) is None:
                raise self.error(f"a layer is expected, not {shown(name, 40)!r}; known are {known}")
            raise self.error(f"there is no layer {shown(name, 40)!r}; known are {known}")
        if name == "input" and (self._layers or depth):
            raise self.error("input stands before all layers")
        self._layers += self._times
        if self._layers > MOST_LAYERS:
            raise self.error(f"the sketch has more than {MOST_LAYERS} layers")
        self._at += 1
        word = WORDS[name]
        sizes = []
        for size, number in word.sizes.items():
            if number.optional and not self._looks_like_number():
                break
            sizes.append(self._number(name, size, number))
        options: dict[str, tuple[Value, ...]] = {}
        flags: list[str] = []
        source = ""
        while self._peek() not in (*_ENDS, "", "{", "}"):
            option = self._peek()
            if option in options or option in flags or source:
                raise self.error(f"{shown(option, 40)!r} stands twice, or after the name of the file's layer")
            if option == FROM:
                source = self._source(name)
            elif option in word.flags:
                self._at += 1
                flags.append(option)
            elif option in word.options:
                options[option] = self._values(name, option, word.options[option])
            else:
                raise self._unknown(name, option)
        return Layer(name, tuple(sizes), tuple(sorted(options.items())), tuple(sorted(flags)), source)

    def _unknown(self, name: str, option: str) -> SketchError:
        word = WORDS[name]
        parts = [*word.options, *word.flags]
        takes = f"the numbers {', '.join(word.sizes)}" if word.sizes else "no number"
        beside = f" and the options {', '.join(parts)}" if parts else " and no option"
        return self.error(f"{name} takes {takes}{beside}, not {shown(option, 40)!r}")

    def _values(self, name: str, option: str, number: Number) -> tuple[Value, ...]:
        self._at += 1
        values = [self._number(name, option, number)]
        if option in PAIRS and self._looks_like_number():
            values.append(self._number(name, option, number))
        return tuple(values)

    def _source(self, name: str) -> str:
        self._at += 1
        source = self._peek()
        if source in (*_ENDS, "", "{", "}") or len(source) > LONGEST_NAME or not source.isprintable():
            raise self.error(f'{name}: the name of a layer in the file is expected after "from"')
        self._at += 1
        return source

    def _looks_like_number(self) -> bool:
        return _NUMBER.fullmatch(self._peek()) is not None

    def _number(self, name: str, what: str, number: Number) -> Value:
        text = self._peek()
        pattern = _WHOLE if number.whole else _NUMBER
        if pattern.fullmatch(text) is None:
            found = f", not {shown(text, 40)!r}" if text not in (*_ENDS, "", "{", "}") else ""
            raise self.error(f"the {what} of {name} is {number.says()}{found}")
        value: Value = int(text) if number.whole else float(text)
        if not isfinite(value) or not number.least <= value <= number.most:
            raise self.error(f"the {what} of {name} is {number.says()}, not {shown(text, 40)}")
        self._at += 1
        return value
