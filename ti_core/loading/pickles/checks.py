"""The checks that a pickle must pass before anything is built from it.

Each check is a small function over the outline of the pickle; the tuple at the end lists them. Together they ensure
that what is built is what ``torch.save`` wrote: tensors inside existing storages, plain containers, and inert records
in place of layers. What stands beside the weights is not built. It may name classes of the training program, but none
that is known as a means of running code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ti_core.loading.findings import Finding, Severity
from ti_core.loading.limits import LIMITS
from ti_core.loading.pickles.allowed import ALLOWED, Kind, may_stand_beside, runs_code
from ti_core.loading.pickles.contents import Contents, tensor_items
from ti_core.loading.pickles.machine import Outline
from ti_core.loading.pickles.nodes import Call, Pairs, Ref, Stored, depth_of, items_of
from ti_core.loading.pickles.own.classes import is_module, read_parts
from ti_core.loading.pickles.tensors import is_tensor, tensor_of
from ti_core.loading.pickles.values.storages import UnfitError, stored_of
from ti_core.text import few, shown, ways_out


@dataclass(frozen=True)
class Subject:
    """What is checked.

    Parameters
    ----------
    outline, contents : of the pickle.
    storages : by key, the size of each storage in bytes.
    has_checksums : whether an accident to the pickle would have been noticed before.
    """

    outline: Outline
    contents: Contents
    storages: Mapping[str, int]
    has_checksums: bool = True


def ignored_names(subject: Subject) -> list[str]:
    """Names that are not allowed, but stand beside the weights only, where nothing is built."""
    beside = subject.contents.ignored_names
    return [path for path in beside if path not in ALLOWED and may_stand_beside(path)]


def imports(subject: Subject) -> Iterator[Finding]:
    """Every imported name is on the allow-list, is harmless beside the weights, or is the class of a module."""
    outline = subject.outline
    ignored = {*ignored_names(subject), *subject.contents.own_classes}
    modules = {
        node.function.path for node in outline.nodes if is_module(node) and isinstance(node.function, Ref)
    }
    for path in outline.refs:
        if path in ALLOWED or path in ignored:
            continue
        if runs_code(path):
            yield Finding(
                Severity.MALICIOUS,
                f"Opening this file in the usual way would run {shown(path)}, which has no place in a model; "
                "it is not opened.",
            )
        elif path in modules:
            yield Finding(
                Severity.REFUSED,
                f"The file holds a whole module of the class {shown(path)}, whose code is not in the file "
                f"and would have to be imported from elsewhere. {ways_out()}",
            )
        else:
            yield Finding(
                Severity.REFUSED,
                f"Opening this file would import {shown(path)}, which is not on the list of names that a "
                "model needs; save the state dict alone and send that.",
            )
    if outline.unresolved:
        yield Finding(
            Severity.MALICIOUS,
            "The file computes the name of something it imports, so that it cannot be read beforehand; "
            "no model needs that.",
        )


def instructions(subject: Subject) -> Iterator[Finding]:
    """The program runs to its end, uses only instructions that torch.save writes, and nothing follows it."""
    outline = subject.outline
    if outline.unusual:
        yield Finding(
            Severity.REFUSED,
            f"The file's pickle uses what torch.save never writes ({few(outline.unusual)}); "
            "save it again with torch.save and its default protocol.",
        )
    elif outline.protocol not in (2, 3, 4, 5) and not outline.broken:
        yield Finding(
            Severity.REFUSED,
            f"The file's pickle has protocol {outline.protocol or 'none'}; save it again with torch.save "
            f"and its default.",
        )
    if outline.trailing:
        yield Finding(
            Severity.REFUSED,
            f"The file's pickle is followed by {outline.trailing} bytes of something else, which torch.save "
            f"never writes.",
        )
    if outline.broken:
        # Another reader may run the pickle further. Where checksums are right, this is no accident.
        again = "" if subject.has_checksums else " It may be incomplete: copy or download it again."
        yield Finding(
            Severity.REFUSED, f"The file's pickle cannot be followed to its end: {outline.broken}.{again}"
        )


def shape(subject: Subject) -> Iterator[Finding]:
    """In the weights no value contains itself or is nested too deeply, and dictionary keys are text or numbers."""
    contents = subject.contents
    built = [v for _, v in tensor_items(contents.weights)] if contents.is_state else contents.weights
    depth = depth_of(built, read_parts)
    if depth is None:
        yield Finding(
            Severity.REFUSED, "The file's pickle holds a value that contains itself, as no model does."
        )
    elif depth > LIMITS.depth:
        yield Finding(
            Severity.REFUSED, f"The file's pickle nests {depth} values; the limit is {LIMITS.depth}."
        )
    for node in (*contents.needed, *contents.around):
        if any(not isinstance(key, (str, int, float)) for key, _ in items_of(node)):
            yield Finding(
                Severity.REFUSED, "The file's pickle holds a dictionary whose keys are not text or numbers."
            )
            return


def choice(subject: Subject) -> Iterator[Finding]:
    """There is one set of weights."""
    if several := subject.contents.several:
        yield Finding(
            Severity.UNREADABLE,
            f"The file holds the weights of {len(several)} networks ({few(several)}); save the one to inspect alone.",
        )


def calls(subject: Subject) -> Iterator[Finding]:
    """Nothing is called that is not named. In the weights every call has a form that torch.save writes."""
    if any(isinstance(node, Call) and not isinstance(node.function, Ref) for node in subject.outline.nodes):
        yield Finding(Severity.MALICIOUS, "The file calls something that it does not name, as no model does.")
    for node in (*subject.contents.needed, *subject.contents.around):
        if not isinstance(node, Call) or not isinstance(node.function, Ref):
            continue
        own = node.function.path in subject.contents.own_classes
        if (own or node.function.path in ALLOWED) and not _fits(node, node.function.path):
            yield Finding(
                Severity.REFUSED,
                f"The file uses {shown(node.function.path)} in a way that torch.save never writes.",
            )


def _fits(call: Call, path: str) -> bool:
    kind = ALLOWED.get(path, Kind.NETWORK)
    if kind in (Kind.LAYER, Kind.NETWORK):
        return (
            call.new
            and call.args == ()
            and not call.items
            and len(call.states) <= 1
            and all(map(_is_state, call.states))
        )
    if kind is Kind.INERT:
        return path != "_codecs.encode" or _is_text_as_bytes(call)
    if kind is not Kind.CONTAINER:
        # The check ``tensors`` looks at the arguments and states of tensors. Types and functions are never called.
        return kind is Kind.TENSOR and not (call.new or call.items)
    args = call.args
    if call.new or not isinstance(args, tuple):
        return False
    if path == "collections.OrderedDict":
        # Attributes of a dictionary could hide its methods. torch sets only ``_metadata``, its version notes.
        return _are_pairs(args) and all(
            isinstance(s, Pairs) and all(key == "_metadata" for key, _ in s.items) for s in call.states
        )
    if call.items or call.states:
        return False
    if path == "builtins.set":
        return (
            len(args) == 1 and isinstance(args[0], list) and all(isinstance(a, (str, int)) for a in args[0])
        )
    if path == "torch.Size":
        return len(args) == 1 and isinstance(args[0], tuple) and all(type(n) is int for n in args[0])
    return 1 <= len(args) <= 2 and isinstance(args[0], str) and all(type(n) is int for n in args[1:])


def _are_pairs(args: tuple[Any, ...]) -> bool:
    """No arguments, or as Python 2 wrote them, one list of pairs."""
    match args:
        case ():
            return True
        case ([*pairs],):
            return all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs)
    return False


def _is_state(state: Any) -> bool:
    return isinstance(state, Pairs) and all(isinstance(key, str) for key, _ in state.items)


def _is_text_as_bytes(call: Call) -> bool:
    args = call.args
    return (
        not (call.new or call.states)
        and isinstance(args, tuple)
        and len(args) == 2
        and isinstance(args[0], str)
        and args[1] == "latin1"
    )


def storage_ids(subject: Subject) -> Iterator[Finding]:
    """Every persistent id is one of a storage. Those of the weights are in the file and as large as declared.

    The numbers are read from the file by what the outline declares, so with a false count a tensor would be made of
    bytes that are not its own.
    """
    needed = {id(node) for node in subject.contents.needed if isinstance(node, Stored)}
    kinds: dict[str, tuple[str, int]] = {}
    for node in subject.outline.nodes:
        if not isinstance(node, Stored):
            continue
        match node.pid:
            case ("storage", Ref(), str(key), str(), int(), *_):
                if id(node) in needed:
                    yield from _storage(node, key, subject.storages, kinds)
            case _:
                yield Finding(
                    Severity.REFUSED, "The file refers to something outside itself that is no tensor storage."
                )


def _storage(
    node: Stored, key: str, storages: Mapping[str, int], kinds: dict[str, tuple[str, int]]
) -> Iterator[Finding]:
    try:
        stored = stored_of(node)
    except UnfitError as error:
        yield Finding(Severity.REFUSED, f"The file holds a tensor that {error}; its storage is {shown(key)}.")
        return
    if key not in storages:
        yield Finding(
            Severity.UNREADABLE, f"The archive is incomplete: the tensor storage {shown(key)} is missing."
        )
    elif stored.total * stored.width > storages[key]:
        yield Finding(
            Severity.REFUSED,
            f"The file declares {stored.total} numbers in its storage {shown(key)}, which holds {storages[key]} "
            "bytes.",
        )
    elif kinds.setdefault(key, (stored.dtype, stored.total)) != (stored.dtype, stored.total):
        yield Finding(Severity.REFUSED, f"The file declares its storage {shown(key)} in two different ways.")


def tensors(subject: Subject) -> Iterator[Finding]:
    """Every tensor of the weights lies inside its storage, and together they stay within the limits."""
    count = elements = 0
    for node in subject.contents.needed:
        if is_tensor(node):
            try:
                info = tensor_of(node)
            except UnfitError as error:
                yield Finding(Severity.REFUSED, f"The file holds a tensor that {error}.")
                return
            count += 1
            elements += info.elements
    if count > LIMITS.tensors or elements > LIMITS.elements:
        yield Finding(
            Severity.REFUSED,
            f"The file declares {count} tensors with {elements} elements; the limits are {LIMITS.tensors} "
            f"and {LIMITS.elements}.",
        )


CHECKS: tuple[Callable[[Subject], Iterator[Finding]], ...] = (
    imports,
    instructions,
    shape,
    choice,
    calls,
    storage_ids,
    tensors,
)


def check(subject: Subject) -> list[Finding]:
    """All findings about a pickle. Without any, it may be read."""
    return [finding for each in CHECKS for finding in each(subject)]
