"""``data``: argument values in, exit code out."""

from __future__ import annotations

import argparse
import json

from ti_core.cli.bar import Bar
from ti_core.cli.options import BACKDOORED, CLEAN, declared_network, limits_of, pairs
from ti_core.cli.output import STDOUT, write
from ti_core.errors import SettingsError
from ti_core.methods.training_data.record import (
    FILE,
    LARGEST_FILE,
    LARGEST_PICTURES,
    PICTURES,
    Found,
    class_sentence,
)
from ti_core.settings import Settings
from ti_core.text import plain
from ti_core.worker import Job
from ti_core.worker import inspection_job as inspecting

NAMED = 10
"""Number of images of a class that are printed."""


def examine(options: argparse.Namespace) -> int:
    """``data MODEL IMAGES``."""
    if not 0 < options.rate <= 0.5:
        raise SettingsError(f"--rate is more than 0 and at most 0.5, not {options.rate:g}.")
    asked = pairs(options.settings)
    settings = Settings.parse(asked).as_dict()
    request = {
        "model": str(options.model.absolute()),
        "images": str(options.images.absolute()),
        "rate": options.rate,
        "device": options.device,
        "settings": {name: settings[name] for name in asked},
        **declared_network(options.architecture),
    }
    with Job.start("examine data", request, limits=limits_of(options)) as job:
        bar = Bar(options.model.name)
        try:
            inspecting.follow(job, bar)
        finally:
            bar.close()
        found = Found.of(job.result_json(FILE, LARGEST_FILE), job.result(PICTURES, LARGEST_PICTURES))
    if options.json:
        write(options.json, json.dumps(found.record, indent=2) + "\n")
    if options.json != STDOUT:
        print(printed(found))
    return BACKDOORED if found.suspicious else CLEAN


def printed(found: Found) -> str:
    """What was found, class by class, for a terminal."""
    record = found.record
    drawn = f" of {record['of']:,}" if record["of"] > record["count"] else ""
    lines = [
        found.sentence(),
        f"{record['count']:,}{drawn} images were looked at, {record['accuracy']:.1%} of those tried get their label.",
    ]
    for one in record["classes"]:
        lines.append(f"  {'POISON' if one['suspicious'] else 'class '} {one['name']}: {class_sentence(one)}")
        if one["suspicious"]:
            lines.append(
                f"    Spectral Signatures names {one['removed']} images, {one['both']} of them in the cluster."
            )
            named = [image["place"] for image in one["images"] if image["clustered"]][:NAMED]
            more = one["clustered"] - len(named)
            lines.append(f"    {', '.join(named)}{f' and {more} more' if more else ''}")
    return "\n".join(plain(line, 2000) for line in lines)
