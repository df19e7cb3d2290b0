"""Rules of the architecture, checked on any tree: who imports whom, and how large modules, folders and functions are.

Every import counts, also one inside a function or for type checking only. Each rule returns sentences that name the
files; an empty list means that the rule holds.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

LONGEST_MODULE, MOST_MODULES, MOST_ROOMS, LONGEST_FUNCTION = 300, 16, 26, 60


def modules(root: Path, packages: Iterable[str]) -> dict[str, Path]:
    """By dotted name, the files of the packages below ``root``."""
    found = {}
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(files: Mapping[str, Path]) -> dict[str, set[str]]:
    """By module, the modules among ``files`` that it imports."""
    return {name: set(_imported(name, path, files)) - {name} for name, path in files.items()}


def _imported(name: str, path: Path, files: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in files)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found = inner if inner in files else node.module
                if found in files:
                    yield found


def importing(files: Mapping[str, Path], packages: Iterable[str]) -> list[str]:
    """A sentence for every module that imports one of the packages, which may be installed ones."""
    forbidden, found = set(packages), []
    for name, path in files.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                named = {node.module.partition(".")[0]}
            else:
                continue
            found += [f"{name} imports {package}." for package in sorted(named & forbidden)]
    return found


def circles(arrows: Mapping[str, set[str]]) -> list[str]:
    """A sentence for every group of modules that import one another in a circle."""
    reached = {name: _reachable(name, arrows) for name in arrows}
    groups = {
        frozenset(other for other in reached[name] if name in reached[other])
        for name in arrows
        if name in reached[name]
    }
    return [f"These import one another: {', '.join(sorted(group))}." for group in sorted(groups, key=sorted)]


def floors(arrows: Mapping[str, set[str]], package: str) -> dict[str, int]:
    """By room of the package, its floor: one above the highest room that it imports, counted from 1.

    A room is a folder or a module directly in the package. The rooms import one another in no circle.
    """
    rooms: dict[str, set[str]] = {}
    for name, others in arrows.items():
        if room := _room(name, package):
            rooms.setdefault(room, set()).update(_room(other, package) for other in others)
    for room, below in rooms.items():
        below -= {room, ""}
    found: dict[str, int] = {}
    while len(found) < len(rooms):
        ready = {r: b for r, b in rooms.items() if r not in found and b <= found.keys()}
        if not ready:
            raise ValueError(f"Rooms of {package} import one another in a circle.")
        found |= {
            room: 1 + max((found[other] for other in below), default=0) for room, below in ready.items()
        }
    return found


def _room(name: str, package: str) -> str:
    """The room that a module is in; empty for modules of other packages."""
    first, _, rest = name.partition(".")
    return (rest.partition(".")[0] or "__init__") if first == package else ""


def _reachable(start: str, arrows: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(arrows[start])
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += arrows[name]
    return found


def upward(arrows: Mapping[str, set[str]], order: list[str]) -> list[str]:
    """A sentence for every import of a place by one that stands below it in ``order``, the highest first.

    A place is a package, a module, or the start of their names.
    """
    found = []
    for name, others in sorted(arrows.items()):
        for other in sorted(others):
            if _place(name, order) > _place(other, order):
                found.append(f"{name} imports {other}, which stands above it.")
    return found


def _place(name: str, order: list[str]) -> int:
    """The place of the longest entry that the name begins with."""
    fitting = [entry for entry in order if name == entry or name.startswith(f"{entry}.")]
    if not fitting:
        raise ValueError(f"{name} stands nowhere in the order of folders")
    return order.index(max(fitting, key=len))


def too_large(root: Path, files: Mapping[str, Path], top: str) -> list[str]:
    """A sentence for every module, folder, top level and function beyond the limits."""
    paths = [path.relative_to(root) for path in files.values()]
    found = []
    for path in paths:
        lines = len((root / path).read_text(encoding="utf-8").splitlines())
        if lines > LONGEST_MODULE:
            found.append(f"{path} has {lines} lines.")
    for folder, count in Counter(path.parent for path in paths).items():
        if count > MOST_MODULES:
            found.append(f"{folder} holds {count} modules.")
    rooms = {path.parts[1] for path in paths if path.parts[0] == top}
    if len(rooms) > MOST_ROOMS:
        found.append(f"{top} holds {len(rooms)} files and folders.")
    for path in paths:
        for node in ast.walk(ast.parse((root / path).read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    found.append(f"{path}: {node.name} has {lines} lines.")
    return found
