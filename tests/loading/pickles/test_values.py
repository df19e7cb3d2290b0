"""Arrays, numbers and storages in a pickle's outline: what numpy and torch would read, or nothing."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import pytest

from ti_core.loading.pickles.nodes import Call, Ref, Stored
from ti_core.loading.pickles.values.arrays import array_of, bytes_of, is_array, scalar_of
from ti_core.loading.pickles.values.storages import StorageRef, UnfitError, stored_of, typed


class Outline(pickle.Unpickler):
    """Numpy's own pickles as the nodes that the reader makes of them."""

    def find_class(self, module: str, name: str) -> Any:
        path = f"{module}.{name}"

        class Made(Call):
            def __init__(self, *args: Any) -> None:
                super().__init__(Ref(path), args)

            def __setstate__(self, state: Any) -> None:
                self.states.append(state)

        return Made


def outline(value: Any, protocol: int = 4) -> Any:
    return Outline(io.BytesIO(pickle.dumps(value, protocol))).load()


def encoded(text: str) -> Call:
    """Bytes as protocol 2 writes them."""
    return Call(Ref("_codecs.encode"), (text, "latin1"))


@pytest.mark.parametrize("kind", ["<i1", "<i2", ">i4", "<i8", "<u1", ">u8", "?", "<f2", ">f4", "<f8"])
def test_arrays_and_numbers_are_numpys(kind: str) -> None:
    wanted = np.array([[0, 1, 2], [3, 4, 5]]).astype(kind)
    array = array_of(outline(wanted))
    assert array is not None and is_array(outline(wanted))
    assert (array.shape, array.dtype, array.fortran) == ((2, 3), wanted.dtype.name, False)
    assert array.big_endian == (kind[0] == ">") and array.values(4) == wanted.flatten()[:4].tolist()
    assert scalar_of(outline(wanted[1, 2])) == wanted[1, 2]
    assert array_of(outline(np.asfortranarray(wanted))).fortran  # type: ignore[union-attr]


def test_what_is_no_array_of_numbers_is_none() -> None:
    words, numbers = outline(np.array(["a", "b"])), outline(np.arange(6.0))
    assert is_array(words) and array_of(words) is None and not is_array(words.args)
    (version, _, dtype, fortran, raw) = numbers.states[0]
    for state in (
        (version, (-1,), dtype, fortran, raw),
        (version, (6.0,), dtype, fortran, raw),
        (version, (7,), dtype, fortran, raw),
        (version, (1,) * 8 + (6,), dtype, fortran, raw),
        (version, (6,), "f8", fortran, raw),
        (version, (6,), dtype, fortran, [1.0]),
        (version, (6,), dtype, "F", raw),
        (version, (6,), Call(dtype.function, dtype.args, states=[(3, "!")]), fortran, raw),
    ):
        assert array_of(Call(numbers.function, numbers.args, states=[state])) is None
    assert array_of(3) is None and scalar_of(3) is None
    assert scalar_of(Call(Ref("numpy.core.multiarray.scalar"), (dtype, b"short"))) is None


def test_bytes_are_read_as_every_protocol_and_python_2_wrote_them() -> None:
    assert bytes_of(b"a\xff") == bytes_of("a\xff") == bytes_of(encoded("a\xff")) == b"a\xff"
    assert bytes_of(Call(Ref("builtins.bytes"), ())) == b""
    assert bytes_of("\u20ac") is bytes_of(encoded("\u20ac")) is bytes_of(Call(Ref("os.system"), ())) is None


def pid(*view: Any, kind: str = "torch.FloatStorage", total: Any = 10, key: Any = "0") -> Stored:
    return Stored(("storage", Ref(kind), key, "cpu", total, *view))


def test_storages_and_their_views() -> None:
    whole = StorageRef("0", "float32", 4, 10, 0, 10)
    assert stored_of(pid()) == stored_of(pid(None)) == whole
    assert stored_of(pid(("1", 2, 3))) == StorageRef("0", "float32", 4, 10, 2, 3)
    raw = stored_of(pid(kind="torch.UntypedStorage", total=12))
    assert typed(raw, "torch.float32") == StorageRef("0", "float32", 4, 3, 0, 3)


@pytest.mark.parametrize(
    ("node", "says"),
    [
        (pid(kind="os.system"), "unknown type"),
        (pid("view"), "never writes"),
        (pid(("1", 2)), "never writes"),
        (pid(total=-1), "a storage of -1 numbers"),
        (pid(("1", 8, 3)), "beyond its storage"),
        (pid(("1", -1, 3)), "beyond its storage"),
        (pid(("1", 1, -3)), "beyond its storage"),
        (pid(total="10"), "no storage in the file"),
        (pid(key=0), "no storage in the file"),
        (Stored(("module", 3)), "no storage in the file"),
        (None, "no storage in the file"),
    ],
)
def test_storages_that_torch_never_writes(node: Any, says: str) -> None:
    with pytest.raises(UnfitError, match=says):
        stored_of(node)


def test_only_bytes_take_another_type() -> None:
    for storage, kind in ((pid(), "torch.float32"), (pid(kind="torch.UntypedStorage"), "torch.strange")):
        with pytest.raises(UnfitError, match="unknown type"):
            typed(stored_of(storage), kind)
