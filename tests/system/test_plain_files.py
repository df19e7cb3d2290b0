"""Only plain files within a limit are read, and nothing that a path can lead to makes the reader wait."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ti_core.errors import DataError, ModelFileError, RefusedFileError
from ti_core.system.plain_files import hash_plain, open_plain, read_plain

DEADLINE = 5.0


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[dict[str, tuple[Path, str]]]:
    """By name: a path to something that cannot be read to its end, and what is said of it."""
    pipe, sparse, link = tmp_path / "pipe", tmp_path / "sparse", tmp_path / "link"
    os.mkfifo(pipe)
    with sparse.open("wb") as file:
        file.truncate(400 << 30)
    link.symlink_to(pipe)
    (tmp_path / "endless").symlink_to("/dev/zero")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        yield {
            "a named pipe": (pipe, "is a named pipe"),
            "a link to one": (link, "is a named pipe"),
            "a device without an end": (tmp_path / "endless", "is a device"),
            "a folder": (tmp_path, "is a folder"),
            "a socket": (tmp_path / "socket", "is a socket"),
            "a huge file with holes": (sparse, r"has 400\.0 GiB; the limit for such a file is 1\.0 MiB"),
            "a link to itself": (tmp_path / "circle", "is a link"),
            "nothing": (tmp_path / "gone", "No such file or directory"),
            "a null character": (Path(f"{tmp_path}/a\0b"), "null character"),
        }


KINDS = (
    "a named pipe",
    "a link to one",
    "a device without an end",
    "a folder",
    "a socket",
    "a huge file with holes",
    "a link to itself",
    "nothing",
    "a null character",
)


def in_time(work: Callable[[], object]) -> None:
    """Run ``work`` in a thread of its own, which must end within the deadline; its error is raised here."""
    found: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    assert not thread.is_alive(), "the reader waits"
    if found:
        raise found[0]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_plain_file_is_answered_with_a_sentence(
    kind: str, odd: dict[str, tuple[Path, str]]
) -> None:
    path, says = odd[kind]
    uses: list[Callable[[], object]] = [
        lambda: read_plain(path, 1 << 20, ModelFileError, RefusedFileError),
        lambda: hash_plain(hashlib.sha256(), path, 1 << 20, ModelFileError, RefusedFileError),
    ]
    before = len(list(Path("/proc/self/fd").iterdir()))
    for use in uses:
        with pytest.raises(ModelFileError, match=says) as caught:
            in_time(use)
        text = str(caught.value)
        assert text.endswith(".") and text.count(". ") == 0 and "\0" not in text
        unreadable = kind in ("a socket", "a link to itself", "nothing", "a null character")
        assert isinstance(caught.value, RefusedFileError) is not unreadable
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    with pytest.raises(DataError):
        in_time(lambda: open_plain(path, 1 << 20, DataError))


def test_a_plain_file_is_read_and_hashed_whole(tmp_path: Path) -> None:
    content = os.urandom((3 << 20) + 17)
    path = tmp_path / "plain"
    path.write_bytes(content)
    (tmp_path / "link").symlink_to(path)
    digest = hashlib.sha256(b"before")
    assert hash_plain(digest, tmp_path / "link", len(content), DataError) == len(content)
    assert digest.digest() == hashlib.sha256(b"before" + content).digest()
    assert read_plain(path, len(content), DataError) == content
    with pytest.raises(DataError, match="limit"):
        read_plain(path, len(content) - 1, DataError)
    with pytest.raises(DataError, match="it is a link"):
        read_plain(tmp_path / "link", len(content), DataError, follow=False)


@pytest.mark.parametrize("step", [-1, 5])
def test_a_file_that_shrinks_or_grows_meanwhile_is_not_taken(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size is the open file's; here it is told one that no longer holds."""
    path = tmp_path / "model"
    path.write_bytes(bytes(100))
    monkeypatch.setattr("ti_core.system.plain_files.size_of", lambda file: 100 - step)
    with pytest.raises(DataError, match="changed while it was read"):
        read_plain(path, 1000, DataError)
    with pytest.raises(DataError, match="changed while it was read"):
        hash_plain(hashlib.sha256(), path, 1000, DataError)
