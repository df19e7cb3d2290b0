"""What SECURITY.md says and no other test shows: names, numbers and settings are those of the program."""

from __future__ import annotations

import ast
import json
import os
import re
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app import ask, state
from app.jobs import desk
from app.server import guard
from app.server.headers import security_headers
from app.store import arrivals, cases, sources
from ti_core.errors import PackError
from ti_core.reference.pack import PACKS, pack_names
from ti_core.results.case import Case
from ti_core.results.versions import versions
from ti_core.worker import inspection_job, watch
from ti_core.worker.limits import GIB, Limits, default_memory

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "SECURITY.md").read_text()


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def row(start: str) -> str:
    """The row of a table that begins so."""
    return next(line for line in PAGE.splitlines() if line.startswith(f"| {start}"))


def test_every_file_that_is_named_is_there() -> None:
    """A test of a row is named without its folder if it lies beside the one before it."""
    for line in PAGE.splitlines():
        folder = ""
        for name in re.findall(r"`((?:[\w.]+/)*[\w-]+\.(?:py|toml|txt))`", line):
            path = name if "/" in name or not folder else f"{folder}/{name}"
            folder = str(Path(path).parent) if "/" in path else folder
            assert (ROOT / path).exists() or (ROOT / "app" / name).exists(), name
    for folder in re.findall(r"`((?:tests|ti_core)/[\w/]+)`", PAGE):
        assert (ROOT / folder).is_dir() or (ROOT / folder).exists(), folder


def test_the_bounds_are_the_programs() -> None:
    words = {2: "two", 3: "three", 8: "eight", 120: "two hours", 16: "sixteen"}
    assert f"| {guard.MOST_TABS} |" in row("open tabs")
    inspections = row("inspections")
    assert f"{desk.MOST_WAITING} waiting, {desk.MOST_OF_ONE} of a tab" in inspections
    assert f"for {words[desk.MODESTY // 60]} minutes" in inspections
    assert f"{words[ask.MINUTES]} each" in inspections
    assert f"at most {words[ask.MOST_MINUTES // 60]}" in inspections
    assert f"{cases.OPEN_BYTES >> 20} MB" in row("opened cases")
    models = row("models on the disk")
    assert f"{sources.SHELF_BYTES // GIB} GiB;" in models and f"{sources.MOST_SHELF // GIB} GiB if" in models
    assert sources.JUST_NOW == 3600.0 and "of the last hour" in models
    assert f"| {ask.MOST_CACHES}, {ask.CACHE_BYTES // GIB} GiB |" in row("caches on the disk")
    assert f"{arrivals.most_bytes() // GIB} GiB" in row("files in transfer")
    assert (
        watch.LOOK == 1 / 5 and "counts them five times a second" in PAGE and "in a fifth of a second" in PAGE
    )


def test_a_job_may_use_what_the_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    said = row("a job |")
    assert "three quarters of the memory (at most 16 GiB), 1 GiB of results" in said
    assert Limits().folder_bytes == GIB
    for total, allowed in ((8 * GIB, 6 * GIB), (64 * GIB, 16 * GIB)):
        monkeypatch.setattr("ti_core.worker.limits.total_memory", lambda total=total: total)
        assert default_memory() == Limits().memory_bytes == allowed


def test_the_caches_unused_for_longest_go_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ask, "home", lambda: tmp_path)
    monkeypatch.setattr(ask, "CACHE_BYTES", 50_000)
    for number, (size, age) in enumerate(((20_000, 3), (20_000, 2), (20_000, 1), (0, 9))):
        folder = tmp_path / "cache" / f"{number:064d}"
        folder.mkdir(parents=True)
        (folder / "cache.db").write_bytes(b"x" * size)
        os.utime(folder, (1e9 - age, 1e9 - age))
    source: Any = SimpleNamespace(digest="f" * 64)
    assert ask._cache(source).is_dir()
    assert sorted(int(p.name) for p in (tmp_path / "cache").iterdir() if p.name[0] == "0") == [1, 2]
    monkeypatch.setattr(ask, "MOST_CACHES", 1)
    ask._cache(source)
    assert sorted(int(p.name) for p in (tmp_path / "cache").iterdir() if p.name[0] == "0") == [2]


