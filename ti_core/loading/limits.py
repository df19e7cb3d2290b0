"""How large a file may be, and what it declares of itself, before it is refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Far above any image classifier, far below what would exhaust the machine.

    Parameters
    ----------
    file_bytes : size of the file, and the sum of the sizes that an archive declares.
    members : members of an archive.
    ratio : declared size over stored size of a compressed member; ``torch.save`` never compresses.
    pickle_bytes, opcodes : length of a pickle, and the steps in it.
    header_bytes : length of a safetensors header.
    tensors, elements : number of tensors, and of their elements together.
    depth : containers inside containers in a pickle.
    modules : layers of a whole module, counted along every path.
    name : characters of a tensor's name; ``index`` is the largest number inside one.
    text, texts : characters and number of the free texts kept from a file.
    """

    file_bytes: int = 2 << 30
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
