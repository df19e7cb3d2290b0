"""Times a change of quantiles and bins: the new histograms and the new verdict.

``python -m benchmarks.profile`` measures processor seconds of one thread for a bundled sample that was inspected
before. No model runs for the histograms. For the verdict, the meta-model is fitted again with its folds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.start import SAMPLES
from benchmarks.table import Row, middle, told
from ti_core.inspection.case_builder import case_of
from ti_core.inspection.with_pack import inspect
from ti_core.loading import load_model
from ti_core.reference.pack import load_pack
from ti_core.rendering.comparison import panels
from ti_core.settings import Settings
from ti_core.system.cache import Cache

CHANGES = (
    {"quantiles": (0.6, 0.95)},
    {"quantiles": (0.25, 0.5, 0.75, 0.9, 0.99)},
    {"bins": 32},
    {"histogram_form": "pooled"},
)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pack", default="mnist")
    given = options.parse_args()
    torch.set_num_threads(1)
    pack, paper = load_pack(given.pack), Settings(streams=("saliency",))
    model = load_model(SAMPLES[0])
    drawn, decided = [], []
    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(Path(folder))
        first = inspect(model, pack, paper, cache=cache)
        case = case_of(first, pack, paper)
        panels(case, pack, paper)
        for change in CHANGES:
            settings = paper.with_(**change)
            start = time.process_time()
            panels(case, pack, settings)
            between = time.process_time()
            again = inspect(model, pack, settings, cache=cache)
            decided.append(time.process_time() - between)
            drawn.append(between - start)
            assert again.report.cache["saliency"] == "cache", "the model was run again"
        cache.close()
    of = f"{len(CHANGES)} changes, one thread, seconds of the processor"
    rows = [
        Row(
            "histograms, bands and distances beside all reference models, drawn again", middle(drawn, "s"), of
        ),
        Row(
            "the verdict of the paper's stream at the changed setting, its meta-model fitted anew",
            middle(decided, "s"),
            of,
        ),
    ]
    told("profile", rows)


if __name__ == "__main__":
    main()
