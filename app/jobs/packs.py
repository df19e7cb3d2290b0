"""Plans and builds packs of the users' own, one at a time, while pages are drawn."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

from app.jobs.building import Building
from app.jobs.errands import Errand, starter
from app.store.builds import Build, Builds
from ti_core.cli.shell.pack_add import add_pack
from ti_core.results.files.training_images import (
    FILE,
    IMAGES,
    LARGEST_FILE,
    LARGEST_IMAGES,
    TrainingImages,
)
from ti_core.worker import Job
from ti_core.worker.limits import Limits

SECONDS = 1800.0
"""How long reading the images may take."""


def jobs() -> int:
    """Networks at once: a core stays for the dashboard."""
    return max(1, (os.cpu_count() or 1) - 1)


class Packs:
    """The builds of all visitors. A build goes on when its tab is closed, and stops with the server.

    Parameters
    ----------
    builds : where they are kept.
    """

    def __init__(self, builds: Builds) -> None:
        self.builds = builds
        self._running: dict[str, Errand[str]] = {}
        self._turn = threading.Lock()

    def read(self, images: Path, name: str, count: int, size: int, done: Callable[[], None]) -> Errand[Build]:
        """Read images and keep them. Then the time that the work will take is measured.

        Parameters
        ----------
        images : an archive, which the confined process reads.
        size : side that they are scaled to.
        done : called at the end.
        """

        def take(job: Job) -> Build:
            record, blob = job.result_json(FILE, LARGEST_FILE), job.result(IMAGES, LARGEST_IMAGES)
            build = self.builds.keep(name, count, jobs(), TrainingImages.of(record, blob))
            self.estimate(build)
            return build

        request = {"images": str(images), "size": size}
        start = starter("read images", request, Limits.for_seconds(SECONDS))
        return Errand(start, take, lambda: True, done, self._turn)

    def estimate(self, build: Build) -> Errand[str]:
        """Measure how long the work on a build takes. What the command says is kept with it."""

        def take(job: Job) -> str:
            self.builds.tell(build, cast(Building, job).said)
            return ""

        return self._begin(build, [*build.arguments, "--estimate"], take)

    def errand(self, build: Build) -> Errand[str] | None:
        """The work on a build in this server, if there is any. Its result is a sentence, or empty."""
        return self._running.get(build.id)

    def go_on(self, build: Build) -> Errand[str]:
        """Begin the work on a build, or go on where it was stopped. In the end the pack is added."""

        def take(job: Job) -> str:
            said = add_pack(build.pack, build.name, None)
            self.builds.remove(build)
            return " ".join(filter(None, (said, cast(Building, job).entered)))

        return self._begin(build, build.arguments, take)

    def _begin(self, build: Build, arguments: list[str], take: Callable[[Job], str]) -> Errand[str]:
        found = self._running.get(build.id)
        if found is None or not found.active:
            start = partial(Building, arguments)
            found = Errand(cast(Callable[[], Job], start), take, lambda: True, lambda: None, self._turn)
            self._running[build.id] = found
        return found

    def remove(self, build: Build) -> None:
        """Stop the work on a build, and remove what is finished of it."""
        if (found := self._running.pop(build.id, None)) is not None:
            found.cancel()
        self.builds.remove(build)
