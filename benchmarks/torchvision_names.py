"""Torchvision's architectures against the outputs of the real ones.

``python -m benchmarks.torchvision_names --make`` writes ``tests/loading/torchvision_outputs.json`` in an environment
that has torchvision: for each architecture its size, its tensors, the options that are found from their shapes, and the
class scores of two images under weights that can be made again from the tensors' names. Without ``--make`` all of them
are compared with this repository's networks, one at a time, and a table is printed. ``--kept FILE`` keeps what was
compared, so that a run that was stopped goes on where it ended. It fails if a difference is above :data:`NEAR`.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ti_core.architectures import ARCHITECTURES, Shapes, build

FILE = Path(__file__).resolve().parent.parent / "tests" / "loading" / "torchvision_outputs.json"
CLASSES = 7
"""Classes of the networks whose scores are compared. The sizes are those of 1,000 classes."""
GAINS = (3.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0)
"""Scales of the weights, of which the first is taken under which two images get clearly different scores."""
APART = 0.05
LARGEST = 220_000_000
"""Number of parameters from which on only size and tensors are compared."""
SIDES = {"inception_v3": 80, "vit_h_14": 56}
"""Side of the images where it is not 64."""
NEAR = 1e-4
"""Largest difference, as a share of the largest score."""
_LEFT_OUT = ("maxvit", "mnasnet")


def weight(name: str, shape: tuple[int, ...], gain: float) -> torch.Tensor:
    """Values of a tensor that follow from its name and shape alone."""
    seed = int.from_bytes(hashlib.sha256(f"{name} {tuple(shape)}".encode()).digest()[:8], "little")
    drawn = np.random.Generator(np.random.PCG64(seed)).random(tuple(shape))
    leaf = name.rpartition(".")[2]
    around = 2 * drawn - 1
    if leaf == "running_var":
        values = 0.5 + drawn
    elif leaf == "logit_scale":
        values = 1 + 2 * drawn
    elif leaf == "layer_scale":
        values = 0.2 + 0.6 * drawn
    elif len(shape) == 1:
        values = 0.7 + 0.6 * drawn if leaf == "weight" else 0.1 * around
    elif leaf in ("class_token", "pos_embedding", "relative_position_bias_table"):
        values = 0.5 * around
    else:
        values = around * (gain / float(np.prod(shape[1:]))) ** 0.5
    return torch.from_numpy(values.astype(np.float32))


def fill(net: nn.Module, gain: float) -> nn.Module:
    """Give a network such weights. Tables of positions are left as they are."""
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point() and not name.endswith("relative_coords_table"):
            tensor.copy_(weight(name, tuple(tensor.shape), gain))
    return net.eval()


def images(side: int) -> torch.Tensor:
    """Two images ``2 x 3 x side x side``."""
    drawn = np.random.Generator(np.random.PCG64(side)).random((2, 3, side, side))
    return torch.from_numpy(drawn.astype(np.float32))


def digest_of(shapes: Shapes) -> str:
    """Of all names and shapes but the batch counters."""
    named = sorted((k, list(s)) for k, s in shapes.items() if not k.endswith("num_batches_tracked"))
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()[:16]


def shapes_of(net: nn.Module) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}


def found_in(shapes: Shapes) -> tuple[str, Mapping[str, Any]]:
    """The registered architecture that has these tensors, and its options."""
    for name, cls in ARCHITECTURES.items():
        try:
            options = cls.infer(shapes)
        except (LookupError, ValueError):
            continue
        if options is not None:
            with torch.device("meta"):
                if digest_of(shapes_of(cls(**options))) == digest_of(shapes):
                    return name, options
    raise LookupError("No registered architecture has these tensors.")


def difference(record: Mapping[str, Any]) -> float:
    """Largest difference of this repository's scores from the real ones, as a share of the largest score."""
    options = {**record["options"], "classes": CLASSES}
    if record["architecture"] == "vision_transformer":
        options["side"] = record["side"]
    net = fill(build(record["architecture"], **options), record["gain"])
    with torch.no_grad():
        scores = net(images(record["side"])).double()
    expected = torch.tensor(record["scores"], dtype=torch.float64)
    return float((scores - expected).abs().max() / expected.abs().max())


def make() -> None:
    """Write :data:`FILE`."""
    import torchvision

    models = torchvision.models
    # Initial weights are not needed, and drawing them takes most of the time.
    for name in (
        "kaiming_uniform_",
        "kaiming_normal_",
        "trunc_normal_",
        "normal_",
        "uniform_",
        "xavier_uniform_",
    ):
        setattr(nn.init, name, lambda tensor, *_, **__: tensor)
    records = {}
    for name in models.list_models(models):
        if name.startswith(_LEFT_OUT):
            continue
        options = {"aux_logits": True, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
        builder = getattr(models, name)
        full = builder(**options)
        shapes, parameters = shapes_of(full), sum(p.numel() for p in full.parameters())
        architecture, found = found_in(shapes)
        record: dict[str, Any] = {
            "architecture": architecture,
            "options": dict(found),
            "parameters": parameters,
            "tensors": digest_of(shapes),
        }
        if parameters < LARGEST or name.startswith("vit"):
            del full
            side = SIDES.get(name, 64)
            sized = {"image_size": side} if name.startswith("vit") else {}
            # With another side, GoogLeNet's and Inception's second classifiers do not fit; they are not run.
            net = builder(num_classes=CLASSES, **options, **sized)
            gain, scores = _separating(net, side)
            record |= {"side": side, "gain": gain, "scores": scores}
        print(name, architecture, f"{parameters:,}", record.get("gain"), flush=True)
        records[name] = record
    FILE.write_text(json.dumps(records, separators=(",", ":")).replace('},"', '},\n"') + "\n")


def _separating(net: nn.Module, side: int) -> tuple[float, list[list[float]]]:
    for gain in GAINS:
        with torch.no_grad():
            scores = fill(net, gain)(images(side)).double()
        if (scores[0] - scores[1]).abs().max() > APART * scores.abs().max():
            break
    return gain, [[float(f"{score:.8g}") for score in row] for row in scores.tolist()]


def compared(kept: Path | None) -> dict[str, float]:
    """The difference of every network that has scores, in the order of the table. Prints the table."""
    found: dict[str, float] = json.loads(kept.read_text()) if kept is not None and kept.exists() else {}
    print(f"{'architecture':20} {'registered as':20} {'parameters':>12} {'difference':>10} {'s':>5}")
    for name, record in json.loads(FILE.read_text()).items():
        start = time.perf_counter()
        if "scores" in record and name not in found:
            found[name] = difference(record)
            gc.collect()
            if kept is not None:
                kept.write_text(json.dumps(found))
        seconds = time.perf_counter() - start
        apart = f"{found[name]:.1e}" if name in found else "-"
        print(
            f"{name:20} {record['architecture']:20} {record['parameters']:>12,} {apart:>10} {seconds:5.1f}",
            flush=True,
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--make", action="store_true")
    parser.add_argument("--kept", type=Path, help="file with the differences that are known already")
    options = parser.parse_args()
    if options.make:
        make()
        return
    found = compared(options.kept)
    different = [name for name, apart in found.items() if not apart <= NEAR]
    print(f"{len(found)} compared, {len(different)} of them differ by more than {NEAR:.0e}: {different}")
    if different:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
