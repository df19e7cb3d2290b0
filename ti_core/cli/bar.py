"""A progress bar on a terminal."""

from __future__ import annotations

from ti_core.system.terminal import progress_bar, standard_error
from ti_core.text import shown


class Bar:
    """A progress bar on a terminal, nothing elsewhere."""

    def __init__(self, title: str) -> None:
        stream = standard_error()
        self._bar = progress_bar(
            title,
            100,
            draw=stream is not None and stream.isatty(),
            leave=False,
            bar_format="{desc}: {percentage:3.0f}% |{bar:24}| {postfix}",
        )

    def __call__(self, stage: str, share: float) -> None:
        self._bar.n = round(100 * share)
        self._bar.set_postfix_str(shown(stage, 80))
        self._bar.refresh()

    def close(self) -> None:
        self._bar.close()