def test_the_headers_are_those_of_the_table() -> None:
    sent = security_headers("<script>a()</script>")
    rows = re.findall(r"^\| ((?:`[\w-]+`(?:, )?)+) \| (.+?) \| ", section("The dashboard"), re.M)
    named = {name: value for names, value in rows for name in re.findall(r"`([\w-]+)`", names)}
    assert named.keys() == sent.keys()
    for name, value in sent.items():
        if name not in ("Content-Security-Policy", "Permissions-Policy"):
            assert named[name] == f"`{value}`"
    policy = dict(part.split(" ", 1) for part in sent["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["form-action"] == policy["object-src"] == policy["base-uri"] == "'none'"
    assert policy["connect-src"] == "'self'" and policy["script-src"].startswith("'self' 'sha256-")
    assert "unsafe" not in policy["script-src"] and "*" not in sent["Content-Security-Policy"]
    elsewhere = {
        name.removesuffix("-src") for name, value in policy.items() if "data:" in value or "blob:" in value
    }
    assert elsewhere == {"img", "font", "worker"}


def test_the_servers_settings_are_those_of_the_page() -> None:
    found = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    server = found["server"]
    assert server["address"] == "127.0.0.1" and {"localhost", "127.0.0.1"} <= set(server["allowedHosts"])
    assert server["enableCORS"] and server["enableXsrfProtection"]
    assert not server["enableStaticServing"] and not server["enableAgentApi"]
    assert not found["browser"]["gatherUsageStats"] and found["client"]["showErrorDetails"] == "none"
    assert f"{server['maxMessageSize']} MB" in row("messages of a tab")


@pytest.mark.parametrize("name", ["", ".", "..", "../packs/mnist", str(PACKS), "a\x00b"])
def test_a_visitor_cannot_bring_a_pack(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page opens the packs in the program's own folder by their names, and nothing else by any."""
    monkeypatch.chdir(PACKS / pack_names()[0])
    with pytest.raises(PackError, match="There is no reference pack"):
        state.pack(name)


def test_the_parent_writes_what_confined_the_process(tiny_cases: dict[str, Case]) -> None:
    """A process that a file took over could claim anything."""
    lies = json.loads(tiny_cases["clean"].report.as_json()) | {
        "isolation": {"network": "none"},
        "versions": {},
    }
    job: Any = SimpleNamespace(result_json=lambda *_: lies, isolation={"network": "prevented"})
    report = inspection_job.report_of(job)
    assert report.isolation == {"network": "prevented"} and report.versions == versions()


def calls(path: Path) -> set[str]:
    """Names of what a module calls and imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            found.add(ast.unparse(node.func))
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.name for alias in node.names}
    return found


def test_nothing_is_unpickled_and_torch_loads_nothing() -> None:
    pickles = {
        "pickle",
        "cPickle",
        "dill",
        "joblib.load",
        "np.load",
        "numpy.load",
        "marshal",
        "shelve",
        "torch.jit",
        "torch.load",
    }
    for path in sorted((*(ROOT / "ti_core").rglob("*.py"), *(ROOT / "app").rglob("*.py"))):
        assert not calls(path) & pickles, path


def test_the_confined_process_writes_no_mark_up() -> None:
    """What makes pages stands in folders that no task imports."""
    for path in (ROOT / "ti_core" / "worker").rglob("*.py"):
        assert "rendering" not in path.read_text() and "jinja2" not in path.read_text(), path


def test_the_image_holds_what_the_page_says() -> None:
    lines = (ROOT / "Dockerfile").read_text()
    last = lines.split("\nFROM ")[-1]
    user = re.search(r"^USER (\d+):\d+$", last, re.M)
    assert user and user[1] != "0" and last.index("\nUSER ") < last.index("\nCMD ")
    assert "-perm /6000 -exec chmod a-s" in last and "\nHEALTHCHECK " in last
    assert "pip uninstall" in lines and "/usr/local/bin/pip*" in last and "ensurepip" in last
    (installed,) = re.findall(r"apt-get install (.*?)\s*\\\n", last)
    assert set(installed.split()) == {"--yes", "--no-install-recommends", "libgomp1", "libseccomp2"}
    assert "ARG BASE=" in lines and "@sha256:" in lines


def test_every_package_is_pinned() -> None:
    lines = [line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    assert all(re.fullmatch(r"[\w.\[\]-]+==[\w.]+(;.*)?", line) for line in lines if line)
    targets = (ROOT / "Makefile").read_text()
    assert "\naudit:" in targets and "\nsbom:" in targets
