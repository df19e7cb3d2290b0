"""Reconstructs networks that nobody registered, as bare state dicts and as whole modules, and compares their scores.

``python -m benchmarks.rebuilt --out FOLDER`` trains each layout of ``benchmarks/rebuilt_layouts.py`` for a minute on
``--data FOLDER`` with ``mnist.npz``, ``cifar10.npz`` and ``gtsrb.npz``, saves it, opens the file, and lets a bundled
pack's images decide which network it is of. The scores of both are compared on these images. It fails if a wrong
network is taken without a doubt. ``--only WORD`` takes the layouts whose name holds the word. Trained networks and
results are kept in the folder, so that a run that was ended goes on; ``--again`` reconstructs all of them anew.

Kinds of a result: "right" (scores differ by less than a thousandth of the largest), "equal" (another network that gives
the same answers to at least 95 % of the images and has scores within a hundredth), "registered" (the layers are those
of a registered architecture) and "wrong". A right or a wrong one may be in doubt, so that no verdict rests on it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from benchmarks.rebuilt_layouts import LAYOUTS
from benchmarks.rebuilt_networks import Layout
from ti_core.classifier.decide import decided
from ti_core.classifier.normalisation import Normalise
from ti_core.classifier.outputs import form_of
from ti_core.errors import TrojanInterpretError
from ti_core.loading import load_model
from ti_core.reconstruction.model import ALIKE
from ti_core.reference.pack import Pack, load_pack
from ti_core.zoo.training.data import load_data, to_unit

KEPT = "rebuilt.jsonl"
RIGHT, EQUAL = 1e-3, 1e-2
"""Largest difference of centred scores, as a share of the largest score, of the same network and of an equal one."""
LEAST = -12.0
"""Logarithm of a probability below which rounding decides."""
TRAINED = {"mnist": 6000, "cifar10": 2500, "gtsrb": 2500}
"""Images that a network is trained on."""
MOST_SECONDS = 20.0
"""Processor time that one reconstruction may take."""


@dataclass(frozen=True)
class Rebuilt:
    """One file: what its network is, how far the scores are apart, and the seconds of processor time."""

    layout: str
    form: str
    kind: str
    apart: float
    before: float
    after: float
    seconds: float
    said: str


def trained(name: str, layout: Layout, folder: Path, data: Path) -> nn.Module:
    """The network, trained or as it was kept."""
    torch.manual_seed(1)
    net, kept = layout.build(), folder / f"{name}.kept.safetensors"
    if kept.exists():
        net.load_state_dict(load_file(kept))
        return net.eval()
    images = load_data(data / f"{layout.pack}.npz")
    chosen = torch.randperm(len(images.x_train))[: TRAINED[layout.pack]]
    x = Normalise(layout.norm)(to_unit(images.x_train[chosen.numpy()]))
    y = torch.from_numpy(images.y_train)[chosen]
    steps = layout.epochs * -(-len(x) // 64)
    optimiser = torch.optim.Adam(net.parameters(), layout.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2 * layout.rate, steps + 1)
    for _ in range(layout.epochs):
        for part in torch.randperm(len(x)).split(64):
            optimiser.zero_grad()
            F.cross_entropy(net(x[part]), y[part]).backward()
            optimiser.step()
            schedule.step()
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, kept)
    return net.eval()


def scores(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = net(x)
    return found


def difference(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """How far scores are apart, as a share of the largest. What all classes have in common does not count.

    Where either are probabilities, both are compared as their logarithms, as far as those tell anything.
    """
    probable = [form_of(z) == "probabilities" for z in (found, wanted)]
    if any(probable):
        logs = [
            z.clamp_min(1e-30).log() if p else z.log_softmax(1)
            for z, p in zip((found, wanted), probable, strict=True)
        ]
        found, wanted = (z.clamp_min(LEAST) for z in logs)
    found, wanted = (z - z.mean(1, keepdim=True) for z in (found, wanted))
    return float((found - wanted).abs().max() / wanted.abs().max())


def rebuilt(name: str, form: str, layout: Layout, net: nn.Module, path: Path, pack: Pack) -> Rebuilt:
    """Open a file and compare what it becomes with the network that was saved."""
    begun = time.process_time()
    x = Normalise(layout.norm)(pack.images)
    wanted = scores(net, x)
    before = float((wanted.argmax(1) == pack.labels).float().mean())
    try:
        model = decided(load_model(path), pack.images, pack.labels)
    except TrojanInterpretError as error:
        seconds = time.process_time() - begun
        return Rebuilt(name, form, "refused", 1.0, before, 0.0, seconds, str(error).partition("\n")[0])
    seconds = time.process_time() - begun
    sure = model.reconstructed
    if sure is None:
        return Rebuilt(name, form, "registered", 0.0, before, before, seconds, model.architecture)
    side = (model.input_shape or x.shape[1:])[1]
    if side != x.shape[2]:
        x = F.interpolate(x, size=(side, side), mode="bilinear", antialias=True)
    found = scores(model.module, x)
    apart = difference(found, wanted)
    agree = float((found.argmax(1) == wanted.argmax(1)).float().mean())
    after = float((found.argmax(1) == pack.labels).float().mean())
    kind = "right" if apart < RIGHT else "equal" if apart < EQUAL and agree >= ALIKE else "wrong"
    kind += ", in doubt" if sure.doubt and kind != "equal" else ""
    return Rebuilt(name, form, kind, apart, before, after, seconds, model.sketch or "")


def kept_in(path: Path) -> dict[tuple[str, str], Rebuilt]:
    """What was reconstructed before, by layout and form."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {(one["layout"], one["form"]): Rebuilt(**one) for one in map(json.loads, lines)}


