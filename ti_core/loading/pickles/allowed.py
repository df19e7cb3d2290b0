"""The allow-list: every name that the pickle of a classifier may import, and what each is for.

Every other name is refused, whether or not it is known to be dangerous. The known means of attack are listed
only to word the refusal.
"""

from __future__ import annotations

import enum
import sys

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


DTYPES: dict[str, int] = {
    **{"float16": 2, "float32": 4, "float64": 8, "bfloat16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1},
    **{"float8_e4m3fnuz": 1, "float8_e5m2fnuz": 1, "complex64": 8, "complex128": 16},
    **{
        "uint8": 1,
        "uint16": 2,
        "uint32": 4,
        "uint64": 8,
        "int8": 1,
        "int16": 2,
        "int32": 4,
        "int64": 8,
        "bool": 1,
    },
    **{"qint8": 1, "quint8": 1, "qint32": 4},
}
"""The types of numbers, with the bytes of one."""

_STORED = {
    **{"Float": "float32", "Half": "float16", "BFloat16": "bfloat16", "Double": "float64", "Long": "int64"},
    **{"Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool"},
    **{"ComplexFloat": "complex64", "ComplexDouble": "complex128"},
    **{"QInt8": "qint8", "QUInt8": "quint8", "QInt32": "qint32"},
}
STORAGES: dict[str, tuple[str, int]] = {
    f"torch.{name}Storage": (dtype, DTYPES[dtype]) for name, dtype in _STORED.items()
}
"""The storage classes, with the type of their elements and the bytes of one element."""

UNTYPED = frozenset({"torch.storage.UntypedStorage", "torch.UntypedStorage"})
"""Storages that count bytes; the tensor itself says what they hold."""

FUNCTIONS = frozenset({"torch.nn.functional.relu", "torch.nn.functional.gelu", "torch._C._nn.gelu"})

_TENSORS = """
_utils._rebuild_tensor _utils._rebuild_tensor_v2 _utils._rebuild_tensor_v3 _utils._rebuild_parameter
_utils._rebuild_parameter_with_state _utils._rebuild_qtensor _tensor._rebuild_from_type_v2 nn.parameter.Parameter
autograd.variable.Variable _utils._rebuild_sparse_tensor _utils._rebuild_sparse_csr_tensor
_utils._rebuild_nested_tensor _utils._rebuild_meta_tensor_no_storage _utils._rebuild_wrapper_subclass
_utils._rebuild_device_tensor_from_numpy _utils._rebuild_device_tensor_from_cpu_tensor
"""
_SCHEMES = (
    "per_tensor_affine",
    "per_channel_affine",
    "per_channel_affine_float_qparams",
    "strided",
    "Tensor",
)
_NOTES = """
_codecs.encode argparse.Namespace types.SimpleNamespace
collections.Counter collections.defaultdict collections.deque
numpy.dtype numpy.ndarray numpy.core.multiarray.scalar numpy.core.multiarray._reconstruct
numpy._core.multiarray.scalar numpy._core.multiarray._reconstruct
datetime.datetime datetime.date datetime.time datetime.timedelta datetime.timezone
pathlib.Path pathlib.PosixPath pathlib.WindowsPath pathlib.PurePosixPath pathlib.PureWindowsPath
pathlib._local.Path pathlib._local.PosixPath pathlib._local.WindowsPath pathlib._local.PurePosixPath
pathlib._local.PureWindowsPath
decimal.Decimal fractions.Fraction uuid.UUID
torch.serialization._get_layout torch.Generator torch.memory_format torch.contiguous_format torch.channels_last
torch.nn.backends.thnn._get_thnn_function_backend torch.distributed.algorithms.join._JoinConfig
torch.nn.parallel.distributed._BucketCapacityConfig torch.nn.parallel.distributed._MixedPrecision
torch.utils.data.dataset.Subset torch.utils.data.dataset.TensorDataset torch.utils.data.dataset.ConcatDataset
"""
_PLAIN_BUILTINS = frozenset(
    {
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
        "float",
        "str",
        "bool",
    }
    | {"bytes", "bytearray"}
)

ALLOWED: dict[str, Kind] = {
    **{f"torch.{name}": Kind.TENSOR for name in _TENSORS.split()},
    "torch.Size": Kind.CONTAINER,
    "torch.device": Kind.CONTAINER,
    "collections.OrderedDict": Kind.CONTAINER,
    **{f"builtins.{name}": Kind.INERT for name in _PLAIN_BUILTINS},
    "builtins.set": Kind.CONTAINER,
    **{f"torch.{name}": Kind.STORAGE for name in (*DTYPES, *_SCHEMES)},
    **dict.fromkeys((*STORAGES, *UNTYPED), Kind.STORAGE),
    **dict.fromkeys((*LAYERS, *INNER_LAYERS, *WRAPPERS), Kind.LAYER),
    **dict.fromkeys(FUNCTIONS, Kind.FUNCTION),
    **dict.fromkeys((*NETWORK_CLASSES, *NETWORK_PARTS), Kind.NETWORK),
    **dict.fromkeys(_NOTES.split(), Kind.INERT),
}

_MODULES = """
os posix nt subprocess sys shutil socket ctypes _ctypes importlib pkgutil runpy code codeop pty
pickle _pickle cloudpickle dill joblib marshal types pip ensurepip timeit cProfile profile trace pdb bdb
doctest idlelib lib2to3 webbrowser requests urllib http ftplib smtplib imaplib poplib asyncio
multiprocessing concurrent threading _thread operator functools _operator pydoc venv distutils
setuptools uuid _pyrepl _osx_support _aix_support site sqlite3 io _io commands platform
signal gc inspect logging ssl shelve copyreg zipimport unittest tkinter imp pipes _posixsubprocess atexit
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


_PLAIN_CLASSES = frozenset(
    {"types.SimpleNamespace", "uuid.UUID", "torch.distributed.algorithms.join._JoinConfig"}
    | {f"torch.utils.data.dataset.{name}" for name in ("Subset", "TensorDataset", "ConcatDataset")}
)
"""Classes in such modules that only hold what they are given."""


def runs_code(path: str) -> bool:
    """Whether ``path`` lies in a module known as a means of running code from a pickle."""
    if path in _PLAIN_CLASSES:
        return False
    if path.startswith("builtins."):
        return path.removeprefix("builtins.") not in _PLAIN_BUILTINS
    return path.partition(".")[0] in _RUNS_CODE or any(
        path == prefix or path.startswith(f"{prefix}.") for prefix in _RUNS_CODE_INSIDE
    )


_KNOWN_PACKAGES = {"numpy", "torch", *sys.stdlib_module_names}
_NOTES_OF_TRAINING = ("torch.optim.", "torch.nn.", "torch.amp.", "numpy.random.")


def may_stand_beside(path: str) -> bool:
    """Whether a name that is not allowed may stand in a file beside the weights, where it is never looked up.

    Classes of training programs may: nobody can list them all. Names of the standard library, of torch and of numpy may
    not, except for what a training leaves: those that notes need are known and allowed.
    """
    package = path.partition(".")[0]
    internal = package.startswith("_") and package != "__main__"
    known = package in _KNOWN_PACKAGES and not path.startswith(_NOTES_OF_TRAINING)
    return not internal and not known and not runs_code(path)
