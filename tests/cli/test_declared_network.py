"""``--architecture``: a registered name, a file with a sketch, or the sketch itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from ti_core.cli.options import declared_network
from ti_core.errors import SketchError


def test_a_registered_name_comes_before_a_file_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lenet5").write_text("relu")
    assert declared_network("lenet5") == {"architecture": "lenet5"}
    assert declared_network(None) == {}


def test_a_file_and_the_text_itself_are_the_same_sketch(tmp_path: Path) -> None:
    path = tmp_path / "net.sketch"
    path.write_text("conv 16 5  # the first\nrelu\n")
    assert declared_network(str(path)) == declared_network("conv 16 5;relu") == {"sketch": "conv 16 5; relu"}


def test_one_word_that_is_no_file_is_a_name() -> None:
    assert declared_network("resnet1001") == {"architecture": "resnet1001"}


@pytest.mark.parametrize("text", ["conv 16 5; system 1", "import os", "relu;" * 9000])
def test_what_is_no_sketch_ends_before_the_worker(text: str) -> None:
    with pytest.raises(SketchError, match="the sketch"):
        declared_network(text)


def test_a_folder_and_a_large_file_are_no_sketch(tmp_path: Path) -> None:
    with pytest.raises(SketchError, match="folder"):
        declared_network(str(tmp_path))
    (tmp_path / "large").write_bytes(b"relu\n" * 200_000)
    with pytest.raises(SketchError, match="limit"):
        declared_network(str(tmp_path / "large"))
