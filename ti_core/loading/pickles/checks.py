"""The checks that a pickle must pass before torch may read it.

Each check is a small function over the outline of the pickle; the tuple at the end lists them. Together they
ensure that torch's restricted reader does only what ``torch.save`` asks of it: it rebuilds tensors inside
existing storages, fills plain containers, and creates inert records in place of layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ti_core.loading.findings import Finding, Severity
from ti_core.loading.limits import LIMITS
from ti_core.loading.pickles.allowed import ALLOWED, STORAGES, Kind, runs_code
from ti_core.loading.pickles.machine import Outline
from ti_core.loading.pickles.nodes import Call, Pairs, Ref, Stored, depth_of
from ti_core.loading.pickles.tensors import UnfitError, tensor_of
from ti_core.text import few, shown, ways_out

Storages = Mapping[str, int]


def imports(outline: Outline, storages: Storages) -> Iterator[Finding]:
    """Every imported name is on the allow-list."""
    modules = {
        node.function.path
        for node in outline.nodes
        if isinstance(node, Call) and isinstance(node.function, Ref) and _looks_like_module(node)
    }
    for path in outline.refs:
        if path in ALLOWED:
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


def _looks_like_module(call: Call) -> bool:
    return any(isinstance(state, Pairs) and state.get("_modules") is not None for state in call.states)


def instructions(outline: Outline, storages: Storages) -> Iterator[Finding]:
    """The program runs to its end, uses only instructions that torch.save writes, and nothing follows it."""
    if outline.unusual:
        yield Finding(
            Severity.REFUSED,
            f"The file's pickle uses what torch.save never writes ({few(outline.unusual)}); "
            "save it again with torch.save and its default protocol.",
        )
    elif outline.protocol != 2 and not outline.broken:
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
        # The archive's checksums are right, so this is no accident. Another reader may run the pickle further.
        yield Finding(Severity.REFUSED, f"The file's pickle cannot be followed to its end: {outline.broken}.")


def shape(outline: Outline, storages: Storages) -> Iterator[Finding]:
    """No value contains itself or is nested too deeply, and dictionary keys are text or numbers."""
    depth = depth_of(outline.root)
    if depth is None:
        yield Finding(
            Severity.REFUSED, "The file's pickle holds a value that contains itself, as no model does."
        )
    elif depth > LIMITS.depth:
        yield Finding(
            Severity.REFUSED, f"The file's pickle nests {depth} values; the limit is {LIMITS.depth}."
        )
    for node in outline.nodes:
        items = node.items if isinstance(node, (Pairs, Call)) else ()
        if any(not isinstance(key, (str, int, float)) for key, _ in items):
            yield Finding(
                Severity.REFUSED, "The file's pickle holds a dictionary whose keys are not text or numbers."
            )
            return


def calls(outline: Outline, storages: Storages) -> Iterator[Finding]:
    """Every call has a form that torch.save writes, and so do its arguments."""
    for node in outline.nodes:
        if not isinstance(node, Call):
            continue
        if not isinstance(node.function, Ref):
            yield Finding(
                Severity.MALICIOUS, "The file calls something that it does not name, as no model does."
            )
        elif node.function.path in ALLOWED and not _fits(node, node.function.path):
            yield Finding(
                Severity.REFUSED,
                f"The file uses {shown(node.function.path)} in a way that torch.save never writes.",
            )


def _fits(call: Call, path: str) -> bool:
    kind = ALLOWED[path]
    if kind in (Kind.LAYER, Kind.NETWORK):
        return (
            call.new
            and call.args == ()
            and not call.items
            and len(call.states) <= 1
            and all(map(_is_state, call.states))
        )
    if kind is Kind.INERT:
        return not call.items and (path != "_codecs.encode" or _is_text_as_bytes(call))
    if kind is not Kind.CONTAINER:
        # The check ``tensors`` looks at the arguments of tensors. Types and functions are never called.
        return kind is Kind.TENSOR and not (call.new or call.items or call.states)
    args = call.args
    if call.new or not isinstance(args, tuple):
        return False
    if path == "collections.OrderedDict":
        # Attributes of a dictionary could hide its methods. torch sets only ``_metadata``, its version notes.
        return args == () and all(
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


def storage_ids(outline: Outline, storages: Storages) -> Iterator[Finding]:
    """Every persistent id names a storage in the archive, and declares no more numbers than it holds.

    torch trusts the declared number: ``get_storage_from_record`` does not compare it with the member's size.
    With a false number torch would read memory beyond the storage.
    """
    for node in outline.nodes:
        if not isinstance(node, Stored):
            continue
        match node.pid:
            case ("storage", Ref(path=path), str(key), str(), int(count)) if (
                path in STORAGES and key in storages
            ):
                if not 0 <= count * STORAGES[path][1] <= storages[key]:
                    yield Finding(
                        Severity.REFUSED,
                        f"The file declares {count} numbers in its storage {shown(key)}, which holds "
                        f"{storages[key]} bytes.",
                    )
            case ("storage", _, str(key), *_) if key not in storages:
                yield Finding(
                    Severity.UNREADABLE,
                    f"The archive is incomplete: the tensor storage {shown(key)} is missing.",
                )
            case _:
                yield Finding(
                    Severity.REFUSED, "The file refers to something outside itself that is no tensor storage."
                )


def tensors(outline: Outline, storages: Storages) -> Iterator[Finding]:
    """Every tensor lies inside its storage, and together they stay within the limits."""
    count = elements = 0
    for node in outline.nodes:
        if (
            isinstance(node, Call)
            and isinstance(node.function, Ref)
            and ALLOWED.get(node.function.path) is Kind.TENSOR
        ):
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


CHECKS: tuple[Callable[[Outline, Storages], Iterator[Finding]], ...] = (
    imports,
    instructions,
    shape,
    calls,
    storage_ids,
    tensors,
)


def check(outline: Outline, storages: Storages) -> list[Finding]:
    """All findings about a pickle, given the sizes of its storages in bytes. Without any, it may be read."""
    return [finding for each in CHECKS for finding in each(outline, storages)]
