"""Model folders for the tests: one of another library, and tiny random ones of ``transformers``."""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from ti_core.architectures import build
from ti_core.errors import ModelFileError
from ti_core.loading import load_model

NAMES = ("cat", "dog", "cow", "hen")

HALF = {
    "do_normalize": True,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "size": {"height": 32, "width": 32},
}

STAGES: dict[str, Any] = {"depths": [1, 1], "hidden_sizes": [8, 16]}
VIT: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "image_size": 32,
    "patch_size": 8,
}
SWIN: dict[str, Any] = {
    "embed_dim": 8,
    "depths": [1, 1],
    "num_heads": [1, 2],
    "window_size": 2,
    "image_size": 32,
    "patch_size": 4,
}

FAMILIES: dict[str, dict[str, Any]] = {
    "vit": VIT,
    "deit": VIT,
    "beit": VIT,
    "dinov2": VIT,
    "swin": SWIN,
    "swinv2": SWIN,
    "convnext": {"num_stages": 2, **STAGES},
    "resnet": {"embedding_size": 8, "layer_type": "basic", **STAGES},
    "regnet": {"embedding_size": 8, "groups_width": 8, **STAGES},
    "mobilenet_v2": {"depth_multiplier": 0.25, "image_size": 32},
    "efficientnet": {
        "image_size": 32,
        "hidden_dim": 1280,
        "in_channels": [32, 8],
        "out_channels": [8, 16],
        "kernel_sizes": [3, 3],
        "strides": [1, 2],
        "num_block_repeats": [1, 1],
        "expand_ratios": [1, 2],
        "depthwise_padding": [],
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
    },
    "mobilevit": {
        "image_size": 64,
        "patch_size": 2,
        "hidden_sizes": [8, 8, 8],
        "neck_hidden_sizes": [8, 8, 8, 8, 8, 8, 16],
        "num_attention_heads": 2,
    },
}
"""Model types, with configurations of a few thousand weights."""


def resnet() -> nn.Module:
    return build("resnet", blocks=(1, 1), channels=(4, 8), classes=4, kernel=3).eval()


def put(folder: Path, **files: Any) -> Path:
    """Write settings into a folder; the names stand without their endings."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def other_library(folder: Path, **config: Any) -> Path:
    """A ResNet as timm hands it out: its configuration names no type of ``transformers``."""
    cfg = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "input_size": [3, 48, 48]}
    put(folder, config={"architecture": "resnet", "num_classes": 4, "pretrained_cfg": cfg, **config})
    save_file(resnet().state_dict(), folder / "model.safetensors")
    return folder


def tiny(kind: str, folder: Path, classes: tuple[str, ...] = NAMES, **kept: Any) -> nn.Module:
    """Write a random network of this type, and return it."""
    import transformers

    names = dict(enumerate(classes))
    config = transformers.CONFIG_MAPPING[kind](
        id2label=names, label2id={v: k for k, v in names.items()}, **FAMILIES[kind]
    )
    found = transformers.models.auto.modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES[kind]
    net: nn.Module = getattr(transformers, found if isinstance(found, str) else found[0])(config).eval()
    for tensor in net.state_dict().values():
        if tensor.is_floating_point() and tensor.ndim > 1:
            # Initial weights are so small that all scores are nearly equal.
            tensor.normal_(0, 0.3)
    net.save_pretrained(folder, **kept)
    put(folder, preprocessor_config=HALF)
    return net


ODD: tuple[Any, ...] = (
    -1,
    0,
    1,
    7,
    999_999,
    0.5,
    -2.5,
    True,
    None,
    "",
    "gelu",
    [],
    {},
    [1, 2],
    {"a": 1},
    ...,
)
"""Values that stand in the place of others; the last takes a setting away."""


def mutated(settings: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """One to three settings changed, also those within a group or a list."""
    changed = copy.deepcopy(settings)
    for _ in range(rng.randint(1, 3)):
        within: Any = changed
        while True:
            places = sorted(within) if isinstance(within, dict) else range(len(within))
            if not places:
                break
            place, odd = rng.choice(places), rng.choice(ODD)
            if isinstance(within[place], (dict, list)) and rng.random() < 0.5:
                within = within[place]
                continue
            if odd is ...:
                del within[place]
            else:
                within[place] = copy.deepcopy(odd)
            break
    return changed


def outcomes(whole: Path, folder: Path, count: int, which: str) -> Counter[bool]:
    """How many folders with mutated settings opened. Each other one is refused with a sentence."""
    rng = random.Random(f"{whole.name} {which}")
    settings = json.loads((whole / f"{which}.json").read_text())
    shutil.copytree(whole, folder)
    found: Counter[bool] = Counter()
    for _ in range(count):
        put(folder, **{which: mutated(settings, rng)})
        try:
            model = load_model(folder)
        except ModelFileError as error:
            assert str(error) and len(str(error)) < 1500
            found[False] += 1
        else:
            assert model.classes is not None
            assert all(bool(p.isfinite().all()) for p in model.module.parameters())
            found[True] += 1
    return found
