"""A progress bar on a terminal."""

from __future__ import annotations

import sys

from ti_core.cli.terminal import Shown
from ti_core.text import shown


class Bar:
    """A progress bar if the output is a terminal, otherwise nothing."""

    def __init__(self, title: str) -> None:
        from tqdm import tqdm

        # The bar moves the cursor with control characters, so its output is not filtered. Its texts are made safe here.
        stream = sys.stderr.stream if isinstance(sys.stderr, Shown) else sys.stderr
        self._bar = tqdm(
            total=100,
            desc=shown(title, 60),
            file=stream,
            disable=stream is None or not stream.isatty(),
            leave=False,
            bar_format="{desc}: {percentage:3.0f}% |{bar:24}| {postfix}",
        )

    def __call__(self, stage: str, share: float) -> None:
        self._bar.n = round(100 * share)
        self._bar.set_postfix_str(shown(stage, 80))
        self._bar.refresh()

    def close(self) -> None:
        self._bar.close()
