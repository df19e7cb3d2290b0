"""The layouts of ``benchmarks.rebuilt``, by name. Another one is one entry."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from benchmarks.rebuilt_networks import (
    Added,
    Basic,
    Before,
    Bottleneck,
    Dense,
    Layout,
    Padded,
    Single,
    Standard,
    Steps,
    apart,
    conv3,
    features,
    rows,
    stages,
    unit,
)

_C, _L, _B = nn.Conv2d, nn.Linear, nn.BatchNorm2d
_TWO = "conv1 relu {p} conv2 relu {p} flat fc1 relu fc2"


def _same(before: int, after: int, size: int = 3) -> nn.Conv2d:
    return nn.Conv2d(before, after, size, padding=size // 2)


def _badnet_max() -> nn.Module:
    def conv(before: int, after: int) -> nn.Module:
        return nn.Sequential(_C(before, after, 5), nn.ReLU(), nn.MaxPool2d(2))

    fc2 = nn.Sequential(_L(512, 10), nn.Softmax(-1))
    first = nn.Sequential(_L(512, 512), nn.ReLU())
    return Steps("conv1 conv2 flat fc1 fc2", conv1=conv(1, 16), conv2=conv(16, 32), fc1=first, fc2=fc2)


def _all_convolutions() -> nn.Module:
    parts = [_same(1, 24), nn.ReLU(), _C(24, 24, 3, 2, 1), nn.ReLU(), _same(24, 48), nn.ReLU()]
    parts += [_C(48, 48, 3, 2, 1), nn.ReLU(), _C(48, 10, 1)]
    return Steps("features mean", features=nn.Sequential(*parts))


def _yunjey() -> nn.Module:
    def layer(before: int, after: int) -> nn.Module:
        return nn.Sequential(_same(before, after, 5), _B(after), nn.LeakyReLU(), nn.MaxPool2d(2))

    return Steps("layer1 layer2 flat fc", layer1=layer(1, 16), layer2=layer(16, 32), fc=_L(1568, 10))


def _resnet9() -> nn.Module:
    return Steps(
        "conv1 conv2 res1 conv3 conv4 res2 classifier",
        conv1=unit(3, 16),
        conv2=unit(16, 32, True),
        res1=Added(unit(32, 32), unit(32, 32)),
        conv3=unit(32, 64, True),
        conv4=unit(64, 64, True),
        res2=Added(unit(64, 64), unit(64, 64)),
        classifier=nn.Sequential(nn.MaxPool2d(4), nn.Flatten(), _L(64, 10)),
    )


def _mobilenet() -> nn.Module:
    plans = ((24, 32, 1), (32, 64, 2), (64, 64, 1), (64, 96, 2), (96, 96, 1))
    first = nn.Sequential(conv3(3, 24), _B(24), nn.ReLU())
    model = nn.Sequential(first, *(apart(*plan) for plan in plans), nn.AdaptiveAvgPool2d(1))
    return Steps("model flat fc", model=model, fc=_L(96, 10))


def _strided_silu() -> nn.Module:
    parts: list[nn.Module] = []
    for before, after, stride in ((3, 24, 1), (24, 32, 2), (32, 48, 2), (48, 64, 2)):
        parts += [_C(before, after, 3, stride, 1), _B(after), nn.SiLU()]
    return Steps("net", net=nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), _L(64, 10)))


def _numbered(widths: tuple[int, ...], steps: str, last: int) -> nn.Module:
    """conv1, bn1, conv2, bn2, ... and fc."""
    parts: dict[str, nn.Module] = {}
    before = 3
    for number, width in enumerate(widths, 1):
        parts |= {f"conv{number}": _same(before, width), f"bn{number}": _B(width)}
        before = width
    return Steps(steps, **parts, fc=_L(last, 10))


def _ibau() -> nn.Module:
    pairs = [f"conv{n} bn{n} relu" + (" max" if n % 2 == 0 else "") for n in range(1, 7)]
    return _numbered((24, 24, 48, 48, 64, 64), " ".join([*pairs, "flat fc"]), 1024)


def _act_bn() -> nn.Module:
    steps = "conv1 elu bn1 conv2 elu bn2 max conv3 elu bn3 conv4 elu bn4 max flat fc"
    return _numbered((24, 24, 48, 48), steps, 48 * 64)


def _gtsrb() -> nn.Module:
    convs = {"conv1": _C(3, 24, 5), "bn1": _B(24), "conv2": _C(24, 48, 3), "bn2": _B(48)}
    convs |= {"conv3": _C(48, 64, 3), "bn3": _B(64)}
    steps = " ".join(f"conv{n} leaky max bn{n}" for n in (1, 2, 3))
    return Steps(f"{steps} flat fc1 relu fc2", **convs, fc1=_L(256, 96), fc2=_L(96, 43))


def _alex() -> nn.Module:
    first = [_C(3, 32, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(2), _same(32, 64), nn.ReLU(), nn.MaxPool2d(2)]
    later = [_same(64, 96), nn.ReLU(), _same(96, 64), nn.ReLU(), _same(64, 64), nn.ReLU(), nn.MaxPool2d(2)]
    head = [nn.Dropout(), _L(256, 128), nn.ReLU(), nn.Dropout(), _L(128, 64), nn.ReLU(), _L(64, 10)]
    both = nn.Sequential(*first, *later), nn.Sequential(*head)
    return Steps("features flat classifier", features=both[0], classifier=both[1])


def _densenet() -> nn.Module:
    """Two blocks of a DenseNet with a transition between them."""
    first = nn.Sequential(*(Dense(16 + 8 * n, 8) for n in range(3)))
    between = nn.Sequential(_B(40), nn.ReLU(), _C(40, 20, 1, bias=False), nn.AvgPool2d(2))
    second = nn.Sequential(*(Dense(20 + 8 * n, 8) for n in range(3)))
    last = {"norm": _B(44), "classifier": _L(44, 10)}
    steps = "conv max block1 trans1 block2 norm relu mean classifier"
    return Steps(steps, conv=conv3(1, 16), block1=first, trans1=between, block2=second, **last)


def _vgg(norm: bool, act: Callable[[], nn.Module], head: nn.Sequential) -> nn.Module:
    made = features((24, 24, 0, 48, 48, 0, 64, 64, 0), norm, act)
    return Steps("features flat classifier", features=made, classifier=head)


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.1)


LAYOUTS: dict[str, Layout] = {
    "badnet": Layout(
        lambda: Steps(
            _TWO.format(p="avg"), conv1=_C(1, 16, 5), conv2=_C(16, 32, 5), fc1=_L(512, 512), fc2=_L(512, 10)
        ),
        "mnist",
    ),
    "badnet_max": Layout(_badnet_max, "mnist"),
    "mlp_fc": Layout(
        lambda: Steps(
            "flat fc1 relu fc2 relu fc3 relu fc4",
            fc1=_L(784, 256),
            fc2=_L(256, 128),
            fc3=_L(128, 64),
            fc4=_L(64, 10),
        ),
        "mnist",
        "half",
    ),
    "mlp_tanh": Layout(
        lambda: Steps("flat net", net=rows(784, 128, 64, 32, 10, act=nn.Tanh)), "mnist", "mnist"
    ),
    "torch_example": Layout(
        lambda: Steps(
            "conv1 relu conv2 relu max flat fc1 relu fc2",
            conv1=_C(1, 32, 3),
            conv2=_C(32, 64, 3),
            dropout1=nn.Dropout(0.25),
            fc1=_L(9216, 128),
            fc2=_L(128, 10),
        ),
        "mnist",
        "mnist",
    ),
    "torch_old": Layout(
        lambda: Steps(
            "conv1 max relu conv2 max relu flat fc1 relu fc2",
            conv1=_C(1, 10, 5),
            conv2=_C(10, 20, 5),
            fc1=_L(320, 50),
            fc2=_L(50, 10),
        ),
        "mnist",
        "mnist",
    ),
    "named_blocks": Layout(
        lambda: Steps(
            "features flat classifier",
            features=nn.Sequential(
                *(_same(1, 16), nn.ReLU(), nn.MaxPool2d(2), _same(16, 32), nn.ReLU(), nn.MaxPool2d(2))
            ),
            classifier=nn.Sequential(nn.Dropout(0.2), _L(1568, 10)),
        ),
        "mnist",
    ),
    "lenet_tanh": Layout(
        lambda: Steps(
            "c1 tanh avg c3 tanh avg c5 tanh flat f6 tanh output",
            c1=_same(1, 6, 5),
            c3=_C(6, 16, 5),
            c5=_C(16, 120, 5),
            f6=_L(120, 84),
            output=_L(84, 10),
        ),
        "mnist",
        epochs=3,
    ),
    "wanet_mnist": Layout(
        lambda: Steps(
            "conv1 relu2 layer3 layer4 flat linear6 relu linear9",
            conv1=_C(1, 32, 3, 2, 1),
            relu2=nn.ReLU(),
            layer3=Single(32, 64),
            layer4=Single(64, 64),
            linear6=_L(1024, 512),
            linear9=_L(512, 10),
        ),
        "mnist",
    ),
    "yunjey_leaky": Layout(_yunjey, "mnist", "mnist"),
    "elu_strided": Layout(
        lambda: Steps(
            "c1 elu c2 elu c3 elu flat out",
            c1=_C(1, 16, 3, 2, 1),
            c2=_C(16, 32, 3, 2, 1),
            c3=_C(32, 64, 3, 2, 1),
            out=_L(1024, 10),
        ),
        "mnist",
    ),
    "mlp_bn": Layout(
        lambda: Steps(
            "layers", layers=nn.Sequential(nn.Flatten(), *rows(784, 200, 100, 10, act=nn.ReLU, norm=True))
        ),
        "mnist",
    ),
    "conv4": Layout(
        lambda: Steps(
            "conv1 relu conv2 relu max conv3 relu conv4 relu max flat fc1 relu fc2",
            conv1=_same(1, 16),
            conv2=_same(16, 16),
            conv3=_same(16, 32),
            conv4=_same(32, 32),
            fc1=_L(1568, 64),
            fc2=_L(64, 10),
        ),
        "mnist",
        "half",
    ),
    "sigmoid_lenet": Layout(
        lambda: Steps(
            "conv1 sigmoid avg conv2 sigmoid avg flat l1 sigmoid l2 sigmoid l3",
            conv1=_same(1, 6, 5),
            conv2=_C(6, 16, 5),
            l1=_L(400, 120),
            l2=_L(120, 84),
            l3=_L(84, 10),
        ),
        "mnist",
        epochs=5,
        rate=4e-3,
    ),
    "allconv": Layout(_all_convolutions, "mnist", epochs=3),
    "mnist_res_nobn": Layout(
        lambda: Steps(
            "conv relu res1 max flat fc",
            conv=_C(1, 16, 5, 2, 2),
            res1=Added(_same(16, 16), nn.ReLU(), _same(16, 16), last=True),
            fc=_L(784, 10),
        ),
        "mnist",
    ),
    "vgg7_bn": Layout(
        lambda: _vgg(True, nn.ReLU, nn.Sequential(_L(1024, 64), nn.ReLU(), nn.Dropout(), _L(64, 10))),
        "cifar10",
        "cifar10",
        4,
    ),
    "keras_like": Layout(
        lambda: Steps(
            "conv1 relu conv2 relu max conv3 relu conv4 relu max flat fc1 relu fc2",
            conv1=_same(3, 24),
            conv2=_C(24, 24, 3),
            conv3=_same(24, 48),
            conv4=_C(48, 48, 3),
            fc1=_L(48 * 36, 128),
            fc2=_L(128, 10),
        ),
        "cifar10",
        "half",
        4,
    ),
    "resnet9": Layout(_resnet9, "cifar10", "cifar10_short", 4),
    "resnet20a": Layout(
        lambda: Steps(
            "stem norm relu stages mean head",
            stem=conv3(3, 16),
            norm=_B(16),
            stages=stages(
                Padded,
                16,
                *((w, 2 if k == 0 and w > 16 else 1, w) for w in (16, 32, 64) for k in range(3)),
            ),
            head=_L(64, 10),
        ),
        "cifar10",
        "imagenet",
        4,
    ),
    "resnet18n": Layout(
        lambda: Steps(
            "inconv lay1 lay2 lay3 lay4 mean out",
            inconv=nn.Sequential(conv3(3, 16), _B(16), nn.ReLU()),
            lay1=stages(Basic, 16, (16, 1, 16), (16, 1, 16)),
            lay2=stages(Basic, 16, (24, 2, 24), (24, 1, 24)),
            lay3=stages(Basic, 24, (32, 2, 32), (32, 1, 32)),
            lay4=stages(Basic, 32, (48, 2, 48), (48, 1, 48)),
            out=_L(48, 10),
        ),
        "cifar10",
        "none",
        4,
    ),
    "preact_n": Layout(
        lambda: Steps(
            "first groups last relu mean linear",
            first=conv3(3, 16),
            groups=stages(
                Before, 16, *((w, s, w) for w, s in ((16, 1), (16, 1), (32, 2), (32, 1), (64, 2), (64, 1)))
            ),
            last=_B(64),
            linear=_L(64, 10),
        ),
        "cifar10",
        "cifar10",
        4,
    ),
    "bottleneck_n": Layout(
        lambda: Steps(
            "conv1 bn1 relu s1 s2 s3 mean fc",
            conv1=conv3(3, 16),
            bn1=_B(16),
            s1=stages(Bottleneck, 16, (32, 1, 8), (32, 1, 8)),
            s2=stages(Bottleneck, 32, (64, 2, 16), (64, 1, 16)),
            s3=stages(Bottleneck, 64, (96, 2, 24), (96, 1, 24)),
            fc=_L(96, 10),
        ),
        "cifar10",
        "none",
        4,
    ),
    "mobilenet1_n": Layout(_mobilenet, "cifar10", "none", 4),
    "vgg6_leaky": Layout(
        lambda: _vgg(False, _leaky, nn.Sequential(_L(1024, 96), _leaky(), _L(96, 10))),
        "cifar10",
        "none",
        4,
        1e-3,
    ),
    "gelu_pool3": Layout(
        lambda: Steps(
            "conv1 gelu max3 conv2 gelu max3 conv3 gelu max3 flat fc",
            conv1=_same(3, 24, 5),
            conv2=_same(24, 32, 5),
            conv3=_same(32, 48, 5),
            fc=_L(432, 10),
        ),
        "cifar10",
        "cifar10",
        4,
        1e-3,
    ),
    "groupnorm_n": Layout(
        lambda: Steps(
            "conv1 gn1 relu max conv2 gn2 relu max flat fc",
            conv1=_same(3, 32),
            gn1=nn.GroupNorm(8, 32),
            conv2=_same(32, 64),
            gn2=nn.GroupNorm(8, 64),
            fc=_L(4096, 10),
        ),
        "cifar10",
        "none",
        4,
    ),
    "alex_n": Layout(_alex, "cifar10", "none", 4, 1e-3),
    "strided_silu": Layout(_strided_silu, "cifar10", "none", 4),
    "act_bn": Layout(_act_bn, "cifar10", "none", 4),
    "gtsrb_cnn": Layout(_gtsrb, "gtsrb", "none", 4),
    "with_normalise": Layout(
        lambda: Steps(
            "normalize conv_layers flat fc_layers",
            normalize=Standard(),
            conv_layers=nn.Sequential(
                *(_C(3, 32, 3), nn.ReLU(), nn.MaxPool2d(2), _C(32, 48, 3), nn.ReLU(), nn.MaxPool2d(2)),
                *(_C(48, 64, 3), nn.ReLU()),
            ),
            fc_layers=nn.Sequential(_L(1024, 64), nn.ReLU(), _L(64, 10)),
        ),
        "cifar10",
        "none",
        4,
    ),
    "tutorial": Layout(
        lambda: Steps(
            "c1 relu max c2 relu max flat l1 relu l2 relu l3",
            c1=_C(3, 12, 5),
            c2=_C(12, 24, 5),
            l1=_L(600, 120),
            l2=_L(120, 84),
            l3=_L(84, 10),
        ),
        "cifar10",
        "half",
        4,
    ),
    "prelu_n": Layout(
        lambda: Steps(
            "conv1 a1 max conv2 a2 max flat fc1 a3 fc2",
            conv1=_same(3, 24),
            a1=nn.PReLU(),
            conv2=_same(24, 48),
            a2=nn.PReLU(),
            fc1=_L(48 * 64, 64),
            a3=nn.PReLU(),
            fc2=_L(64, 10),
        ),
        "cifar10",
        "none",
        4,
    ),
    "ibau_like": Layout(_ibau, "cifar10", "none", 4),
    "stem7": Layout(
        lambda: Steps(
            "conv1 bn1 relu max31 l1 l2 mean fc",
            conv1=_C(3, 16, 7, 2, 3, bias=False),
            bn1=_B(16),
            l1=Basic(16, 24, 1),
            l2=Basic(24, 48, 2),
            fc=_L(48, 10),
        ),
        "cifar10",
        "imagenet",
        4,
    ),
    "densenet": Layout(_densenet, "mnist", epochs=3),
}
"""By name, every network that is saved and reconstructed."""
