"""Limits on the size of a file and on the sizes that it declares. A file beyond them is refused."""

from __future__ import annotations

from dataclasses import dataclass

from ti_core.errors import RefusedFileError


@dataclass(frozen=True)
class Limits:
    """The limits: far above any image classifier, far below what would exhaust the machine.

    Parameters
    ----------
    file_bytes : size of the file, and the sum of the sizes that an archive declares.
    weight_bytes : total size of the weight files of an ONNX graph, and total size of the weights it declares.
    members : members of an archive.
    ratio : declared size over stored size of a compressed member; ``torch.save`` never compresses.
    pickle_bytes, opcodes : bytes and instructions of a pickle.
    header_bytes : length of a safetensors header.
    tensors, elements : number of tensors, and of their elements together.
    depth : how deeply the values of a pickle are nested.
    modules : layers of a whole module. A layer that is used twice counts twice.
    name, index : characters of a tensor's name, and the largest number in such a name.
    text, texts : characters and number of the free texts kept from a file.
    """

    file_bytes: int = 2 << 30
    weight_bytes: int = 4 << 30
    members: int = 20_000
    ratio: int = 200
    pickle_bytes: int = 32 << 20
    opcodes: int = 1_000_000
    header_bytes: int = 16 << 20
    tensors: int = 20_000
    elements: int = 1 << 29
    depth: int = 120
    modules: int = 20_000
    name: int = 300
    index: int = 9_999
    text: int = 500
    texts: int = 64


LIMITS = Limits()


def check_weight_bytes(total: int) -> None:
    """RefusedFileError if the files with an ONNX graph's weights have too many bytes together."""
    if total > LIMITS.weight_bytes:
        raise RefusedFileError(
            f"The files with the graph's weights have {total:,} bytes together; the limit is {LIMITS.weight_bytes:,}."
        )
