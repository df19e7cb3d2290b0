"""``opinions MODEL``: argument values in, exit code out."""

from __future__ import annotations

import argparse
import json

from ti_core.cli.bar import Bar
from ti_core.cli.options import declared_network, inspected_pack, limits_of, pairs
from ti_core.cli.output import one_to_stdout, write
from ti_core.errors import SettingsError
from ti_core.loading.digest import digest_of
from ti_core.methods.beside import Beside, beside
from ti_core.methods.opinion import Opinion, Opinions
from ti_core.methods.registry import chosen_methods
from ti_core.settings import Settings
from ti_core.system.folders import default_folder
from ti_core.text import plain
from ti_core.worker import Job, warm_up
from ti_core.worker import inspection_job as inspecting
from ti_core.worker.request import InspectionRequest


def opinions(options: argparse.Namespace) -> int:
    """Ask the methods in the worker, and print what they say. An opinion is no verdict, so the code is 0."""
    quiet = one_to_stdout((options.json, options.html))
    names = chosen_methods(options.methods)
    if options.images is not None and options.pack is not None:
        raise SettingsError("Give either --pack or --images: with --images no reference pack takes part.")
    named = pairs(options.settings)
    settings = Settings.parse(named).as_dict()
    limits = limits_of(options)
    warm_up(tasks=("opinions",))
    request = InspectionRequest(
        model=str(options.model.absolute()),
        digest=digest_of(options.model),
        pack=inspected_pack(options.pack),
        images=None if options.images is None else str(options.images.absolute()),
        settings={name: settings[name] for name in named},
    ).with_(**declared_network(options.architecture))
    folder = default_folder()
    learnt = None if folder is None else str((folder / "methods").absolute())
    with Job.start(
        "opinions", request.as_dict() | {"methods": list(names), "learnt": learnt}, limits=limits
    ) as job:
        bar = Bar(options.model.name)
        try:
            inspecting.follow(job, bar)
        finally:
            bar.close()
        found = inspecting.opinions_of(job)
    if options.json:
        write(options.json, json.dumps(found.as_dict(), indent=2) + "\n")
    if options.html:
        from ti_core.rendering.opinions.page import opinions_page

        write(options.html, opinions_page(found))
    if not quiet:
        print(printed(found))
    return 0


def printed(found: Opinions) -> str:
    """The opinions, and the needs that are not met, for a terminal."""
    lines = [line for one in found.given for line in _lines(one, beside(one, found.pack, found.pack_sha256))]
    lines += [f"{name}: not asked. {sentence}" for name, sentence in found.unmet.items()]
    return "\n".join(plain(line, 2000) for line in lines)


def _lines(one: Opinion, others: Beside | None) -> list[str]:
    if one.suspicious is None or one.threshold is None:
        decided = "no decision on networks"
    else:
        decided = f"{'backdoored' if one.suspicious else 'clean'} (above {one.threshold:.3g} is backdoored)"
    return [
        f"{one.method}: {one.statistic:.3g}, {decided}, {one.seconds:.1f} s",
        f"    {one.sentence}",
        *([f"    {others.sentence(one.statistic)}"] if others else []),
    ]
