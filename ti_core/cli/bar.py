"""A progress bar on a terminal."""

from __future__ import annotations

import sys


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
