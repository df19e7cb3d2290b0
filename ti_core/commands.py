"""What the commands do: argument values in, exit code out."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ti_core import inspecting, scanning
from ti_core.cli import CODES, ERROR, pairs
from ti_core.errors import PackError, SettingsError
from ti_core.settings import Settings
from ti_core.worker import Job, Limits
from ti_core.worker.protocol import plain


def inspect_one(options: argparse.Namespace) -> int:
    """``inspect MODEL``."""
    settings = Settings.parse(pairs(options.settings))
    limits = inspecting.limits_of(options)
    if options.file_only:
        return _describe(options, limits)
    request = inspecting.request_of(options.model, options, settings) | {"html": bool(options.html)}
    with Job.start("inspect", request, limits=limits) as job:
        bar = Bar(options.model.name)
        try:
            inspecting.follow(job, bar)
        finally:
            bar.close()
        report = inspecting.report_of(job)
        if "problem" in report.cache:
            print(f"trojaninterpret: {plain(str(report.cache['problem']), 500)}", file=sys.stderr)
        if options.json:
            _write(options.json, report.as_json() + "\n")
        if options.html:
            _write(options.html, inspecting.page_of(job))
    print(inspecting.printed(report))
    return CODES[report.verdict]


def _describe(options: argparse.Namespace, limits: Limits) -> int:
    with Job.start("describe", {"model": str(options.model.absolute())}, limits=limits) as job:
        inspecting.follow(job, lambda stage, share: None)
        found = job.result_json("file.json", inspecting.LARGEST_PAGE)
    if options.json:
        _write(options.json, json.dumps(found, indent=2) + "\n")
    for sentence in found.get("sentences", []):
        print(plain(str(sentence), 2000))
    return 0 if found.get("opens") is True else ERROR


def scan(options: argparse.Namespace) -> int:
    """``scan FOLDER_OR_FILES``: a line of JSON a model, written as it is finished; goes on past broken files."""
    settings = Settings.parse(pairs(options.settings))
    if options.jobs < 1:
        raise SettingsError(f"--jobs is at least 1, not {options.jobs}.")
    limits = inspecting.limits_of(options, options.jobs)
    files = scanning.model_files(options.paths)
    if not files:
        raise SettingsError("There is no model file to scan.")
    request = inspecting.request_of(files[0], options, settings)
    known = scanning.known_lines(options.jsonl) if options.jsonl else []
    plan = scanning.Scan(files, request, options.jobs, limits, known, options.engine)
    names = {str(file) for file in files}
    seen = [line for line in known if line["file"] in names]
    out = options.jsonl.open("a") if options.jsonl else sys.stdout
    bar = Bar("scan")
    try:
        for line in plan.lines():
            print(json.dumps(line, allow_nan=False), file=out, flush=True)
            seen = [before for before in seen if before["file"] != line["file"]] + [line]
            done = min(len(seen), len(files))
            bar(f"{done} of {len(files)}", done / len(files))
    finally:
        bar.close()
        if options.jsonl:
            out.close()
    return CODES.get(scanning.worst(seen), ERROR)


def pack(options: argparse.Namespace) -> int:
    """``pack list``, ``info``, ``verify`` and ``build``."""
    from ti_core.pack import load_pack, pack_names

    if options.verb == "list":
        for name in pack_names():
            found = load_pack(name)
            print(f"{name}: {found.record['data_set']}, {len(found.members)} members, {found.sha256[:12]}")
        return 0
    if options.verb == "info":
        from ti_core.tables import pack_text

        print(pack_text(load_pack(options.name)))
        return 0
    if options.verb == "verify":
        from ti_core.verify import verify_pack

        problems = verify_pack(load_pack(options.name), options.members or None, print)
        if problems:
            raise PackError(f"Pack {options.name!r} does not verify: {' '.join(problems)}")
        print(f"Pack {options.name!r} verifies.")
        return 0
    from ti_core.zoo.build import build_pack

    settings = Settings.parse(pairs(options.settings))
    built = build_pack(
        options.zoo, options.data, options.out, options.name, settings, options.jobs, options.size
    )
    print(f"Pack {built.name!r}: {len(built.members)} members in {options.out}.")
    return 0


def zoo(options: argparse.Namespace) -> int:
    """``zoo train`` and ``zoo samples``."""
    if options.verb == "samples":
        from ti_core.zoo.samples import train_samples

        for record in train_samples(options.data, options.out):
            print(f"{record['id']}: clean accuracy {record['clean_accuracy']:.3f}")
        return 0
    from ti_core.tables import zoo_text
    from ti_core.zoo.train import train_zoo

    if options.count < 8:
        raise SettingsError(f"--count is at least 8, not {options.count}.")
    records = train_zoo(
        options.data, options.out, options.count, options.seed, options.jobs, size=options.size
    )
    print(zoo_text(records))
    return 0


def evaluate_pack(options: argparse.Namespace) -> int:
    """``evaluate --pack NAME``."""
    from ti_core.cache import Cache, default_folder
    from ti_core.evaluation import evaluate
    from ti_core.pack import load_pack
    from ti_core.tables import evaluation_text

    cache = Cache(default_folder())
    try:
        rows = evaluate(load_pack(options.pack), Settings.parse(pairs(options.settings)), cache)
    finally:
        cache.close()
    print(evaluation_text(options.pack, rows))
    if options.json:
        _write(options.json, json.dumps([r.as_dict() for r in rows], indent=2) + "\n")
    return 0


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


class Bar:
    """A progress bar on a terminal, nothing elsewhere."""

    def __init__(self, title: str) -> None:
        from tqdm import tqdm

        self._bar = tqdm(
            total=100,
            desc=title,
            disable=not sys.stderr.isatty(),
            leave=False,
            bar_format="{desc}: {percentage:3.0f}% |{bar:24}| {postfix}",
        )

    def __call__(self, stage: str, share: float) -> None:
        self._bar.n = round(100 * share)
        self._bar.set_postfix_str(stage)
        self._bar.refresh()

    def close(self) -> None:
        self._bar.close()
