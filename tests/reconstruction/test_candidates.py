"""Networks from names and shapes alone: the chain, its blocks, and the sizes that lead to the linear layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ti_core.reconstruction.candidates import candidates, partial, shortest
from ti_core.reconstruction.chain import BrokenError, chains
from ti_core.reconstruction.grammar import parse_sketch
from ti_core.reconstruction.layers.file_layers import file_layers
from ti_core.reconstruction.network import network_of
from ti_core.reconstruction.options import acted
from ti_core.reconstruction.sketch import Layer
from ti_core.reconstruction.usual import ACT, POOL, Choice, once

State = dict[str, torch.Tensor]


def conv(name: str, out: int, inner: int, size: int, bias: bool = True) -> State:
    return {f"{name}.weight": torch.rand(out, inner, size, size)} | (
        {f"{name}.bias": torch.rand(out)} if bias else {}
    )


def linear(name: str, out: int, inner: int) -> State:
    return {f"{name}.weight": torch.rand(out, inner), f"{name}.bias": torch.rand(out)}


def norm(name: str, width: int) -> State:
    return {f"{name}.{k}": v for k, v in nn.BatchNorm2d(width).state_dict().items()}


BADNET = conv("conv1", 16, 1, 5) | conv("conv2", 32, 16, 5) | linear("fc1", 512, 512) | linear("fc2", 10, 512)
PERCEPTRON = linear("net.0", 64, 784) | linear("net.2", 32, 64) | linear("net.4", 10, 32)
NAMED = conv("features.0", 16, 3, 3) | conv("features.3", 32, 16, 3) | linear("classifier.1", 10, 2048)


def likeliest(state: State) -> str:
    layers = file_layers(state)
    return str(shortest(candidates(layers)[0].sketch(), layers))


@pytest.mark.parametrize(
    ("state", "sketch"),
    [
        (
            BADNET,
            "input 1 28; conv 16 5; relu; maxpool 2; conv 32 5; relu; maxpool 2; flatten; linear 512; relu; linear 10",
        ),
        (PERCEPTRON, "input 1 28; flatten; linear 64; relu; linear 32; relu; linear 10"),
        (
            NAMED,
            "input 3 32; conv 16 3 padding 1; relu; maxpool 2; conv 32 3 padding 1; relu; maxpool 2; flatten;"
            " linear 10",
        ),
    ],
    ids=["conv and fc", "perceptron", "numbered parts"],
)
def test_the_likeliest_network_is_the_usual_one_of_these_sizes(state: State, sketch: str) -> None:
    assert likeliest(state) == sketch
    # The order of a file that sorts its names says nothing.
    assert likeliest(dict(sorted(state.items()))) == sketch


def test_every_candidate_takes_images_of_its_size_and_uses_every_tensor() -> None:
    layers = file_layers(BADNET)
    found = candidates(layers)
    assert len({str(c.sketch()) for c in found}) > 5
    assert [c.cost for c in found] == sorted(c.cost for c in found)
    for candidate in found[:12]:
        sketch = parse_sketch(str(candidate.sketch()))
        assert network_of(sketch, layers)(torch.rand(2, *candidate.input_shape)).shape == (2, 10)


def blocks(shortcut: str, second: int = 16) -> State:
    state = conv("conv1", 8, 3, 3, False) | norm("bn1", 8)
    for stage, (inner, out) in enumerate([(8, 8), (8, second)], 1):
        at = f"layer{stage}.0"
        state |= conv(f"{at}.conv1", out, inner, 3, False) | norm(f"{at}.bn1", out)
        state |= conv(f"{at}.conv2", out, out, 3, False) | norm(f"{at}.bn2", out)
        if inner != out and shortcut:
            state |= conv(f"{at}.{shortcut}.0", out, inner, 1, False) | norm(f"{at}.{shortcut}.1", out)
    return state | linear("fc", 10, second)


BASIC = "block { conv 8 3 padding 1; batchnorm; relu; conv 8 3 padding 1; batchnorm }; relu"


@pytest.mark.parametrize("name", ["downsample", "shortcut", "a_name_that_nobody_uses"])
def test_a_shortcut_is_found_by_name_or_by_its_shapes(name: str) -> None:
    wide = "block { conv 16 3 padding 1 stride 2; batchnorm; relu; conv 16 3 padding 1; batchnorm }"
    wide += " shortcut { conv 16 1"
    sketch = likeliest(blocks(name))
    assert sketch.startswith(
        f"input 3 32; conv 8 3 padding 1; batchnorm; relu; {BASIC}; {wide} stride 2; batchnorm }}"
    )
    assert sketch.endswith("globalavgpool; flatten; linear 10")
    assert str(parse_sketch(likeliest(dict(sorted(blocks(name).items())))).without_sources()) == sketch


def test_blocks_without_weights_in_their_shortcut_are_among_the_candidates() -> None:
    found = [str(c.sketch().without_sources()) for c in candidates(file_layers(blocks("")))]
    padded = "batchnorm } shortcut { pad 16 stride 2 }"
    assert any(BASIC in sketch and padded in sketch for sketch in found)
    assert any("block" not in sketch for sketch in found)


def test_equal_blocks_are_written_once_and_tensors_keep_their_places() -> None:
    state = blocks("downsample", 8)
    layers = file_layers(state)
    sketch = shortest(candidates(layers)[0].sketch(), layers)
    assert f"repeat 2 {{ {BASIC} }}" in str(sketch)
    whole = network_of(candidates(layers)[0].sketch(), layers).double()
    x = torch.rand(2, 3, 32, 32).double()
    torch.testing.assert_close(network_of(sketch, layers).double()(x), whole(x))


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"cls_token": torch.rand(1, 1, 8), **linear("head", 10, 8)}, "no layer of a plain network"),
        (conv("a", 8, 3, 3) | conv("b", 8, 5, 3), "finds 8 channels"),
        (linear("a", 8, 784) | linear("b", 8, 9), "finds 8 features"),
        (norm("bn", 8), "no convolution and no linear layer"),
    ],
)
def test_what_is_no_chain_says_which_layer_breaks_it(state: State, says: str) -> None:
    with pytest.raises(BrokenError, match=says):
        chains(file_layers(state))


def test_stages_of_unknown_names_are_no_blocks_themselves() -> None:
    state = conv("a.0", 8, 3, 3) | norm("a.1", 8)
    for stage, (inner, out) in enumerate([(8, 16), (16, 24)]):
        for index in range(2):
            at, before = f"s{stage}.{index}", out if index else inner
            state |= conv(f"{at}.left.0", out, before, 3, False) | norm(f"{at}.left.1", out)
            state |= conv(f"{at}.left.3", out, out, 3, False) | norm(f"{at}.left.4", out)
            state |= {} if index else conv(f"{at}.q.0", out, before, 1, False) | norm(f"{at}.q.1", out)
    chain = chains(file_layers(state | linear("end", 10, 24)))[0]
    blocks = [step.block for step in chain.steps if step.kind == "enter" and step.block is not None]
    assert [block.sure for block in blocks] == [True, False, True, False]
    assert all(block.likely and len(block.main) == 4 for block in blocks)


def test_a_norm_with_an_activation_before_it_is_seldom_followed_by_another() -> None:
    plain, act, both = Choice((), 3.0), Choice((ACT,), 0.0), Choice((ACT, POOL), 0.5)
    assert once([plain, act, both]) == [Choice((), 0.0), Choice((ACT,), 3.0), Choice((ACT, POOL), 3.5)]
    conv, norm = Layer("conv", (8, 3)), Layer("batchnorm")
    assert acted((conv, ACT, norm)) and acted((conv, ACT, POOL, norm))
    assert not acted((conv, norm)) and not acted((ACT, conv, norm)) and not acted((norm,))


def test_of_a_network_that_branches_the_beginning_and_what_is_left_over_are_told() -> None:
    state = conv("stem", 8, 3, 3) | norm("bn", 8) | conv("mixed.a", 4, 8, 1) | conv("mixed.b", 6, 8, 3)
    state |= conv("mixed.c", 5, 10, 5) | linear("fc", 10, 15)
    found = partial(file_layers(state))
    assert found is not None
    assert str(found.sketch) == "conv 8 3; batchnorm; conv 4 1"
    assert [layer.name for layer in found.left] == ["mixed.b", "mixed.c", "fc"]
    deep = {key: value for i in range(60) for key, value in conv(f"c{i}", 8, 8, 3).items()}
    text = partial(file_layers(deep | conv("odd", 8, 5, 3)))
    assert text is not None and text.text().endswith("; conv 8 3 # and 48 more")
    assert parse_sketch(text.text()).items[0] == Layer("conv", (8, 3))
    assert partial(file_layers({"token": torch.rand(1, 1, 8), **linear("head", 10, 8)})) is None


def dense() -> tuple[State, str]:
    """A small DenseNet: two layers whose results stand behind their input, a transition, and one more."""
    state = conv("stem", 8, 3, 3, False)
    channels = 8
    for name in ("one.0", "one.1", "two.0"):
        state |= norm(f"{name}.n1", channels) | conv(f"{name}.c1", 6, channels, 1, False)
        state |= norm(f"{name}.n2", 6) | conv(f"{name}.c2", 4, 6, 3, False)
        channels += 4
        if name == "one.1":
            state |= norm("change.n", 16) | conv("change.c", 10, 16, 1, False)
            channels = 10
    state |= norm("last", 14) | linear("end", 5, 14)
    way = "{ batchnorm; relu; conv 6 1; batchnorm; relu; conv 4 3 padding 1 }"
    return state, f"repeat 2 {{ concat {{ }} {way} }}"


def test_layers_that_take_all_channels_before_them_are_joined() -> None:
    state, begins = dense()
    sketch = likeliest(state)
    assert f"conv 8 3 padding 1; {begins}; batchnorm; relu; conv 10 1" in sketch
    assert sketch.count("concat") == 2 and sketch.endswith(
        "batchnorm; relu; globalavgpool; flatten; linear 5"
    )
    layers = file_layers(state)
    both = [str(c.sketch()) for c in candidates(layers)]
    assert any("conv 4 3 padding 1 from one.0.c2 } { }" in text for text in both), "the other order is tried"
    assert any("conv 10 1 from change.c; avgpool 2; concat" in text for text in both)
    assert network_of(parse_sketch(sketch), layers)(torch.rand(2, 3, 32, 32)).shape == (2, 5)
