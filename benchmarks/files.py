"""Saves networks in the layouts and forms of public repositories, and opens each file as anybody would.

``python -m benchmarks.files --out FOLDER`` trains each network of ``benchmarks/file_networks.py`` for some seconds on a
bundled pack's images, saves it in each form of ``benchmarks/file_forms.py``, and opens every file. Among the ways of
preparing images the program's own search decides. The table says of each form how many files opened, how many have the
accuracy of the network that was saved, and of how many another network was made. Trained networks are kept in the
folder. ``--only WORD`` takes the networks whose name holds the word. ``--write`` puts the table into the documentation.

Each network is saved in every second form in turn, so that every form holds several networks; ``--all`` saves it in
every form. What was tried is kept in the folder's ``results.jsonl`` and not tried again, so that a run that was ended
goes on; ``--again`` begins anew.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from benchmarks.file_forms import FORMS, Save
from benchmarks.file_keras import KERAS_FORMS
from benchmarks.file_keras_weights import KERAS_WEIGHTS
from benchmarks.file_networks import ORIGINS, Origin
from ti_core.classifier.decide import decided
from ti_core.errors import TrojanInterpretError
from ti_core.loading import load_model
from ti_core.reconstruction.model import Model
from ti_core.reference.choosing import understand_with
from ti_core.reference.pack import Pack, load_pack

PAGE = Path(__file__).resolve().parent.parent / "docs" / "how-to-open-my-model.md"
BEGIN, END = "<!-- files: begin -->", "<!-- files: end -->"
KEPT = "results.jsonl"
NEAR = 0.006
"""Accuracies that differ by less are equal: by one image of 250, as rounded weights may change."""


TRAINED = 0.9
"""Accuracy on the pack's images at which training ends."""


@dataclass(frozen=True)
class Tried:
    """One file: whether it opened, the accuracies before and after, and what was said."""

    form: str
    opened: bool
    before: float
    after: float
    seconds: float
    said: str

    @property
    def equal(self) -> bool:
        return self.opened and abs(self.before - self.after) <= NEAR


def trained(name: str, origin: Origin, pack: Pack, folder: Path, steps: int) -> nn.Module:
    """The network, trained or as it was kept."""
    torch.manual_seed(0)
    net, kept = origin.build(), folder / f"{name.replace(' ', '-').replace(',', '')}.kept.safetensors"
    if kept.exists():
        net.load_state_dict(load_file(kept))
        return net.eval()
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    ends = any(isinstance(part, nn.Softmax) for part in net.modules())
    for step in range(steps):
        if step % 20 == 0 and accuracy(net.eval(), pack) >= TRAINED:
            break
        net.train()
        chosen = torch.randint(len(pack.images), (64,))
        z = net(pack.images[chosen])
        z = z.clamp_min(1e-9).log() if ends else z
        loss = nn.functional.cross_entropy(z, pack.labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, kept)
    return net.eval()


def accuracy(net: nn.Module, pack: Pack) -> float:
    with torch.no_grad():
        return float((net(pack.images).argmax(1) == pack.labels).float().mean())


Known = dict[str, Model]
"""Reconstructed networks by the digest of their file's layers."""


def reconstructed(model: Model, pack: Pack, known: Known) -> Model:
    """The model with its network decided. The same layers in another file are decided once."""
    if model.proposal is None:
        return model
    digest = hashlib.sha256()
    for layer in model.proposal.layers:
        digest.update(f"{layer.name} {layer.kind} {layer.keys}".encode())
        for role, tensor in layer.tensors.items():
            digest.update(f"{role} {tuple(tensor.shape)}".encode() + tensor.contiguous().numpy().tobytes())
    key = digest.hexdigest()
    if key not in known:
        known[key] = decided(model, pack.images, pack.labels)
    same = known[key]
    return replace(model, module=same.module, sketch=same.sketch, input_shape=same.input_shape)


def tried(form: str, path: Path, before: float, pack: Pack, known: Known) -> Tried:
    """Open a file, and let the program find how its network wants the pack's images."""
    begun = time.perf_counter()
    try:
        model = load_model(path)
        model = reconstructed(model, pack, known)
        seconds = time.perf_counter() - begun
        found = understand_with(model, pack)
    except TrojanInterpretError as error:
        return Tried(form, False, before, 0.0, time.perf_counter() - begun, str(error).partition("\n")[0])
    said = "; ".join((model.architecture, *model.remarks))
    return Tried(form, True, before, found.accuracy, seconds, said)


def table(results: Iterable[Tried]) -> str:
    """By form: files, opened, with equal accuracy, and with another network in its place."""
    all_of, opened, equal = Counter[str](), Counter[str](), Counter[str]()
    for result in results:
        for counter, counts in ((all_of, True), (opened, result.opened), (equal, result.equal)):
            counter.update({result.form: int(counts), "all": int(counts)})
    lines = ["| form | files | open | with the same accuracy | as another network |", "| --- " * 5 + "|"]
    for form in (*(f for f in all_of if f != "all"), "all"):
        wrong = opened[form] - equal[form]
        lines.append(f"| {form} | {all_of[form]} | {opened[form]} | {equal[form]} | {wrong} |")
    return "\n".join(lines)


def forms_of(origin: Origin) -> dict[str, tuple[str, Save]]:
    """The forms in which a network is saved."""
    shape = origin.keras
    if shape is None:
        return FORMS
    return {
        form: (ending, lambda net, path, save=save: save(net, shape, path))
        for form, (ending, save) in (KERAS_FORMS | KERAS_WEIGHTS).items()
    }


def kept_in(path: Path) -> dict[tuple[str, str], Tried]:
    """What was tried before, by network and form."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {(one.pop("network"), one["form"]): Tried(**one) for one in map(json.loads, lines)}


def run(folder: Path, only: str, steps: int, every: bool) -> list[Tried]:
    results = []
    known_results = kept_in(folder / KEPT)
    for place, (name, origin) in enumerate(ORIGINS.items()):
        if only not in name:
            continue
        pack = load_pack(origin.pack)
        net = trained(name, origin, pack, folder, steps)
        before = accuracy(net, pack)
        known: Known = {}
        for number, (form, (ending, save)) in enumerate(forms_of(origin).items()):
            if not every and (place + number) % 2:
                continue
            if (name, form) in known_results:
                results.append(known_results[name, form])
                continue
            path = folder / f"{name} {form}{ending}".replace(" ", "-").replace(",", "")
            save(net, path)
            result = tried(form, path, before, pack, known)
            with (folder / KEPT).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"network": name, **asdict(result)}) + "\n")
            mark = "equal" if result.equal else "OTHER" if result.opened else "refused"
            print(
                f"{mark}  {origin.repository}, {name}, {form}: {result.before:.3f} and {result.after:.3f}, "
                f"{result.seconds:.2f} s; {result.said}",
                flush=True,
            )
            results.append(result)
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="", help="networks whose name holds this")
    parser.add_argument("--steps", type=int, default=800, help="at most, of training each network")
    parser.add_argument("--again", action="store_true", help="try every file anew")
    parser.add_argument("--all", action="store_true", help="save every network in every form")
    parser.add_argument("--write", action="store_true", help="put the table into the documentation")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.again:
        (options.out / KEPT).unlink(missing_ok=True)
    found = table(run(options.out, options.only, options.steps, options.all))
    print(found)
    if options.write:
        page = PAGE.read_text(encoding="utf-8")
        before, rest = page.split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{found}\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
