"""The grammar of a sketch: what it reads, that it prints itself, and that nothing else gets through."""

from __future__ import annotations

import pytest

from ti_core.errors import SketchError
from ti_core.reconstruction.grammar import parse_sketch
from ti_core.reconstruction.sketch import Block, Concat, Layer, Repeat, Sketch, difference

SKETCHES = [
    "conv 16 5; relu; avgpool 2; conv 32 5; relu; avgpool 2; flatten; linear 512; relu; linear 10",
    "input 3 32 48; conv 8 3 5 padding 1 2 stride 2 groups 1 nobias from stem.0; batchnorm eps 0.001; leaky_relu -0.2",
    "block { conv 8 3 padding 1; relu } shortcut { pad 8 stride 2 }; globalavgpool; flatten; linear 4",
    "repeat 3 { block { conv 8 1 } }; concat { } { conv 4 1; relu }; maxpool 3 padding 1 stride 2 ceil",
    "rescale 2 -1; dropout 0.5; softmax",
]


@pytest.mark.parametrize("text", SKETCHES)
def test_a_sketch_prints_itself_in_a_form_that_reads_back(text: str) -> None:
    sketch = parse_sketch(text)
    assert parse_sketch(str(sketch)) == parse_sketch(sketch.lines()) == sketch
    assert str(parse_sketch(str(sketch))) == str(sketch)


def test_every_part_is_what_the_text_says() -> None:
    sketch = parse_sketch(
        "conv 8 3 stride 2 1 nobias from a.0 # first\nblock { relu }\nshortcut { }\n;; repeat 2 { gelu }"
    )
    conv = Layer("conv", (8, 3), (("stride", (2, 1)),), ("nobias",), "a.0")
    assert sketch.items == (conv, Block((Layer("relu"),)), Repeat(2, (Layer("gelu"),)))
    assert [layer.word for layer in sketch.layers()] == ["conv", "relu", "gelu", "gelu"]
    assert str(sketch.without_sources()) == "conv 8 3 stride 2 1 nobias; block { relu }; repeat 2 { gelu }"
    assert parse_sketch("concat { } { relu } { gelu }").items == (
        Concat(((), (Layer("relu"),), (Layer("gelu"),))),
    )


def test_the_input_is_square_unless_it_says_otherwise() -> None:
    assert parse_sketch("input 1 28; relu").input == (1, 28, 28)
    assert parse_sketch("input 3 32 48; relu").input == (3, 32, 48)
    assert parse_sketch("relu").input is None


def test_equal_blocks_in_a_row_are_written_once() -> None:
    block = "block { conv 8 3 }; relu"
    assert (
        str(parse_sketch(f"{block}; {block}; {block}; flatten").folded())
        == f"repeat 3 {{ {block} }}; flatten"
    )
    assert str(parse_sketch("relu; relu; block { gelu }").folded()) == "relu; relu; block { gelu }"


WRONG = {
    "": "names no layer",
    "# nothing": "names no layer",
    "conv 16": "the size of conv is a whole number from 1 to 64",
    "conv -16 5": "the channels of conv is a whole number from 1 to 65536, not -16",
    "conv 1e3 5": "not '1e3'",
    "linear 0": "from 1 to 65536, not 0",
    "linear 999999999999": "from 1 to 65536",
    "linear 9999999999999999999": "from 1 to 65536",
    "leaky_relu nan": "'nan'",
    "leaky_relu 1e99": "from -100 to 100, not 1e99",
    "__import__('os').system('x')": "a layer is expected",
    "eval": "there is no layer 'eval'",
    "torch.nn.ReLU": "a layer is expected",
    "relu 3": "relu takes no number and no option, not '3'",
    "conv 8 3 relu": "the options stride, padding, dilation, groups, nobias, not 'relu'",
    "conv 8 3 stride": "the stride of conv is",
    "conv 8 3 stride 2 stride 2": "stands twice",
    "conv 8 3 from": 'expected after "from"',
    "conv 8 3 from a from b": "stands twice",
    "relu gelu": "takes no number",
    "relu; input 1 28": "input stands before all layers",
    "block { input 1 28 }": "input stands before all layers",
    "block { relu": 'a "}" is expected here, but the sketch ends',
    "block relu": "a \"{\" is expected here, not 'relu'",
    "relu }": 'a "}" without a "{"',
    "shortcut { relu }": "there is no layer 'shortcut'",
    "concat { relu }": 'a "{" is expected',
    "concat " + "{ } " * 17: "17 ways; at most 16",
    "repeat 0 { relu }": "the count of repeat is a whole number from 1 to 200, not 0",
    "repeat 2 { conv 8 3 from a }": "cannot have a name",
    "block { " * 9 + "relu" + "}" * 9: "more than 8 deep",
    "relu; " * 10_000: "more than 2000 layers",
    "repeat 200 { repeat 200 { relu } }": "more than 2000 layers",
    "r" * 200_000: "200,000 characters",
    "conv 8 3;\n\nrelu 1": "Line 3 of the sketch",
    "conv 8 3 padding 65": "the padding of conv is a whole number from 0 to 64, not 65",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:30])
def test_whatever_is_no_sketch_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(SketchError) as caught:
        parse_sketch(text)
    said = str(caught.value)
    assert WRONG[text] in said and said.endswith(".") and "\n" not in said and len(said) < 700


def test_a_sketch_has_a_digest_of_its_own() -> None:
    assert parse_sketch("relu;flatten").sha256 == parse_sketch("relu\nflatten # x").sha256
    assert parse_sketch("relu").sha256 != parse_sketch("gelu").sha256
    assert isinstance(parse_sketch("relu"), Sketch)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ("conv 4 3; leaky_relu 0.01; flatten; linear 3", "leaky_relu 0.01 in place of relu"),
        ("conv 4 3; flatten; linear 3", "without relu"),
        ("conv 4 3 from a; relu; maxpool 2; flatten; linear 3", "with maxpool 2"),
        ("relu; conv 4 3; flatten; linear 3", "the same layers in another order"),
    ],
)
def test_the_difference_of_two_sketches_in_words(other: str, says: str) -> None:
    assert difference(parse_sketch("conv 4 3; relu; flatten; linear 3"), parse_sketch(other)) == says
