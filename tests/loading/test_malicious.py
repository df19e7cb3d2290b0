"""Pickles that run code, each after its advisory or technique: refused, named, and nothing has run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.loading import payloads as p
from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading import describe_file, load_model
from ti_core.loading.findings import Severity

Write = Callable[..., Path]

# Advisory or technique, the name that is imported, and what it is given (a shell command or Python code).
IMPORTS = [
    ("os.system by GLOBAL", "os", "system", p.shell),
    ("posix.system, the module behind os", "posix", "system", p.shell),
    ("nt.system on Windows", "nt", "system", p.shell),
    ("subprocess.Popen", "subprocess", "Popen", p.shell),
    ("commands, Python 2's subprocess", "commands", "getoutput", p.shell),
    ("builtins.eval", "builtins", "eval", p.code),
    ("builtins.exec in Python 2's spelling", "__builtin__", "exec", p.code),
    ("builtins.getattr chain", "builtins", "getattr", p.code),
    ("builtins.__import__", "builtins", "__import__", p.code),
    ("builtins.breakpoint", "builtins", "breakpoint", p.code),
    ("runpy.run_path", "runpy", "run_path", p.code),
    ("importlib.import_module (picklescan issue 66)", "importlib", "import_module", p.code),
    ("pkgutil.resolve_name (GHSA-vvpj-8cmc-gx39)", "pkgutil", "resolve_name", p.code),
    ("pip.main (CVE-2025-1716)", "pip", "main", p.code),
    ("ensurepip._run_pip (GHSA-xp4f-hrf8-rxw7)", "ensurepip", "_run_pip", p.code),
    ("timeit.timeit (GHSA-v7x6-rv5q-mhwc)", "timeit", "timeit", p.code),
    ("cProfile.run", "cProfile", "run", p.code),
    ("cProfile.runctx", "cProfile", "runctx", p.code),
    ("profile.Profile.run", "profile", "Profile.run", p.code),
    ("trace.Trace.run", "trace", "Trace.run", p.code),
    ("pdb.run", "pdb", "run", p.code),
    ("bdb.Bdb.run", "bdb", "Bdb.run", p.code),
    ("doctest.debug_script", "doctest", "debug_script", p.code),
    ("code.InteractiveInterpreter.runcode", "code", "InteractiveInterpreter.runcode", p.code),
    ("idlelib.pyshell", "idlelib.pyshell", "ModifiedInterpreter.runcode", p.code),
    ("lib2to3 loadGrammar", "lib2to3.pgen2.grammar", "Grammar.loads", p.code),
    ("asyncio submodule (CVE-2025-10157)", "asyncio.unix_events", "_UnixSubprocessTransport._start", p.shell),
    ("ctypes.CDLL", "ctypes", "CDLL", p.shell),
    ("uuid (CVE-2026-56315)", "uuid", "_get_command_stdout", p.shell),
    ("imaplib (CVE-2026-56315)", "imaplib", "IMAP4_stream", p.shell),
    ("_pyrepl.pager (CVE-2026-56315)", "_pyrepl.pager", "pipe_pager", p.shell),
    ("_osx_support (CVE-2026-56315)", "_osx_support", "_read_output", p.shell),
    ("marshal.loads", "marshal", "loads", p.code),
    ("types.FunctionType", "types", "FunctionType", p.code),
    ("operator.attrgetter", "operator", "attrgetter", p.code),
    ("functools.partial", "functools", "partial", p.code),
    ("pickle.loads, a pickle in a pickle", "pickle", "loads", p.code),
    ("_pickle.loads", "_pickle", "loads", p.code),
    ("cloudpickle.loads", "cloudpickle", "loads", p.code),
    ("dill.loads", "dill", "loads", p.code),
    ("joblib.load", "joblib", "load", p.code),
    ("torch.load nested", "torch", "load", p.code),
    ("torch.serialization.load nested", "torch.serialization", "load", p.code),
    ("torch.storage._load_from_bytes", "torch.storage", "_load_from_bytes", p.code),
    ("torch.jit.load", "torch.jit", "load", p.code),
    (
        "torch.jit.unsupported_tensor_ops.execWrapper",
        "torch.jit.unsupported_tensor_ops",
        "execWrapper",
        p.code,
    ),
    ("torch.hub.load", "torch.hub", "load", p.code),
    ("torch.utils._config_module", "torch.utils._config_module", "ConfigModule.load_config", p.code),
    ("torch.utils.collect_env.run", "torch.utils.collect_env", "run", p.shell),
    ("torch.utils.bottleneck", "torch.utils.bottleneck.__main__", "run_cprofile", p.code),
    ("torch._dynamo.guards", "torch._dynamo.guards", "GuardBuilder.get", p.code),
    (
        "torch.fx.experimental.symbolic_shapes",
        "torch.fx.experimental.symbolic_shapes",
        "ShapeEnv.evaluate_guards_expression",
        p.code,
    ),
    ("torch.distributed.rpc", "torch.distributed.rpc", "rpc_sync", p.code),
    ("numpy.f2py.crackfortran.myeval", "numpy.f2py.crackfortran", "myeval", p.code),
    ("numpy.f2py.crackfortran._eval_length", "numpy.f2py.crackfortran", "_eval_length", p.code),
    ("numpy.testing runstring", "numpy.testing._private.utils", "runstring", p.code),
    ("pandas.io.pickle.read_pickle", "pandas.io.pickle", "read_pickle", p.code),
    ("webbrowser.open", "webbrowser", "open", p.code),
    ("shutil.rmtree", "shutil", "rmtree", p.code),
    ("io.open", "io", "open", p.code),
    ("socket.create_connection", "socket", "create_connection", p.code),
    ("urllib.request.urlopen", "urllib.request", "urlopen", p.code),
    ("sys.setrecursionlimit", "sys", "setrecursionlimit", p.code),
    ("venv.create", "venv", "create", p.code),
    ("site.main", "site", "main", p.code),
]


def refused(path: Path) -> str:
    """The message with which ``path`` is refused; the report must agree."""
    report = describe_file(path)
    assert not report.is_safe
    with pytest.raises(RefusedFileError) as caught:
        load_model(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("module", "attribute", "argument"), [i[1:] for i in IMPORTS], ids=[i[0] for i in IMPORTS]
)
def test_a_known_means_of_running_code_is_named(
    module: str, attribute: str, argument: Callable[[Path], bytes], write: Write, canary: Path
) -> None:
    path = write(p.checkpoint(p.program(p.called(module, attribute, argument(canary)))))
    message = refused(path)
    assert attribute in message and "\n" not in message
    assert describe_file(path).severity is Severity.MALICIOUS


def test_the_canary_would_fire_elsewhere(write: Write, tmp_path: Path) -> None:
    """The control: the same instructions, given to an ordinary unpickler, do leave the trace."""
    trace = tmp_path / "trace"
    path = write(p.program(p.called("os", "system", p.shell(trace))), "payload")
    subprocess.run(
        [sys.executable, "-c", f"import pickle; pickle.load(open({str(path)!r}, 'rb'))"], check=True
    )
    assert trace.exists()


TECHNIQUES: dict[str, Callable[[Path], bytes]] = {
    "STACK_GLOBAL with builtins.exec": lambda c: (
        b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93" + p.args(p.code(c)) + b"R."
    ),
    "memo confusion of PUT and MEMOIZE (picklescan issue 14)": lambda c: (
        b"\x80\x04" + p.text("os") + b"q\x00" + p.text("system") + b"q\x01"
        b"\x8c\x0ctorch._utils\x94\x8c\x12_rebuild_tensor_v2\x94h\x00h\x01\x93" + p.args(p.shell(c)) + b"R."
    ),
    "a computed name for STACK_GLOBAL": lambda c: (
        b"\x80\x04"
        + p.called("builtins", "str", p.text("os"))
        + p.text("system")
        + b"\x93"
        + p.args(p.shell(c))
        + b"R."
    ),
    "a copyreg extension code": lambda c: p.program(b"\x82\x01", p.args(p.shell(c)), b"R"),
    "INST": lambda c: p.program(b"(" + p.shell(c) + b"ios\nsystem\n"),
    "OBJ": lambda c: p.program(b"(" + p.name("os", "system") + p.shell(c) + b"o"),
    "NEWOBJ of subprocess.Popen": lambda c: p.program(
        p.name("subprocess", "Popen"), p.args(p.shell(c)), b"\x81"
    ),
    "NEWOBJ_EX": lambda c: b"\x80\x04" + p.name("subprocess", "Popen") + p.args(p.shell(c)) + b"}\x92.",
    "protocol 0 in text": lambda c: f"cos\nsystem\n(S'touch {c}'\ntR.".encode(),
    "a call of what a call returned": lambda c: p.program(
        p.called("builtins", "getattr", p.text("os"), p.text("system")), p.args(p.shell(c)), b"R"
    ),
    "the payload before a broken instruction": lambda c: (
        p.PROTO2 + p.called("os", "system", p.shell(c)) + b"\xff\xff"
    ),
    "the payload before an empty stack": lambda c: p.PROTO2 + p.called("os", "system", p.shell(c)) + b"000R.",
    "a second pickle after the first": lambda c: (
        p.program(b"}") + p.program(p.called("os", "system", p.shell(c)))
    ),
    "bytes after the end": lambda c: p.program(b"}") + b"\0" * 8,
    "BUILD of a class with a state": lambda c: p.program(
        p.name("torch.nn.modules.linear", "Linear")
        + b")\x81"
        + p.dictionary({"__setstate__": p.name("os", "system")})
        + b"b"
    ),
    "an allowed name with another behind it": lambda c: p.program(
        p.called("torch.nn.modules.linear", "Linear.__init__.__globals__", p.code(c))
    ),
    "a name that only begins like an allowed one": lambda c: p.program(
        p.called("torch.nn.modules.linear", "Linear\u200b", p.code(c))
    ),
    "a constructor called with gigantic sizes": lambda c: p.program(
        p.called("torch.nn.modules.linear", "Linear", p.number(2**30), p.number(2**30))
    ),
    "a dictionary whose attributes hide its methods": lambda c: p.program(
        p.empty_dictionary() + p.dictionary({"items": p.name("torch", "device")}) + b"b"
    ),
    "codecs other than the plain one": lambda c: p.program(
        p.called("_codecs", "encode", p.code(c), p.text("rot13"))
    ),
    "a persistent id that is no storage": lambda c: p.program(
        p.args(p.text("file"), p.text("/etc/passwd")) + b"Q"
    ),
    "a persistent id in text": lambda c: p.program(b"P/etc/passwd\n"),
    "a tensor with hooks": lambda c: p.program(p.tensor(hooks=p.called("os", "system", p.shell(c)))),
    "a tensor subclass": lambda c: p.program(
        p.called(
            "torch._tensor",
            "_rebuild_from_type_v2",
            p.name("torch._utils", "_rebuild_tensor_v2"),
            b")",
            b"}",
            b"}",
        )
    ),
    "a wrapper tensor": lambda c: p.program(p.called("torch._utils", "_rebuild_wrapper_subclass", p.code(c))),
    "a device": lambda c: p.program(p.called("torch", "device", p.tensor())),
    "a set of unhashable things": lambda c: p.program(p.called("__builtin__", "set", b"](}e")),
    "keys that are tuples": lambda c: p.program(b"}" + p.args(p.number(1)) + p.number(1) + b"s"),
    "a list that contains itself": lambda c: p.program(b"]q\x00h\x00a"),
    "a tuple twenty thousand deep": lambda c: p.program(b")" + b"\x85" * 20_000),
}


@pytest.mark.parametrize("build", TECHNIQUES.values(), ids=list(TECHNIQUES))
def test_a_technique_is_refused(build: Callable[[Path], bytes], write: Write, canary: Path) -> None:
    path = write(p.checkpoint(build(canary), {"0": b"\0" * 16}))
    report = describe_file(path)
    assert not report.is_safe
    refused(path)


DAMAGE = {"a second pickle after the first", "bytes after the end"}
"""Techniques that in a legacy file shift what follows, so that it is damaged rather than refused."""


@pytest.mark.parametrize("name", list(TECHNIQUES))
def test_a_technique_is_refused_in_a_legacy_file(name: str, write: Write, canary: Path) -> None:
    path = write(p.legacy(TECHNIQUES[name](canary), {"0": b"\0" * 16}))
    assert not describe_file(path).opens
    with pytest.raises(ModelFileError if name in DAMAGE else RefusedFileError):
        load_model(path)


@pytest.mark.parametrize(
    "ending", ["model.pt", "model.bin", "model.safetensors", "model.onnx", "model.weights", "model"]
)
def test_a_bare_pickle_is_refused_whatever_its_ending(ending: str, write: Write, canary: Path) -> None:
    """CVE-2025-1889 and CVE-2025-10155: scanners went by the ending of the name."""
    path = write(p.program(p.called("os", "system", p.shell(canary))), ending)
    refused(path)
    assert [use.name for use in describe_file(path).globals] == ["os.system"]


def test_every_call_of_a_broken_pickle_is_still_reported(write: Write, canary: Path) -> None:
    pickle = (
        p.PROTO2 + p.called("os", "system", p.shell(canary)) + b"000R" + p.name("subprocess", "Popen") + b"."
    )
    report = describe_file(write(p.checkpoint(pickle)))
    assert [use.name for use in report.globals] == ["os.system", "subprocess.Popen"]


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (p.tensor(count=5), "5 numbers in its storage 0"),
        (p.tensor(count=-1), "-1 numbers"),
        (p.tensor(size=(5,)), "reaches beyond its storage"),
        (p.tensor(offset=1), "reaches beyond its storage"),
        (p.tensor(offset=-1), "impossible shape"),
        (p.tensor(size=(2, 2), stride=(3, 1)), "reaches beyond its storage"),
        (p.tensor(size=(10**9,), stride=(0,)), "reaches beyond its storage"),
        (p.tensor(size=(-4,)), "impossible shape"),
        (p.tensor(size=(2, 2)), "impossible shape"),
        (p.tensor(size=(1,) * 9, stride=(1,) * 9), "impossible shape"),
    ],
)
def test_a_tensor_that_lies_about_its_storage_is_refused(tensor: bytes, reason: str, write: Write) -> None:
    """torch does not compare the declared count with the member's size: it would read beyond the memory."""
    path = write(p.checkpoint(p.program(p.dictionary({"w": tensor})), {"0": b"\0" * 16}))
    assert reason in refused(path)


def test_a_missing_storage_is_told(write: Write) -> None:
    path = write(p.checkpoint(p.program(p.dictionary({"w": p.tensor()}))))
    with pytest.raises(ModelFileError, match="incomplete: the tensor storage 0 is missing"):
        load_model(path)


def test_untrusted_names_are_shown_on_one_line(write: Write) -> None:
    pickle = b"\x80\x04" + p.text("evil\x1b[2J\nverdict: clean") + p.text("x" * 500) + b"\x93."
    message = refused(write(p.checkpoint(pickle)))
    assert "\x1b" not in message and "\n" not in message and len(message) < 400
