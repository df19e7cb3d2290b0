"""Opens architectures of torchvision and timm, exported to ONNX by both of PyTorch's exporters.

``python -m benchmarks.onnx_collections --out FOLDER`` exports each network with random weights, opens the file, and
compares its scores and gradients with the network's own. Each result is one line of ``FOLDER/results.jsonl``. A run
that was broken off goes on where it ended. It needs packages that the program itself does not use: ``pip install
torchvision timm onnxscript``. ``--write`` tries nothing and writes the results into ``docs/onnx-operators.md``.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import multiprocessing
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ti_core.loading.onnx.coverage import COLLECTIONS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "onnx-operators.md"
EXPORTERS = ("older", "dynamo")
MOST_PARAMETERS = 30_000_000
TOLERANCE = 1e-4
IMAGES = 3
CLASSES = 10

TORCHVISION = """
resnet18 squeezenet1_1 mobilenet_v2 mobilenet_v3_small shufflenet_v2_x0_5 mnasnet0_5 densenet121
efficientnet_b0 efficientnet_v2_s regnet_y_400mf regnet_x_400mf convnext_tiny swin_t:224 swin_v2_t:256
googlenet inception_v3:96 resnet34 resnet50 resnext50_32x4d squeezenet1_0 mobilenet_v3_large
shufflenet_v2_x1_0 efficientnet_b2 regnet_y_1_6gf
"""
TIMM = """
vit_tiny_patch16_224 deit_tiny_patch16_224 convit_tiny:224 xcit_nano_12_p16_224:224 levit_128s:224
swin_tiny_patch4_window7_224:224 botnet26t_256:256 efficientnet_lite0 nf_resnet26 nf_regnet_b0 eca_nfnet_l0
mixer_s32_224:224 convnext_atto convnextv2_atto resnetv2_18 resnetv2_50x1_bit legacy_seresnet18 ecaresnet26t
gcresnet33ts skresnet18 resnest14d dla34 dla46_c lcnet_050 tinynet_e mobilenetv1_100 mobilenetv3_small_050
repvgg_a0 mobilenetv4_conv_small ese_vovnet19b_dw cs3darknet_s gernet_s spnasnet_100 starnet_s1 hgnetv2_b0
vit_small_patch32_224 resnet26d efficientvit_b0 ghostnet_050 repghostnet_050 fbnetc_100 semnasnet_075
hardcorenas_a efficientnet_es repvit_m1 poolformer_s12 mobileone_s0 darknet53 cspresnet50 rexnet_100
tf_efficientnet_b0 tf_efficientnetv2_b0 poolformerv2_s12 convmixer_768_32 hgnet_tiny mambaout_femto shvit_s1
visformer_tiny:224 pit_ti_224:224 mobilevit_xxs:128 mobilevitv2_050:128 edgenext_xx_small regnetz_b16
selecsls42b vovnet39a inception_next_tiny pvt_v2_b0 resmlp_12_224:224 efficientvit_m0:224 mixnet_s fbnetv3_b
dpn68 xception41:128 xception65p:128 tresnet_m res2net50_26w_4s hrnet_w18_small ghostnetv2_100 fastvit_t8:128
coat_lite_tiny:224 coatnet_nano_rw_224:224 crossvit_tiny_240:240 cait_xxs24_224:224 deit3_small_patch16_224
vit_relpos_small_patch16_224:224 eva02_tiny_patch14_224:224 flexivit_small:240 gmlp_ti16_224:224
efficientformer_l1:224 efficientformerv2_s0:224 caformer_s18 convformer_s18 twins_svt_small:224
tnt_s_patch16_224:224 swin_s3_tiny_224:224 swinv2_cr_tiny_ns_224:224 swinv2_tiny_window8_256:256
maxvit_pico_rw_256:256 maxxvitv2_nano_rw_256:256 nest_tiny:224 volo_d1_224:224 focalnet_tiny_srf:224
davit_tiny:224 gcvit_xxtiny:224 rdnet_tiny swiftformer_xs:224 tiny_vit_5m_224:224 hiera_tiny_224:224
vitamin_small_224:224 lambda_resnet26t:256 halonet26t:256 sebotnet33ts_256:256 bat_resnext26ts:256 densenet121
pvt_v2_b1 sequencer2d_s:224 mobilenetv4_hybrid_medium:128 seresnext26d_32x4d levit_conv_128s:224
"""


def listed() -> Iterator[tuple[str, str, int]]:
    """Collection, name and side of the images of every architecture."""
    for collection, names in (("torchvision", TORCHVISION), ("timm", TIMM)):
        for entry in names.split():
            name, _, side = entry.partition(":")
            yield collection, name, int(side or 64)


def built(collection: str, name: str, side: int) -> nn.Module:
    """The network with random weights, none of which are the zeros that some architectures begin with."""
    torch.manual_seed(0)
    if collection == "timm":
        import timm

        try:
            net = timm.create_model(name, num_classes=CLASSES, img_size=side)
        except TypeError:
            net = timm.create_model(name, num_classes=CLASSES)
    else:
        import torchvision

        options = {"aux_logits": False} if name in ("googlenet", "inception_v3") else {}
        options |= {"init_weights": True} if options else {}
        net = torchvision.models.get_model(name, num_classes=CLASSES, **options)
    with torch.no_grad():
        for weight in net.parameters():
            if float(weight.abs().max()) < 1e-3:
                weight.uniform_(-0.1, 0.1)
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d) and layer.running_mean is not None:
                layer.running_mean.uniform_(-0.1, 0.1)
                layer.running_var.uniform_(0.8, 1.2)
    return net.eval().requires_grad_(False)


def export(net: nn.Module, side: int, path: Path, exporter: str) -> None:
    """Export as most people do: the older exporter with a free number of images, the present one with one image."""
    images = torch.rand(1, 3, side, side)
    logging.disable(logging.ERROR)
    quiet = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with warnings.catch_warnings(), quiet[0], quiet[1]:
        warnings.simplefilter("ignore")
        if exporter == "older":
            axes = {"x": {0: "n"}}
            torch.onnx.export(
                net, (images,), path, dynamo=False, input_names=["x"], dynamic_axes=axes, opset_version=17
            )
        else:
            torch.onnx.export(net, (images,), path, dynamo=True, external_data=False)


def measured(net: nn.Module, side: int, path: Path) -> dict[str, Any]:
    """How far the opened network is from its own: scores, and gradients to the pixels."""
    from ti_core.loading.onnx import load_onnx

    begin = time.process_time()
    model = load_onnx(path)
    opened = time.process_time() - begin
    images = torch.rand(IMAGES, 3, side, side)
    scores, gradients = zip(*(_run(module, images) for module in (net, model.module)), strict=True)
    return {
        "opened": round(opened, 2),
        "scores": _apart(scores[1], scores[0]),
        "gradients": _apart(gradients[1], gradients[0]),
        "finite": bool(gradients[1].isfinite().all()),
        "batch": model.metadata.get("batch", "any batch size"),
    }


def _run(module: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    x = images.clone().requires_grad_()
    scores = module(x)
    (gradient,) = torch.autograd.grad(scores.square().sum(), x)
    return scores.detach(), gradient


def _apart(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """The largest difference, relative to the largest number."""
    return float((found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30))


def tried(collection: str, name: str, side: int, exporter: str, folder: Path) -> dict[str, Any]:
    """One architecture by one exporter, in words that JSON can hold."""
    path = folder / f"{name}-{exporter}.onnx"
    result: dict[str, Any] = {"collection": collection, "name": name, "side": side, "exporter": exporter}
    stage = "built"
    try:
        net = built(collection, name, side)
        result["parameters"] = sum(p.numel() for p in net.parameters())
        if result["parameters"] > MOST_PARAMETERS:
            return result | {"skipped": "too large"}
        stage = "exported"
        export(net, side, path, exporter)
        result["bytes"] = path.stat().st_size
        stage = "opened"
        result |= measured(net, side, path)
    except Exception as error:
        # An exporter can fail in any way, and the next network is tried.
        result |= {"failed": stage, "why": " ".join(str(error).split())[:300] or type(error).__name__}
    finally:
        path.unlink(missing_ok=True)
    return result


def _child(arguments: tuple[Any, ...], results: Path) -> None:
    os.nice(10)
    torch.set_num_threads(1)
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(tried(*arguments)) + "\n")


def run(folder: Path, limit: float, only: str) -> None:
    """Try what the results do not hold yet, each in a process of its own with a time limit."""
    import timm  # noqa: F401 - imported once, before the processes divide
    import torchvision  # noqa: F401

    import ti_core.loading.onnx.load  # noqa: F401

    results = folder / "results.jsonl"
    done = {(r["collection"], r["name"], r["exporter"]) for r in read(results)}
    fork = multiprocessing.get_context("fork")
    for collection, name, side in listed():
        for exporter in EXPORTERS:
            if (collection, name, exporter) in done or only not in name:
                continue
            process = fork.Process(target=_child, args=((collection, name, side, exporter, folder), results))
            process.start()
            process.join(limit)
            if process.is_alive() or process.exitcode:
                process.kill()
                process.join()
                (folder / f"{name}-{exporter}.onnx").unlink(missing_ok=True)
                late = {"collection": collection, "name": name, "side": side, "exporter": exporter}
                with results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(late | {"failed": "ended", "why": f"after {limit:.0f} s"}) + "\n")


def read(results: Path) -> list[dict[str, Any]]:
    """The last result of each architecture and exporter."""
    if not results.exists():
        return []
    lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    return list({(r["collection"], r["name"], r["exporter"]): r for r in lines}.values())


def agrees(result: dict[str, Any]) -> bool:
    """Whether a file opened, with the network's own scores and finite gradients."""
    return result.get("scores", 1) <= TOLERANCE and result.get("finite", False)


