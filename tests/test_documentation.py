"""The pages of the documentation: every link leads somewhere, and every page is reached."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ti_core.cli.main import main
from ti_core.reference.pack import pack_names

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.S)


def links(page: Path) -> list[str]:
    """Where a page leads, but for other hosts."""
    found = LINK.findall(CODE.sub("", page.read_text(encoding="utf-8")))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """The headings of a page, as they are written in an address."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.M):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        found.add(re.sub(r"[^\w\- ]", "", words).replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in links(page):
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        waiting += [(page.parent / t.partition("#")[0]).resolve() for t in links(page) if t.partition("#")[0]]
    assert [p.name for p in PAGES if p not in reached] == []


def test_the_readme_lists_every_page() -> None:
    listed = {t.partition("#")[0] for t in links(ROOT / "README.md")}
    assert [p.name for p in (ROOT / "docs").glob("*.md") if f"docs/{p.name}" not in listed] == []


def test_the_site_lists_every_page_once() -> None:
    """``make docs`` builds it, and checks each link again."""
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    listed = [
        page
        for section in nav
        for pages in section.values()
        for page in ([pages] if isinstance(pages, str) else pages)
    ]
    of_root = {"index.md", "contributing.md", "security.md", "changes.md", "licence.md", "site/api.md"}
    assert sorted(listed) == sorted(of_root | {p.name for p in (ROOT / "docs").glob("*.md")})


def test_the_schemas_tables_are_not_stale() -> None:
    from benchmarks.tables import TABLES, filled

    for name, file in (
        ("settings", "settings"),
        ("report-schema", "report-schema"),
        ("taxonomy", "formats"),
        ("leaderboard", "benchmark"),
    ):
        page = ROOT / "docs" / f"{file}.md"
        text = page.read_text(encoding="utf-8")
        assert f"<!-- {name} -->" in text and filled(text, {name: TABLES[name]}) == text


def test_no_cell_of_a_table_breaks_it() -> None:
    broken = []
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
        for table in re.findall(r"(?:^\|.*\|\n)+", text, re.M):
            counts = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
            broken += [f"{page.name}: {table[:60]}"] if len(counts) > 1 else []
    assert broken == []


def test_every_command_of_the_program_is_in_the_reference() -> None:
    from ti_core.cli.parser import parser

    reference = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    commands = next(a for a in parser()._actions if a.dest == "command")
    assert commands.choices is not None
    for name, sub in commands.choices.items():  # type: ignore[union-attr]
        verbs = [a for a in sub._actions if a.dest == "verb"]
        names = [f"{name} {verb}" for a in verbs for verb in a.choices] if verbs else [name]
        assert [n for n in names if f"`{n}" not in reference] == []


@pytest.mark.skipif("mnist" not in pack_names(), reason="the sample's pack is not bundled")
def test_the_readmes_run_says_what_the_program_says(capsys: pytest.CaptureFixture[str]) -> None:
    """Sentence by sentence; figures may differ in the last place from one processor to another."""
    run = re.search(r"```\n\$ python -m ti_core ([^\n]+)\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert run is not None
    command, shown = run.groups()
    assert main([a.replace("assets", str(ROOT / "assets")) for a in command.split()]) == 1
    assert sentences(shown) == sentences(capsys.readouterr().out)


def sentences(text: str) -> list[str]:
    """A report's lines with their wrapping undone, and every number a #."""
    return re.sub(r"\d+(\.\d+)?", "#", re.sub(r"\n    +", " ", text.strip())).splitlines()