FORMS = {"state dict": lambda net: net.state_dict(), "whole module": lambda net: net}


def run(folder: Path, data: Path, only: str, forms: Iterable[str] = FORMS) -> list[Rebuilt]:
    results = []
    known = kept_in(folder / KEPT)
    for form in forms:
        for name, layout in LAYOUTS.items():
            if only not in name:
                continue
            if (name, form) not in known:
                net = trained(name, layout, folder, data)
                path = folder / f"{name} {form}.pt"
                torch.save(FORMS[form](net), path)
                found = rebuilt(name, form, layout, net, path, load_pack(layout.pack))
                path.unlink()
                known[name, form] = found
                with (folder / KEPT).open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(found)) + "\n")
                print(
                    f"{found.kind}  {name}, {form}: apart {found.apart:.4f}, accuracy {found.before:.3f} and "
                    f"{found.after:.3f}, {found.seconds:.1f} s; {found.said}",
                    flush=True,
                )
            results.append(known[name, form])
    return results


def table(results: Iterable[Rebuilt]) -> str:
    """How many networks of each form became what, and the slowest."""
    results = list(results)
    kinds = ("right", "right, in doubt", "equal", "registered", "refused", "wrong, in doubt", "wrong")
    lines = [f"| form | files | {' | '.join(kinds)} | slowest, s |", "| --- " * (len(kinds) + 3) + "|"]
    for form in dict.fromkeys(one.form for one in results):
        own = [one for one in results if one.form == form]
        counts = Counter(one.kind for one in own)
        slowest = max(one.seconds for one in own)
        shown = " | ".join(str(counts[kind]) for kind in kinds)
        lines.append(f"| {form} | {len(own)} | {shown} | {slowest:.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--data", type=Path, default=Path("data"), help="folder with the npz files of training images"
    )
    parser.add_argument("--only", default="", help="layouts whose name holds this")
    parser.add_argument("--form", choices=FORMS, help="this form alone")
    parser.add_argument("--again", action="store_true", help="reconstruct every network anew")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.again:
        (options.out / KEPT).unlink(missing_ok=True)
    results = run(options.out, options.data, options.only, [options.form] if options.form else FORMS)
    print(table(results))
    wrong = [f"{one.layout} ({one.form})" for one in results if one.kind == "wrong"]
    if wrong:
        raise SystemExit(f"A wrong network was taken of {', '.join(wrong)}.")


if __name__ == "__main__":
    main()
