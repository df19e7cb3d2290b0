"""The allow-list: every name that the pickle of a classifier may import, and what each is for.

Every other name is refused, whether or not it is known to be dangerous. The known means of attack are listed
only to word the refusal.
"""

from __future__ import annotations

import enum

from ti_core.loading.pickles.layer_table import INNER_LAYERS, LAYERS, WRAPPERS
from ti_core.loading.pickles.networks import NETWORK_CLASSES, NETWORK_PARTS


class Kind(enum.Enum):
    """What an allowed name is for; the value finishes the sentence "it is ..."."""

    TENSOR = "how torch stores a tensor"
    STORAGE = "the type of a tensor's numbers"
    CONTAINER = "a plain container"
    LAYER = "a standard layer of torch.nn"
    FUNCTION = "a standard activation function"
    NETWORK = "part of a known network, whose code is our own and not the file's"
    INERT = "a note of the training script, which is ignored"


_DTYPES = ("float16", "float32", "float64", "bfloat16", "uint8", "int8", "int16", "int32", "int64", "bool")

STORAGES: dict[str, tuple[str, int]] = {
    "torch.FloatStorage": ("float32", 4),
    "torch.HalfStorage": ("float16", 2),
    "torch.BFloat16Storage": ("bfloat16", 2),
    "torch.DoubleStorage": ("float64", 8),
    "torch.LongStorage": ("int64", 8),
    "torch.IntStorage": ("int32", 4),
    "torch.ShortStorage": ("int16", 2),
    "torch.CharStorage": ("int8", 1),
    "torch.ByteStorage": ("uint8", 1),
    "torch.BoolStorage": ("bool", 1),
}
"""The storage classes, with the type of their elements and the bytes of one element."""

FUNCTIONS = frozenset({"torch.nn.functional.relu", "torch.nn.functional.gelu", "torch._C._nn.gelu"})

ALLOWED: dict[str, Kind] = {
    "torch._utils._rebuild_tensor_v2": Kind.TENSOR,
    "torch._utils._rebuild_parameter": Kind.TENSOR,
    "torch.Size": Kind.CONTAINER,
    "torch.device": Kind.CONTAINER,
    "collections.OrderedDict": Kind.CONTAINER,
    "builtins.set": Kind.CONTAINER,
    **dict.fromkeys((f"torch.{name}" for name in _DTYPES), Kind.STORAGE),
    **dict.fromkeys(STORAGES, Kind.STORAGE),
    **dict.fromkeys((*LAYERS, *INNER_LAYERS, *WRAPPERS), Kind.LAYER),
    **dict.fromkeys(FUNCTIONS, Kind.FUNCTION),
    **dict.fromkeys((*NETWORK_CLASSES, *NETWORK_PARTS), Kind.NETWORK),
    **dict.fromkeys(
        (
            "_codecs.encode",
            "argparse.Namespace",
            "numpy.dtype",
            "numpy.ndarray",
            "numpy.core.multiarray.scalar",
            "numpy.core.multiarray._reconstruct",
            "numpy._core.multiarray.scalar",
            "numpy._core.multiarray._reconstruct",
        ),
        Kind.INERT,
    ),
}

READ_BY_TORCH = frozenset({Kind.TENSOR, Kind.STORAGE, Kind.CONTAINER})
"""The kinds that torch's restricted reader builds itself. All others become inert records."""

_MODULES = """
os posix nt subprocess sys shutil socket ctypes _ctypes importlib pkgutil runpy code codeop pty
pickle _pickle cloudpickle dill joblib marshal types pip ensurepip timeit cProfile profile trace pdb bdb
doctest idlelib lib2to3 webbrowser requests urllib http ftplib smtplib imaplib poplib asyncio
multiprocessing concurrent threading _thread operator functools _operator pydoc venv distutils
setuptools uuid _pyrepl _osx_support _aix_support site sqlite3 io _io commands platform
signal gc inspect logging ssl shelve copyreg zipimport unittest tkinter
"""
_RUNS_CODE = frozenset(_MODULES.split())
_RUNS_CODE_INSIDE = (
    "numpy.f2py",
    "numpy.testing",
    "torch.jit",
    "torch.hub",
    "torch.load",
    "torch.serialization.load",
    "torch.serialization._legacy_load",
    "torch.storage._load_from_bytes",
    "torch.utils",
    "torch.fx",
    "torch.package",
    "torch.distributed",
    "torch.multiprocessing",
    "torch._dynamo",
    "torch._inductor",
    "torch.cuda",
    "pandas.io",
    "sklearn.utils",
)


_PLAIN_BUILTINS = {
    "set",
    "complex",
    "slice",
    "range",
    "frozenset",
    "object",
    "dict",
    "list",
    "tuple",
    "int",
    "str",
    "bytes",
}


def runs_code(path: str) -> bool:
    """Whether ``path`` lies in a module known as a means of running code from a pickle."""
    if path.startswith("builtins."):
        return path.removeprefix("builtins.") not in _PLAIN_BUILTINS
    return path.partition(".")[0] in _RUNS_CODE or any(
        path == prefix or path.startswith(f"{prefix}.") for prefix in _RUNS_CODE_INSIDE
    )