def table(results: list[dict[str, Any]]) -> str:
    """One line for each architecture: what the file of each exporter gave."""
    rows: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for result in results:
        if "skipped" not in result:
            rows.setdefault((result["collection"], result["name"]), {})[result["exporter"]] = result
    lines = ["| collection | architecture | side | weights | older exporter | dynamo exporter |"]
    lines.append("| --- | --- | ---: | ---: | --- | --- |")
    for (collection, name), both in sorted(rows.items()):
        some = next(iter(both.values()))
        cells = " | ".join(_cell(both.get(exporter)) for exporter in EXPORTERS)
        weights = f"{some.get('parameters', 0) / 1e6:.1f} M"
        lines.append(f"| {collection} | {name} | {some['side']} | {weights} | {cells} |")
    return "\n".join(lines)


def made(result: dict[str, Any]) -> bool:
    """Whether the exporter made a file."""
    return "scores" in result or result.get("failed") == "opened"


def _cell(result: dict[str, Any] | None) -> str:
    if result is None:
        return "not tried"
    if agrees(result):
        return f"{result['scores']:.0e}"
    if result.get("failed") in ("built", "exported", "ended"):
        return "the exporter fails" if result["failed"] == "exported" else "not made"
    return f"**{result.get('why', 'other numbers')[:80]}**"


