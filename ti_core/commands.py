"""What the commands do: argument values in, exit code out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ti_core.cache import Cache, default_folder
from ti_core.cli import BACKDOORED, CODES, ERROR, INCONCLUSIVE, pairs
from ti_core.errors import PackError, SettingsError, TrojanInterpretError
from ti_core.settings import Settings

MODEL_ENDINGS = {".safetensors", ".pt", ".pth", ".onnx", ".bin", ".ckpt", ".pt2", ".pkl"}
"""Files that ``scan`` takes for models; other files of a folder are passed over."""


def inspect_one(options: argparse.Namespace) -> int:
    """``inspect MODEL``."""
    if options.file_only:
        from ti_core.loading import describe_file

        report = describe_file(options.model)
        print(report)
        return 0 if report.opens else ERROR
    settings = Settings.parse(pairs(options.settings))
    cache = Cache(None if options.no_cache else default_folder())
    bar = Bar(options.model.name)
    try:
        where = device(options.device)
        if options.images is not None:
            inspection = _inspect_alone(options, settings, cache, where, bar)
        else:
            inspection = _inspect(options.model, options.pack, settings, cache, where, bar)
    finally:
        bar.close()
        cache.close()
    report = inspection.report
    if cache.problem:
        print(f"trojaninterpret: {cache.problem}", file=sys.stderr)
    if options.json:
        _write(options.json, report.as_json() + "\n")
    if options.html:
        from ti_core.html import html_report

        _write(options.html, html_report(inspection))
    print(report.sentence())
    for reason in report.reasons:
        print(f"  - {reason}")
    return CODES[report.verdict]


def _inspect(
    path: Path, pack_name: str | None, settings: Settings, cache: Cache, where: str, bar: Any
) -> Any:
    from ti_core.choosing import choose_pack_for
    from ti_core.inspection import inspect
    from ti_core.loading import load_model
    from ti_core.memory import keep_freed_memory
    from ti_core.pack import load_pack

    keep_freed_memory()
    bar("opening", 0.0)
    model = load_model(path)
    pack = load_pack(pack_name) if pack_name else choose_pack_for(model, settings.normalisation)
    return inspect(model, pack, settings, bar, cache, where)


def _inspect_alone(
    options: argparse.Namespace, settings: Settings, cache: Cache, where: str, bar: Any
) -> Any:
    """With the user's own clean images in the place of a reference pack."""
    from ti_core.loading import load_model
    from ti_core.memory import keep_freed_memory
    from ti_core.own_images import load_own_images
    from ti_core.reference_free import inspect_alone

    if options.pack is not None:
        raise SettingsError("Give either --pack or --images: with --images no reference pack takes part.")
    keep_freed_memory()
    bar("opening", 0.0)
    model = load_model(options.model)
    own = load_own_images(options.images, model.input_shape, settings.seed)
    return inspect_alone(model, own, settings, bar, cache, where)


def device(choice: str) -> str:
    """ "cuda" where there is one, else "cpu"; an error if CUDA is asked for and missing."""
    if choice == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if choice == "cuda":
        raise SettingsError("There is no CUDA device on this machine; use --device cpu.")
    return "cpu"


def scan(options: argparse.Namespace) -> int:
    """``scan FOLDER_OR_FILES``: a line of JSON a model, written as it is finished; goes on past broken files."""
    settings = Settings.parse(pairs(options.settings))
    if options.engine == "ray":
        raise SettingsError("The ray engine is not available in this version; use --engine local.")
    if options.jobs < 1:
        raise SettingsError(f"--jobs is at least 1, not {options.jobs}.")
    files = list(_model_files(options.paths))
    if not files:
        raise SettingsError("There is no model file to scan.")
    cache = Cache(None if options.no_cache else default_folder())
    where = device(options.device)
    worst: set[str] = set()
    out = options.jsonl.open("a") if options.jsonl else sys.stdout
    bar = Bar("scan")
    try:
        for done, line in enumerate(_reports(files, options, settings, cache, where)):
            print(json.dumps(line, allow_nan=False), file=out, flush=True)
            worst.add(line.get("verdict", "error"))
            bar(f"{done + 1} of {len(files)}", (done + 1) / len(files))
    finally:
        bar.close()
        cache.close()
        if options.jsonl:
            out.close()
    if "backdoored" in worst:
        return BACKDOORED
    return ERROR if "error" in worst else INCONCLUSIVE if "inconclusive" in worst else 0


def _reports(
    files: list[Path], options: argparse.Namespace, settings: Settings, cache: Cache, where: str
) -> Iterable[dict[str, Any]]:
    if options.jobs == 1:
        for path in files:
            yield _line(path, options.pack, settings, cache, where)
        return
    from joblib import Parallel, delayed

    yield from Parallel(n_jobs=options.jobs, batch_size=1, return_as="generator_unordered")(
        delayed(_line_alone)(path, options.pack, settings, options.no_cache, where) for path in files
    )


def _line_alone(
    path: Path, pack: str | None, settings: Settings, no_cache: bool, where: str
) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    cache = Cache(None if no_cache else default_folder())
    try:
        return _line(path, pack, settings, cache, where)
    finally:
        cache.close()


def _line(path: Path, pack: str | None, settings: Settings, cache: Cache, where: str) -> dict[str, Any]:
    try:
        report: dict[str, Any] = _inspect(
            path, pack, settings, cache, where, lambda stage, share: None
        ).report.as_dict()
    except TrojanInterpretError as error:
        return {"file": str(path), "error": str(error)}
    except OSError as error:
        return {"file": str(path), "error": f"The file cannot be read: {error.strerror or error}."}
    return {"file": str(path)} | report


def _model_files(paths: Iterable[Path]) -> Iterable[Path]:
    for path in paths:
        if path.is_dir():
            yield from (
                p for p in sorted(path.rglob("*")) if p.is_file() and p.suffix.lower() in MODEL_ENDINGS
            )
        else:
            yield path


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
