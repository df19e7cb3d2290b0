"""Every code block of the pages: run, or where it needs a network, hours or a root, read by what would run it.

Elsewhere: the examples of ``docs/python.md`` (``tests/results/formats/test_notebook.py``), those of CONTRIBUTING.md
(``tests/test_contributing.py``), the detector of ``docs/benchmark.md`` (``tests/benchmarks/test_leaderboard.py``), the
README's run (``tests/test_documentation.py``), the signing of a statement (``tests/results/formats/test_signed.py``).
"""

from __future__ import annotations

import ast
import configparser
import json
import logging
import re
import shutil
import subprocess
import tomllib
import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from tests.documentation.blocks import (
    BLOCK,
    ROOT,
    SHELL,
    TOOLS,
    Block,
    blocks,
    commands,
    inline,
    parsed,
    program_and_options,
)
from tests.results.formats.test_formats import REPORT
from ti_core.cli.parser import parser
from ti_core.reconstruction.grammar import parse_sketch
from ti_core.reference.own_images import load_own_images
from ti_core.version import __version__

ALL = blocks()
SCRIPTS = [
    b for b in ALL if b.language in {"", "bash"} and not b.text.startswith(("$ ", "my_images/", "conv "))
]
PYTHON = [b for b in ALL if b.language == "python" and b.page.name == "how-to-open-my-model.md"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
OTHERS = {"model-signing", "pyopenssl"}
"""Packages of others that a page installs; a test runs them."""
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def of(page: str, beginning: str) -> Block:
    """The block of a page that begins so."""
    (found,) = (b for b in ALL if b.page.name == page and b.text.startswith(beginning))
    return found


def fault(command: list[str]) -> str:
    """What is wrong with a command; "" if nothing is."""
    program, options = program_and_options(command)
    try:
        if program == "ti_core" or program.startswith("benchmarks."):
            parsed(program, options)
        elif program.startswith("ti_core."):
            return "" if (ROOT / f"{program.replace('.', '/')}.py").is_file() else "there is no such module"
        elif program == "make":
            return "" if options[0] in TARGETS else "there is no such target"
        elif program == "pip":
            return installable(options)
        elif program == "docker":
            return buildable(options)
        elif program not in SHELL | TOOLS | {"python"}:
            return "no test knows this program"
    except ValueError as error:
        return str(error)
    return absent(options)


def installable(options: list[str]) -> str:
    if options[0] == "wheel":
        return ""
    if re.fullmatch(r"build/packs/trojaninterpret_pack_\w+-[\d.]+-py3-none-any\.whl", options[-1]):
        return "" if options[-1].split("-")[1] == __version__ else "the package has another version"
    if set(options[1:]) <= OTHERS:
        return ""
    name, extras = re.fullmatch(r"([\w.-]+)(?:\[([\w,]+)\])?", options[1]).groups("")  # type: ignore[union-attr]
    known = set(PROJECT["optional-dependencies"])
    return (
        "" if name == PROJECT["name"] and set(filter(None, extras.split(","))) <= known else "no such extra"
    )


def buildable(options: list[str]) -> str:
    """Of ``docker``: build arguments are the recipe's, and volumes and ports those that it declares."""
    arguments = [options[i + 1].partition("=")[0] for i, o in enumerate(options) if o == "--build-arg"]
    unknown = [a for a in arguments if not re.search(rf"^ARG {a}\b", DOCKERFILE, re.M)]
    volumes = [options[i + 1].partition(":")[2] for i, o in enumerate(options) if o == "-v"]
    unknown += [v for v in volumes if f"VOLUME {v}\n" not in DOCKERFILE]
    ports = [options[i + 1].rpartition(":")[2] for i, o in enumerate(options) if o == "-p"]
    unknown += [p for p in ports if f"EXPOSE {p}\n" not in DOCKERFILE]
    return f"the Dockerfile does not have {', '.join(unknown)}" if unknown else ""


def absent(options: list[str]) -> str:
    """A file of the repository that is read and is not there. What is written need not be."""
    written = {options[i + 1] for i, o in enumerate(options[:-1]) if o in {"--out", "--json"}}
    ours = [o for o in options if re.match(r"(assets|docs|benchmarks|pipelines|app|tests)/[\w./-]+$", o)]
    return ", ".join(f"{o} is not there" for o in ours if o not in written and not (ROOT / o).exists())


def test_every_block_is_checked_somewhere() -> None:
    """A block of another kind needs a test of its own here."""
    known = {"", "bash", "sh", "python", "toml", "ini", "nginx"}
    assert [str(b) for b in ALL if b.language not in known] == []
    assert {b.page.name for b in ALL if b.text.startswith(">>>")} == {"python.md"}
    elsewhere = {"python.md", "CONTRIBUTING.md", "benchmark.md"}
    assert {b.page.name for b in ALL if b.language == "python"} == elsewhere | {b.page.name for b in PYTHON}
    assert {b.page.name for b in ALL if b.text.startswith("$ ")} == {"README.md"}
    text = "".join(b.page.read_text(encoding="utf-8") for b in {b.page: b for b in ALL}.values())
    assert len(re.findall(r"^ *```", text, re.M)) == 2 * len(ALL) == 2 * len(BLOCK.findall(text))


@pytest.mark.parametrize("block", SCRIPTS, ids=str)
def test_every_command_of_a_block_is_right(block: Block) -> None:
    wrong = {" ".join(c): why for c in commands(block.text) if (why := fault(c))}
    assert wrong == {}


def test_every_command_in_a_sentence_is_right() -> None:
    """It may lack what the sentence does not speak of, and NAME may stand for a choice."""
    begins = re.compile(
        r"(\S*python -m (ti_core|benchmarks)\b|trojaninterpret |make |pip install .*trojaninterpret)"
    )
    unsaid = re.compile(r"the following arguments are required|invalid choice: 'NAME'")
    found = [(page.name, code) for page, code in inline() if begins.match(code)]
    assert len(found) > 80
    wrong = {f"{page}: {code}": why for page, code in found for c in commands(code) if (why := fault(c))}
    assert {code: why for code, why in wrong.items() if not unsaid.search(why)} == {}


def test_every_option_in_a_sentence_is_one_of_its_command() -> None:
    """Pieces such as ``report verify --again``, which need not be whole."""
    top = next(a for a in parser()._actions if a.dest == "command")
    wrong = []
    for page, code in inline():
        words, command = code.split(), top
        sub = None
        while words and command is not None and words[0] in (command.choices or ()):
            sub = command.choices[words.pop(0)]  # type: ignore[index]
            command = next((a for a in sub._actions if a.dest == "verb"), None)
        if sub is not None:
            known = set(sub._option_string_actions)
            wrong += [
                f"{page.name}: {code}" for w in words if w.startswith("--") and w.split("=")[0] not in known
            ]
    assert wrong == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="the scripts are for bash")