def section(results: list[dict[str, Any]]) -> str:
    """The part of the page on the collections."""
    import timm
    import torchvision

    names = {(r["collection"], r["name"]) for r in results if "scores" in r}
    counts = []
    for exporter in EXPORTERS:
        own = [r for r in results if r["exporter"] == exporter and made(r)]
        counts.append(f"{sum(map(agrees, own))} of {len(own)} files of the {exporter} exporter")
    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}, timm {timm.__version__}"
    return f"""{COLLECTIONS}

Written by `python -m benchmarks.onnx_collections` ({versions.replace("+cpu", "").replace("+cu130", "")}).
{len(names)} architectures with random weights were exported by both of PyTorch's exporters: the older one for any
number of images, the present one (dynamo) for one image. Of these, {" and ".join(counts)}
open with scores within 1e-4 of the network's own, relative to the largest, and with finite gradients. A cell holds the
largest difference of the scores of {IMAGES} images.

{table(results)}
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    options.add_argument("--limit", type=float, default=400, help="seconds for each file")
    options.add_argument("--only", default="", help="only names that hold this text")
    options.add_argument("--write", action="store_true", help="try nothing, write the page")
    given = options.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if not given.write:
        run(given.out, given.limit, given.only)
    results = read(given.out / "results.jsonl")
    if given.write:
        page = PAGE.read_text(encoding="utf-8").partition(f"\n{COLLECTIONS}")[0]
        PAGE.write_text(f"{page}\n{section(results)}", encoding="utf-8")
    else:
        print(section(results))


if __name__ == "__main__":
    main()
