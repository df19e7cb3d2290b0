"""What has been published on getting past picklescan, fickling, modelscan and PyTorch's own reader: all refused.

Every file is made here, and none is kept. Each asks for something that would leave a trace; none does.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.loading import payloads as p
from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading import describe_file, load_model

Write = Callable[..., Path]

# Advisory, the name that is imported, and what it is given.
NAMES = [
    ("picklescan GHSA-655q-fx9r-782v", "pip", "main", p.shell),
    ("picklescan GHSA-4whj-rm5r-c2v8", "torch.utils.bottleneck.__main__", "run_autograd_prof", p.code),
    ("picklescan GHSA-4r9r-ch6f-vxmx", "torch.utils.bottleneck.__main__", "run_cprofile", p.code),
    ("picklescan GHSA-86cj-95qr-2p4f", "torch._dynamo.guards", "GuardBuilder.get", p.code),
    (
        "picklescan GHSA-f4x7-rfwp-v3xw",
        "torch.fx.experimental.symbolic_shapes",
        "ShapeEnv.evaluate_guards_expression",
        p.code,
    ),
    ("picklescan GHSA-f745-w6jp-hpxx", "torch.utils.collect_env", "run", p.shell),
    (
        "picklescan GHSA-h3qp-7fh3-f8h4",
        "torch.utils.data.datapipes.utils.decoder",
        "basichandlers",
        p.code,
    ),
    ("picklescan GHSA-vr7h-p6mm-wpmh", "torch.jit.unsupported_tensor_ops", "execWrapper", p.code),
    ("picklescan GHSA-vv6j-3g6g-2pvj", "torch.utils._config_module", "ConfigModule.load_config", p.code),
    ("picklescan GHSA-p9w7-82w4-7q8m", "lib2to3.pgen2.pgen", "ParserGenerator.make_label", p.code),
    ("picklescan GHSA-f54q-57x4-jg88", "lib2to3.pgen2.grammar", "Grammar.loads", p.code),
    ("picklescan GHSA-m869-42cg-3xwr", "idlelib.run", "Executive.runcode", p.code),
    ("picklescan GHSA-j343-8v2j-ff7w", "idlelib.pyshell", "ModifiedInterpreter.runcommand", p.code),
    ("picklescan GHSA-3gf5-cxq9-w223", "idlelib.pyshell", "ModifiedInterpreter.runcode", p.code),
    ("picklescan GHSA-3vg9-h568-4w9m", "idlelib.debugobj", "ObjectTreeItem.SetText", p.code),
    ("picklescan GHSA-6w4w-5w54-rjvr", "idlelib.autocomplete", "AutoComplete.get_entity", p.code),
    ("picklescan GHSA-7cq8-mj8x-j263", "idlelib.autocomplete", "AutoComplete.fetch_completions", p.code),
    ("picklescan GHSA-fqq6-7vqf-w3fg", "doctest", "debug_script", p.code),
    ("picklescan GHSA-9w88-8rmg-7g2p", "cProfile", "runctx", p.code),
    ("picklescan GHSA-5qwp-399c-mjwf", "trace", "Trace.run", p.code),
    ("picklescan GHSA-g344-hcph-8vgg", "trace", "Trace.runctx", p.code),
    ("picklescan GHSA-x696-vm39-cp64", "profile", "Profile.run", p.code),
    ("picklescan GHSA-6vqj-c2q5-j97w", "profile", "Profile.runctx", p.code),
    ("picklescan GHSA-m273-6v24-x4m4", "operator", "attrgetter", p.code),
    ("picklescan GHSA-955r-x9j8-7rhh", "_operator", "methodcaller", p.code),
    ("picklescan GHSA-46h3-79wf-xr6c", "pdb", "run", p.code),
    ("picklescan GHSA-4675-36f9-wf6r", "bdb", "Bdb.run", p.code),
    ("picklescan GHSA-84r2-jw7c-4r5q", "_pickle", "loads", p.code),
    ("picklescan GHSA-vqmv-47xg-9wpr", "ensurepip", "_run_pip", p.code),
    ("picklescan GHSA-hgrh-qx5j-jfwx", "http.client", "HTTPSConnection", p.code),
    ("picklescan GHSA-r8g5-cgf2-4m4m", "lib2to3.pgen2.grammar", "Grammar.load", p.code),
    ("picklescan, files: distutils", "distutils.file_util", "write_file", p.code),
    ("picklescan, files: _io", "_io", "FileIO", p.code),
    ("picklescan, numpy.f2py", "numpy.f2py.crackfortran", "getlincoef", p.code),
    ("picklescan, functools.partial", "functools", "partial", p.code),
    ("fickling GHSA-r7v6-mfhq-g3m2", "pty", "spawn", p.shell),
    ("fickling GHSA-565g-hwwr-4pp3, marshal", "marshal", "loads", p.code),
    ("fickling GHSA-565g-hwwr-4pp3, types", "types", "FunctionType", p.code),
    ("fickling GHSA-h4rm-mm56-xf63", "builtins", "exec", p.code),
    ("fickling GHSA-q5qq-mvfm-j35x", "asyncio.unix_events", "_UnixSubprocessTransport._start", p.shell),
    ("fickling GHSA-m6fh-58r7-x697, fork_exec", "_posixsubprocess", "fork_exec", p.shell),
    ("fickling GHSA-m6fh-58r7-x697, site", "site", "addsitedir", p.shell),
    ("fickling GHSA-m6fh-58r7-x697, atexit", "atexit", "register", p.code),
    ("fickling GHSA-6ggj-6f2q-f7mx, _interpreters", "_interpreters", "run_string", p.code),
    ("fickling GHSA-6ggj-6f2q-f7mx, _xxsubinterpreters", "_xxsubinterpreters", "run_string", p.code),
    ("fickling GHSA-5hwf-rc88-82xm, uuid", "uuid", "_get_command_stdout", p.shell),
    ("fickling GHSA-5hwf-rc88-82xm, _osx_support", "_osx_support", "_read_output", p.shell),
    ("fickling GHSA-5hwf-rc88-82xm, _aix_support", "_aix_support", "_read_cmd_output", p.shell),
    ("fickling, imp", "imp", "load_source", p.code),
    ("fickling, pipes", "pipes", "Template", p.shell),
    ("modelscan issue 89", "numpy", "__builtins__", p.code),
    ("modelscan issue 89, by a dotted name", "numpy", "core._internal.sys.modules", p.code),
    ("PyTorch CVE-2024-48063", "torch.distributed.rpc.internal", "PythonUDF", p.code),
    ("PyTorch CVE-2022-45907", "torch.jit.annotations", "parse_type_line", p.code),
]


def refused(path: Path) -> None:
    assert not describe_file(path).is_safe
    with pytest.raises(RefusedFileError):
        load_model(path)


@pytest.mark.parametrize(("module", "name", "argument"), [n[1:] for n in NAMES], ids=[n[0] for n in NAMES])
@pytest.mark.parametrize("form", ["GLOBAL", "STACK_GLOBAL", "popped", "in a state", "beside the weights"])
def test_a_name(
    form: str, module: str, name: str, argument: Callable[[Path], bytes], write: Write, canary: Path
) -> None:
    """However it is spelled: a result that is thrown away, and one that is handed to ``__setstate__``, count too."""
    given = p.args(argument(canary))
    pickle = {
        "GLOBAL": p.program(p.name(module, name) + given + b"R"),
        "STACK_GLOBAL": b"\x80\x04" + p.text(module) + p.text(name) + b"\x93" + given + b"R.",
        "popped": p.program(p.name(module, name) + given + b"R0" + p.dictionary({})),
        "in a state": p.program(
            p.empty_dictionary() + p.dictionary({"__setstate__": p.name(module, name)}) + b"b"
        ),
        "beside the weights": p.program(
            p.dictionary(
                {
                    "state_dict": p.dictionary({"w.weight": p.tensor()}),
                    "args": p.name(module, name) + given + b"R",
                }
            )
        ),
    }[form]
    for wrap in (p.checkpoint, p.legacy):
        path = write(wrap(pickle, {"0": bytes(16)} if form == "beside the weights" else None))
        refused(path)
        assert f"{module}.{name}" in [use.name for use in describe_file(path).globals]


def test_the_legacy_tar_of_pytorch_cve_2025_32434(write: Write, canary: Path) -> None:
    """Up to torch 2.5, weights_only=True did not hold for these."""
    payload = p.program(p.called("os", "system", p.shell(canary)))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in ("storages", "tensors", "pickle"):
            info = tarfile.TarInfo(name)
            info.size = len(payload)
            tar.addfile(info, io.BytesIO(payload))
    path = write(out.getvalue())
    assert not describe_file(path).opens
    with pytest.raises(ModelFileError):
        load_model(path)


@pytest.mark.parametrize("opcode", [b"s", b"u"], ids=["SETITEM", "SETITEMS"])
def test_items_put_into_a_tensor_pytorch_cve_2026_24747(opcode: bytes, write: Write) -> None:
    """Up to torch 2.9, the restricted reader wrote past a storage's end."""
    mark = b"(" if opcode == b"u" else b""
    pickle = p.program(p.tensor() + mark + p.number(10**6) + p.number(1) + opcode)
    refused(write(p.checkpoint(pickle, {"0": b"\0" * 16})))


def test_a_storage_that_is_smaller_than_it_says(write: Write) -> None:
    pickle = p.program(p.dictionary({"w": p.tensor(count=10**6, size=(10**6,))}))
    refused(write(p.checkpoint(pickle, {"0": b"\0" * 16})))


def test_numpys_builtins_modelscan_issue_89(write: Write, canary: Path) -> None:
    lookup = p.called("builtins", "dict.get", p.name("numpy", "__builtins__"), p.text("exec"))
    refused(write(p.checkpoint(p.program(lookup + p.args(p.code(canary)) + b"R"))))


@pytest.mark.parametrize(
    "name", ["model.keras", "model.h5", "model.pb", "model.gguf", "model.npy", "model.joblib"]
)
def test_formats_of_other_programs_by_their_own_names(name: str, write: Write, canary: Path) -> None:
    """What scanners skip by its ending is still told by its content."""
    path = write(p.program(p.called("os", "system", p.shell(canary))), name)
    refused(path)