def test_every_script_is_one_that_a_shell_reads() -> None:
    scripts = [*SCRIPTS, *(b for b in ALL if b.language == "sh")]
    read = subprocess.run(
        ["bash", "-n"], input="\n".join(b.text for b in scripts), capture_output=True, text=True, check=False
    )
    assert (read.returncode, read.stderr) == (0, "")


def test_wrong_commands_are_noticed() -> None:
    for line, why in (
        ("python -m ti_core inspect m.pt --no-such", "unrecognized arguments"),
        ("trojaninterpret scan m.pt --fail-on nothing", "invalid choice"),
        ("python -m benchmarks.table --no-such 1", "unrecognized arguments"),
        ("python -m benchmarks.nothing", "no module"),
        ("make nothing", "no such target"),
        ("pip install 'trojaninterpret[nothing]'", "no such extra"),
        ("docker run -p 127.0.0.1:1:8502 trojaninterpret", "does not have 8502"),
        ("python -m ti_core inspect assets/samples/none.safetensors", "is not there"),
        ("frobnicate m.pt", "no test knows"),
    ):
        (command,) = commands(line)
        assert why in fault(command)


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_every_block_of_python_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a small network. PyTorch's exporters warn of themselves. Keras is not installed: its line is read only."""
    tree = ast.parse(block.text)
    (saved,) = re.findall(r'"(model\.\w+)"', block.text)
    if saved == "model.keras":
        assert ast.unparse(tree) == "model.save('model.keras')"
        return
    if "torch.onnx" in block.text:
        pytest.importorskip("onnxscript")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    monkeypatch.chdir(tmp_path)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4))
    known = {"torch": torch, "model": network, "C": 3, "H": 32, "W": 32}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(tree, str(block), "exec"), known)
    assert Path(saved).stat().st_size > 4 * network[1].weight.numel()


def test_the_sketch_is_one_that_the_program_reads() -> None:
    sketch = parse_sketch(of("how-to-open-my-model.md", "conv 16 5").text)
    assert parse_sketch(str(sketch)) == sketch


