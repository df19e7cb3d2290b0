"""The report before loading: what it says, that it is the loader's own judgement, and that it loads nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.loading import payloads as p
from ti_core.architectures.lenet import LeNet5
from ti_core.loading import describe_file
from ti_core.loading.findings import Severity
from ti_core.loading.names import present_name
from ti_core.loading.pickles.allowed import ALLOWED, DTYPES, STORAGES, runs_code
from ti_core.loading.pickles.nodes import depth_of
from ti_core.loading.pickles.outline import PLAIN_OPCODES, outline_of

Write = Callable[..., Path]


def test_an_ordinary_checkpoint_reads_as_sentences(tmp_path: Path, lenet: LeNet5) -> None:
    path = tmp_path / "m.pt"
    torch.save(lenet.state_dict(), path)
    report = describe_file(path)
    first, *rest = report.sentences()
    assert first == f"m.pt is a torch checkpoint of {report.size / 1000:.1f} kB, SHA-256 {report.sha256}."
    assert rest == [
        "It holds 16 members.",
        "It declares 10 tensors with 61,706 numbers.",
        "Its pickle imports 3 names, all on the allow-list.",
        "Nothing in it runs when it is opened here.",
    ]
    assert str(report) == "\n".join(report.sentences())
    assert report.severity is Severity.FINE and report.is_safe and report.opens
    assert [use.name for use in report.globals] == [
        "collections.OrderedDict",
        "torch._utils._rebuild_tensor_v2",
        "torch.FloatStorage",
    ]


def test_a_hostile_checkpoint_reads_as_sentences(write: Write, canary: Path) -> None:
    pickle = p.program(
        p.dictionary({"a": p.called("os", "system", p.shell(canary)), "b": p.name("some", "thing")})
    )
    report = describe_file(write(p.checkpoint(pickle)))
    text = str(report)
    assert "Its pickle imports 2 names, 2 not on the allow-list." in text
    assert "os.system is a known means of running code" in text
    assert "some.thing is not on the list of names" in text
    assert text.endswith("Not opened. It is a known means of running code when a file is opened.")
    assert (report.severity, report.is_safe, report.opens) == (Severity.MALICIOUS, False, False)


def test_it_goes_into_json(write: Write, canary: Path) -> None:
    report = describe_file(write(p.checkpoint(p.program(p.called("os", "system", p.shell(canary))))))
    table = json.loads(json.dumps(report.as_dict()))
    assert table["severity"] == "malicious" and table["is_safe"] is False
    assert table["globals"][0]["name"] == "os.system"
    assert table["members"][0]["name"] == "data.pkl"


def test_it_needs_no_torch_and_loads_nothing(tmp_path: Path, lenet: LeNet5) -> None:
    path = tmp_path / "m.pt"
    torch.save(lenet, path)
    script = (
        "import sys\nfrom ti_core.loading import describe_file\n"
        f"report = describe_file({str(path)!r})\nassert report.opens and len(report.tensors) == 10\n"
        "assert 'torch' not in sys.modules and 'pickle' not in vars(sys.modules['ti_core.loading.file_report'])"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", script], check=True, cwd=root)


def test_the_file_is_left_as_found(write: Write) -> None:
    path = write(p.checkpoint(p.program(b"}")))
    before = (path.read_bytes(), path.stat().st_mtime_ns, sorted(path.parent.iterdir()))
    describe_file(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns, sorted(path.parent.iterdir())) == before


def test_severities_are_ordered_and_have_a_meaning() -> None:
    assert [s.rank for s in Severity] == sorted({s.rank for s in Severity})
    assert all(s.meaning.endswith(".") for s in Severity)


def test_the_allow_list_holds_no_known_means_of_running_code() -> None:
    assert [path for path in ALLOWED if runs_code(path)] == []
    assert all(ALLOWED[path].name == "STORAGE" for path in STORAGES)


def test_the_storages_are_torchs() -> None:
    for path, (dtype, size) in STORAGES.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = getattr(torch, path.removeprefix("torch.")).dtype
            assert torch.empty(0, dtype=found).element_size() == size
        assert found == getattr(torch, dtype)


def test_the_types_are_torchs() -> None:
    for name, size in DTYPES.items():
        assert getattr(torch, name).itemsize == size


def test_the_instructions_of_torchs_reader_are_known() -> None:
    import pickletools

    from torch import _weights_only_unpickler as reader

    known = {op.name for op in pickletools.opcodes if op.code.encode("latin-1") in vars(reader).values()}
    assert known < PLAIN_OPCODES
    # What a pickler of protocols 2 to 5 never writes stays unusual.
    assert not PLAIN_OPCODES & {"INST", "OBJ", "PERSID", "EXT1", "EXT2", "EXT4", "POP", "DUP", "PUT", "GET"}


def test_old_names_are_read_as_torch_reads_them() -> None:
    from torch._utils import IMPORT_MAPPING, NAME_MAPPING

    for module, name in NAME_MAPPING:
        assert present_name(module, name) == ".".join(NAME_MAPPING[(module, name)])
    for module, present in IMPORT_MAPPING.items():
        assert present_name(module, "anything") == f"{present}.anything"


@pytest.mark.parametrize(
    ("pickle", "depth"), [(b"N.", 0), (b").", 1), (b")\x85.", 2), (b"](]]e.", 2), (b"]q\x00h\x00a.", None)]
)
def test_depth_in_closed_form(pickle: bytes, depth: int | None) -> None:
    assert depth_of(outline_of(b"\x80\x02" + pickle).root) == depth


def test_lists_that_double_do_not_double_the_work() -> None:
    """Forty levels of a list holding the one below it twice: a trillion paths, forty values."""
    pickle = b"\x80\x02]q\x00" + b"".join(
        b"](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(40)
    )
    outline = outline_of(pickle + b"\x85.")
    assert len(outline.broken) > 0 or depth_of(outline.root) is not None
    tail = (
        b"\x80\x02"
        + b"]q\x00"
        + b"".join(b"0](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(40))
    )
    doubled = outline_of(tail + b".")
    assert not doubled.broken and depth_of(doubled.root) == 41 and len(doubled.nodes) == 41


def graph(*nodes: object, constants: list[object] | None = None) -> bytes:
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 1, 2, 2]) for n in "xy")
    made = helper.make_graph(list(nodes), "g", [x], [y], constants or [])
    return bytes(helper.make_model(made, producer_name="pytorch").SerializeToString())


@pytest.mark.parametrize("name", ["model.onnx", "model.pt", "model"])
def test_a_graph_is_told_by_its_content(name: str, write: Write) -> None:
    from onnx import helper, numpy_helper

    weight = numpy_helper.from_array(torch.zeros(2, 3).numpy(), "w")
    report = describe_file(write(graph(helper.make_node("Relu", ["x"], ["y"]), constants=[weight]), name))
    assert report.format == "onnx" and report.opens
    assert [(t.name, t.shape, t.dtype) for t in report.tensors] == [("w", (2, 3), "float32")]
    assert "It declares 1 tensor with 6 numbers." in report.sentences()
    assert report.sentences()[0].startswith(f"{name} is an onnx of ")


def test_what_speaks_against_a_graph_is_named(write: Write) -> None:
    from onnx import helper

    loop = describe_file(write(graph(helper.make_node("Loop", ["x"], ["y"], name="l")), "m.onnx"))
    custom = describe_file(write(graph(helper.make_node("Run", ["x"], ["y"], domain="evil")), "m.onnx"))
    damaged = describe_file(write(b"\x08\x09\x12\x07pytorch" + bytes(50), "m.onnx"))
    assert not loop.is_safe and "is a loop" in str(loop)
    assert not custom.is_safe and "custom domain 'evil'" in str(custom)
    assert not damaged.opens and damaged.is_safe and "damaged" in str(damaged)
