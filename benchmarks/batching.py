"""Times the saliency of many networks of one architecture: one after the other, and in one pass (``torch.func``).

``python -m benchmarks.batching`` measures processor seconds of one thread for both ways in turn, at several numbers of
images per pass. It checks that both give the same maps. One pass needs fewer calls, but its grouped convolutions are
slower.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict

import torch
from torch.func import functional_call, stack_module_state, vmap

from benchmarks.saliency import seconds
from benchmarks.table import Row, count, told
from ti_core.classifier.scores import Scores
from ti_core.paper.saliency import saliency_maps
from ti_core.reference.pack import Member, load_pack
from ti_core.reference.reference import Reference
from ti_core.settings import Settings
from ti_core.system.cache import Cache
from ti_core.system.memory import keep_freed_memory


class Stacked:
    """M networks of one architecture, option set and normalisation."""

    def __init__(self, networks: list[Scores]) -> None:
        self.template, self.count = networks[0], len(networks)
        parameters, self.buffers = stack_module_state(list(networks))
        self.parameters = {k: v.detach() for k, v in parameters.items()}
        self.all = vmap(lambda p, b, x: functional_call(self.template, (p, b), (x,)))

    def maps(self, images: torch.Tensor, batch: int) -> torch.Tensor:
        """Saliency maps ``M x N x H x W`` of images ``N x C x H x W``, with ``batch`` images per pass and network."""
        parts = []
        for part in images.split(batch):
            x = part.expand(self.count, *part.shape).clone().requires_grad_(True)
            (gradient,) = torch.autograd.grad(self.all(self.parameters, self.buffers, x).amax(2).sum(), x)
            parts.append(gradient.abs_().amax(2))
        return torch.cat(parts, 1)


def alike(members: tuple[Member, ...], most: int) -> list[list[Member]]:
    """The largest group of members with one template, for each architecture."""
    groups = defaultdict(list)
    for m in members:
        groups[m.architecture, str(sorted(m.options.items())), m.normalisation].append(m)
    largest: dict[str, list[Member]] = {}
    for (architecture, *_), own in groups.items():
        if len(own) > len(largest.get(architecture, ())):
            largest[architecture] = own[:most]
    return [own for own in largest.values() if len(own) > 1]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pack", default="mnist")
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--most", type=int, default=6, help="networks in one pass")
    given = options.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    pack = load_pack(given.pack)
    probes = Reference(pack, Settings(), Cache(None)).probes().flat
    rows = []
    for images in (8, 64, 192):
        shown, found = probes[:images], {}
        for members in alike(pack.members, given.most):
            networks = [pack.scores(m) for m in members]
            stacked, batch = Stacked(networks), min(images, 64)
            apart = stacked.maps(shown, batch) - torch.stack([saliency_maps(n, shown) for n in networks])
            # Another order of summation changes a few rectifiers and maxima, and so a few pixels.
            assert float((apart.abs() > 1e-3).float().mean()) < 1e-3, "the maps are others"
            ratios = [
                seconds(lambda s=stacked, i=shown, b=batch: s.maps(i, b))
                / seconds(lambda n=networks, i=shown: [saliency_maps(one, i) for one in n])
                for _ in range(given.rounds)
            ]
            found[members[0].architecture] = statistics.median(ratios)
            print(f"  {images} images, {len(members)} x {members[0].architecture}: {ratios}", flush=True)
        best, most = min(found, key=found.__getitem__), max(found, key=found.__getitem__)
        rows.append(
            Row(
                f"up to {given.most} networks in one pass, {images} images each, against one after the other",
                f"{statistics.median(found.values()):.2f} times the time; {found[best]:.2f} ({best}) to"
                f" {found[most]:.2f} ({most})",
                f"{len(found)} architectures, {count(given.rounds, 'round')}, one thread",
            )
        )
    told("batching", rows)


if __name__ == "__main__":
    main()