def test_the_configuration_files_are_read_by_their_formats() -> None:
    unit = configparser.ConfigParser(strict=False)
    unit.read_string(of("how-to-shared-server.md", "[Service]").text)
    program, *options = unit["Service"]["ExecStart"].split()
    assert program.endswith("streamlit") and options[0] == "run" and (ROOT / options[1]).is_file()
    proxy = tomllib.loads(of("how-to-shared-server.md", "http_address").text)
    assert proxy["redirect_url"].startswith("https://")
    server = of("how-to-shared-server.md", "map ").text
    assert server.count("{") == server.count("}") and proxy["http_address"] in server
    lines = [
        line.strip() for line in server.splitlines() if line.strip() and not line.strip().startswith("#")
    ]
    assert [line for line in lines if line[-1] not in ";{}"] == []
    points = tomllib.loads(of("python.md", "[project.entry").text)["project"]["entry-points"]
    assert set(points) == {"trojaninterpret.streams", "trojaninterpret.methods"}


@pytest.mark.skipif(shutil.which("sh") is None, reason="it is a script for sh")
def test_the_pipelines_script_keeps_the_code_and_makes_a_page_of_what_is_not_clean(tmp_path: Path) -> None:
    """With a program in the place of Python's that writes the lines of a scan."""
    script = of("how-to-build-pipeline.md", "#!/bin/sh").text
    for command in re.findall(r"python -m ti_core [^\n>]+", script):
        (words,) = commands(command.replace('"$file"', "f").replace('"reports/$(basename f).html"', "r.html"))
        assert fault(words) == ""
    lines = [{"file": f"models/{v}.pt", "verdict": v} for v in ("clean", "backdoored", "inconclusive")]
    lines.append({"file": "models/bad.pt", "error": "It is cut short."})
    program = tmp_path / "bin" / "python"
    program.parent.mkdir()
    real = shutil.which("python3")
    told = "\n".join(json.dumps(line) for line in lines)
    program.write_text(
        f'#!/bin/sh\n[ "$1" = - ] && exec {real} -\n[ "$3" = scan ] || {{ : > "$6"; exit 1; }}\n'
        f"cat > verdicts.jsonl <<'END'\n{told}\nEND\nexit 2\n"
    )
    program.chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=tmp_path,
        env={"PATH": f"{program.parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout == "At least one model could not be inspected.\n"
    assert sorted(p.name for p in (tmp_path / "reports").iterdir()) == [
        "backdoored.pt.html",
        "inconclusive.pt.html",
    ]


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
def test_the_how_to_signs_a_page_and_repeats_its_digests(tmp_path: Path) -> None:
    """The commands of the page as they stand there, but for the place of the key."""
    page = (ROOT / "tests" / "results" / "version_1" / "patch.html").read_text(encoding="utf-8")
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    (tmp_path / "report.json").write_text(REPORT.as_json())

    def run(beginning: str) -> subprocess.CompletedProcess[str]:
        script = of("how-to-sign-a-report.md", beginning).text.replace("~/.ssh/id_ed25519", "key")
        return subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    shown = re.findall(r'id="page-sha256">([0-9a-f]{64})<', page)
    assert run("sed -E").stdout.split()[:1] == shown
    seal, computed = run("python -c").stdout.split()
    assert seal == computed == REPORT.content_seal
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key"]
    subprocess.run(command, cwd=tmp_path, check=True)
    key = (tmp_path / "key.pub").read_text()
    (tmp_path / "allowed_signers").write_text(f"reviewer@example.org {key}")
    assert run("ssh-keygen -Y sign").returncode == 0
    assert run("ssh-keygen -Y verify").returncode == 0
    (tmp_path / "report.html").write_text(page + " ", encoding="utf-8")
    assert run("ssh-keygen -Y verify").returncode != 0
    assert run("sed -E").stdout.split()[:1] != shown


def test_the_layout_of_images_is_one_that_is_read(tmp_path: Path) -> None:
    """A folder a class, whose name is the class."""
    root, *rows = of("how-to-own-data-set.md", "my_images/").text.splitlines()
    for row, colour in zip(rows, ("red", "blue"), strict=True):
        folder, *files = row.split()
        (tmp_path / root / folder).mkdir(parents=True)
        assert files in (["0001.png", "0002.png", "..."], ["..."])
        for name in (f"{n:04}.png" for n in range(1, 31)):
            Image.new("RGB", (8, 8), colour).save(tmp_path / root / folder / name)
    found = load_own_images(tmp_path / root)
    assert found.class_names == ("cat", "dog") and sorted(found.labels.tolist()) == [0] * 30 + [1] * 30
