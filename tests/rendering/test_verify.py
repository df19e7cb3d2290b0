from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from markupsafe import escape

from tests.inspection import test_without_pack as reference_free
from ti_core.cli.main import main
from ti_core.errors import ReportError
from ti_core.inspection.case_without_pack import case_alone
from ti_core.inspection.without_pack import inspect_alone
from ti_core.reference.own_images import load_own_images
from ti_core.reference.pack import Pack
from ti_core.rendering import verify as report_verify
from ti_core.rendering.comparison import panels
from ti_core.rendering.page import html_report, report_json
from ti_core.rendering.seal import seal, unsealed
from ti_core.rendering.verify import (
    DIFFERS,
    HOLDS,
    NOT_COMPARED,
    Verification,
    compare_verdicts,
    verify_report,
)
from ti_core.results.case import Case
from ti_core.results.reading import read_report
from ti_core.settings import Settings


@pytest.fixture(scope="module")
def page(tiny_cases: dict[str, Case], tiny_pack: Pack) -> str:
    case = tiny_cases["patch"]
    return html_report(case, panels(case, tiny_pack, Settings.parse(case.report.settings)))


@pytest.fixture
def path(page: str, tmp_path: Path) -> Path:
    found = tmp_path / "report.html"
    found.write_text(page, encoding="utf-8")
    return found


def states(found: Verification) -> dict[str, str]:
    return {check.name: check.state for check in found.checks}


def test_a_page_as_it_was_written_holds(
    path: Path, tiny_pack: Pack, tiny_models: dict[str, Path], tiny_cases: dict[str, Case]
) -> None:
    found = verify_report(path, [tiny_models["patch"]], str(tiny_pack.folder))
    assert set(states(found).values()) == {HOLDS} and found.state == HOLDS
    assert set(states(found)) == {"json", "page", "text", "code", "model", "pack"}
    assert found.report == replace(tiny_cases["patch"].report, settings=found.report.settings)


def test_the_json_in_the_page_is_the_json_beside_it(page: str, tiny_cases: dict[str, Case]) -> None:
    (held,) = re.findall(r'<pre id="report-json">([^<]*)</pre>', page)
    assert unescape(held) == report_json(tiny_cases["patch"].report)
    assert hashlib.sha256(unescape(held).encode()).hexdigest() in page


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="coreutils are not installed")
def test_the_page_digest_can_be_repeated_by_hand(path: Path, page: str) -> None:
    blank = f"sed -E 's/(id=\"page-sha256\">)[0-9a-f]{{64}}/\\1{'0' * 64}/' {path} | sha256sum"
    found = subprocess.run(["bash", "-c", blank], capture_output=True, text=True, check=True).stdout
    assert found.split()[0] == re.findall(r'id="page-sha256">([0-9a-f]{64})<', page)[0]


def other(verdict: str) -> str:
    return "clean" if verdict == "backdoored" else "backdoored"


def word(page: str) -> str:
    """The page with another verdict before the reader's eyes."""
    (verdict,) = re.findall(r'<p class="verdict (\w+)">', page)
    line = re.search(r'<p class="verdict.*?</p>', page)
    assert line is not None
    edited = (
        line[0].replace(verdict, other(verdict)).replace(verdict.capitalize(), other(verdict).capitalize())
    )
    return page.replace(line[0], edited)


def probability(page: str) -> str:
    return re.sub(r"probability( of a backdoor)? [a-z0-9 ]+%", r"probability\1 50%", page, count=1)


def reason(page: str) -> str:
    return page.replace("<h2>Reasons</h2>\n<ul><li>", "<h2>Reasons</h2>\n<ul><li>Nothing was found. ", 1)


def model(page: str) -> str:
    (digest,) = set(re.findall(r"<tr><th>model file</th><td>([0-9a-f]{64})", page))
    head, tail = page.split('<pre id="report-json">')
    return head.replace(digest, "0" * 64) + '<pre id="report-json">' + tail


def overlay(page: str) -> str:
    return page.replace("<h2>Reasons</h2>", "<style>.verdict{display:none}</style><h2>Reasons</h2>", 1)


def second_verdict(page: str) -> str:
    return page.replace("<h1>", '<p class="verdict clean"><strong>✓ Clean.</strong> x</p><h1>', 1)


def no_policy(page: str) -> str:
    return re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)


def in_pictures(page: str) -> str:
    return page.replace("</section>", "<script>alert(1)</script></section>", 1)


EDITS = [word, probability, reason, model, overlay, second_verdict, no_policy, in_pictures]


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_page_is_noticed(edit: Callable[[str], str], page: str, tmp_path: Path) -> None:
    edited = edit(page)
    assert edited != page
    path = tmp_path / "edited.html"
    path.write_text(edited, encoding="utf-8")
    found = verify_report(path)
    assert found.state == DIFFERS and states(found)["page"] == DIFFERS and states(found)["text"] == DIFFERS


@pytest.mark.parametrize("edit", EDITS)
def test_a_new_digest_does_not_hide_that_page_and_json_disagree(
    edit: Callable[[str], str], page: str, tmp_path: Path
) -> None:
    bare = unsealed(edit(page))
    assert bare is not None
    path = tmp_path / "edited.html"
    path.write_text(seal(bare[0]), encoding="utf-8")
    found = verify_report(path)
    assert states(found)["page"] == HOLDS and states(found)["text"] == DIFFERS and found.state == DIFFERS


def test_a_changed_picture_is_noticed(page: str, tmp_path: Path) -> None:
    data = re.findall(r"base64,([A-Za-z0-9+/=]+)", page)
    path = tmp_path / "edited.html"
    path.write_text(page.replace(data[1], data[0], 1), encoding="utf-8")
    found = verify_report(path)
    assert states(found)["page"] == DIFFERS and found.state == DIFFERS


def test_a_changed_json_is_noticed(page: str, tmp_path: Path) -> None:
    path = tmp_path / "edited.html"
    path.write_text(
        page.replace(str(escape('"schema_version": 2')), str(escape('"schema_version":  2'))),
        encoding="utf-8",
    )
    assert {states(verify_report(path))[name] for name in ("json", "page", "text")} == {DIFFERS}


def test_another_model_and_another_pack_are_noticed(
    path: Path, tiny_models: dict[str, Path], tiny_pack: Pack, tmp_path: Path
) -> None:
    assert states(verify_report(path, [tiny_models["clean"]]))["model"] == DIFFERS
    pack = tmp_path / "pack"
    shutil.copytree(tiny_pack.folder, pack)
    (pack / "images.npz").write_bytes(b"others")
    assert states(verify_report(path, pack=str(pack)))["pack"] == DIFFERS
    record = json.loads((pack / "pack.json").read_text())
    (pack / "pack.json").write_text(json.dumps(record | {"data_set": "other"}))
    assert states(verify_report(path, pack=str(pack)))["pack"] == DIFFERS
    assert states(verify_report(path, images=tmp_path))["images"] == DIFFERS


def test_images_of_ones_own_are_compared(tmp_path: Path) -> None:
    pixels, settings = reference_free.own().pixels[:, 0], Settings(normalisation="none")
    np.savez(tmp_path / "mine.npz", images=pixels)
    np.savez(tmp_path / "others.npz", images=255 - pixels)
    own = load_own_images(tmp_path / "mine.npz", (1, 12, 12), settings.seed)
    result = inspect_alone(reference_free.model(reference_free.hidden_pixel(), 6), own, settings)
    path = tmp_path / "report.html"
    path.write_text(html_report(case_alone(result, own)), encoding="utf-8")
    assert states(verify_report(path))["images"] == NOT_COMPARED
    assert verify_report(path).left_out == ("model", "images") and verify_report(path).state == NOT_COMPARED
    assert states(verify_report(path, images=tmp_path / "mine.npz"))["images"] == HOLDS
    assert states(verify_report(path, images=tmp_path / "others.npz"))["images"] == DIFFERS
    assert states(verify_report(path, pack="mnist"))["pack"] == DIFFERS


def test_weights_beside_a_graph_count(
    path: Path, page: str, tmp_path: Path, tiny_models: dict[str, Path]
) -> None:
    whole = tiny_models["patch"].read_bytes()
    (tmp_path / "m.onnx").write_bytes(whole[:100])
    (tmp_path / "m.onnx.data").write_bytes(whole[100:])
    (tmp_path / "w.bin").write_bytes(whole[100:])
    assert states(verify_report(path, [tmp_path / "m.onnx"]))["model"] == HOLDS
    assert states(verify_report(path, [tmp_path / "m.onnx", tmp_path / "w.bin"]))["model"] == HOLDS
    (tmp_path / "m.onnx.data").unlink()
    assert states(verify_report(path, [tmp_path / "m.onnx"]))["model"] == DIFFERS


def test_another_program_is_said_and_is_no_forgery(
    page: str, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_verify, "code_digest", lambda: "0" * 64)
    found = verify_report(path)
    assert states(found)["code"] == DIFFERS and found.state == NOT_COMPARED
    # Its page may be written otherwise; what matters must still be that of the JSON.
    later = unsealed(page.replace("<h2>Reasons</h2>", "<h2>Grounds</h2>"))
    forged = unsealed(word(page))
    assert later is not None and forged is not None
    path.write_text(seal(later[0]), encoding="utf-8")
    assert states(verify_report(path))["text"] == NOT_COMPARED
    path.write_text(seal(forged[0]), encoding="utf-8")
    assert verify_report(path).state == DIFFERS


def test_a_json_report_is_held_to_a_digest(tiny_cases: dict[str, Case], tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(report_json(tiny_cases["patch"].report))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    found = verify_report(path)
    assert states(found)["json"] == HOLDS and found.left_out == ("model", "pack")
    assert states(verify_report(path, digest=digest.upper()))["json"] == HOLDS
    assert verify_report(path, digest="0" * 64).state == DIFFERS
    path.write_text(path.read_text().replace("0.", "0.1", 1))
    assert verify_report(path, digest=digest).state == DIFFERS


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"<!doctype html><p>hello</p>",
        b"{}",
        b"[1, 2]",
        b'{"schema_version": 7}',
        b'{"verdict": "clean"',
        b"[" * 100_000,
        b'{"a": ' * 5_000 + b"1" + b"}" * 5_000,
        b'<pre id="report-json">{}</pre>',
        b'<pre id="report-json">{}</pre><pre id="report-json">{}</pre>',
    ],
)
def test_what_is_no_report_is_one_sentence(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.html"
    path.write_bytes(content)
    assert main(["report", "verify", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("trojaninterpret: x.html is ") and error.count("\n") == 1 and len(error) < 300


def nested(depth: int) -> list[object]:
    return [nested(depth - 1)] if depth else []


def damage(report: dict[str, object], name: str) -> dict[str, object]:
    model = dict(report["model"])  # type: ignore[call-overload]
    if name == "without settings":
        return {k: v for k, v in report.items() if k != "settings"}
    changes: dict[str, dict[str, object]] = {
        "another field": {"extra": 1},
        "no number": {"probability": float("nan")},
        "probability beyond 1": {"probability": 1.5},
        "verdict unknown": {"verdict": "fine"},
        "model without digest": {"model": {k: v for k, v in model.items() if k != "sha256"}},
        "classes no number": {"model": model | {"classes": "ten"}},
        "settings unknown": {"settings": {"colour": "blue"}},
        "stream with less": {"streams": {"saliency": {"score": 1.0}}},
        "figures without end": {"streams": {"saliency": {"figures": {"a": nested(200)}}}},
        "figures that are none": {"timings": {"saliency": float("inf")}},
    }
    return report | changes[name]


@pytest.mark.parametrize(
    "name",
    [
        "without settings",
        "another field",
        "no number",
        "probability beyond 1",
        "verdict unknown",
        "model without digest",
        "classes no number",
        "settings unknown",
        "stream with less",
        "figures without end",
        "figures that are none",
    ],
)
def test_a_damaged_json_is_no_report(name: str, tiny_cases: dict[str, Case], tmp_path: Path) -> None:
    record = json.loads(tiny_cases["patch"].report.as_json())
    path = tmp_path / "report.json"
    path.write_text(json.dumps(damage(record, name)))
    with pytest.raises(ReportError):
        verify_report(path)


def test_the_command_says_it_by_its_exit_code(
    path: Path,
    page: str,
    tmp_path: Path,
    tiny_models: dict[str, Path],
    tiny_pack: Pack,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ["--model", str(tiny_models["patch"]), str(path)]
    assert main(["report", "verify", *given]) == 3
    said = capsys.readouterr().out
    assert "holds         text" in said and "not compared  pack" in said and "not all of it" in said
    assert said.count("(pack)") == 1
    assert main(["report", "verify", *given, "--pack", str(tiny_pack.folder)]) == 0
    said = capsys.readouterr().out
    assert "Everything that was compared holds" in said and "signature" in said and "--again" in said
    assert main(["report", "verify", str(path), "--json"]) == 3
    record = json.loads(capsys.readouterr().out)
    assert record["state"] == "not compared" and {c["name"] for c in record["checks"]} >= {
        "json",
        "page",
        "text",
        "code",
    }
    out = tmp_path / "deep" / "out.json"
    path.write_text(word(page), encoding="utf-8")
    assert main(["report", "verify", str(path), "--json", str(out)]) == 1
    assert json.loads(out.read_text())["state"] == "differs"
    for wrong in (
        ["--pack", "nowhere"],
        ["--model", str(tmp_path / "none")],
        ["--digest", "abc"],
        ["--images", "x"],
    ):
        code = main(["report", "verify", str(path), *wrong])
        error = capsys.readouterr().err
        assert (code, error.count("\n")) in ((2, 1), (1, 0)) and "Traceback" not in error
    assert main(["report", "verify", str(tmp_path)]) == 2
    assert main(["report", "verify", str(tmp_path / "none.html")]) == 2
    assert "none.html" in capsys.readouterr().err


@pytest.fixture
def sealed(tiny_cases: dict[str, Case], tmp_path: Path) -> Path:
    path = tmp_path / "sealed.json"
    path.write_text(report_json(tiny_cases["patch"].report))
    return path


FALSE = [
    {"verdict": "clean"},
    {"probability": 0.01},
    {"target_class": None, "target_class_name": None},
    {"trigger_kind": None},
    {"reasons": ["Nothing was found."], "bearings": []},
    {"streams": {}},
    {"timings": {}},
    {"seal": "0" * 64},
]


@pytest.mark.parametrize("change", FALSE, ids=lambda change: next(iter(change)))
def test_a_json_with_anything_changed_is_noticed(
    change: dict[str, object], sealed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sealed.write_text(json.dumps(json.loads(sealed.read_text()) | change))
    assert main(["report", "verify", str(sealed)]) == 1
    assert "its seal is broken" in capsys.readouterr().out


def test_a_json_without_a_seal_was_not_compared(sealed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Reports of earlier versions have none. Neither has one that somebody changed and took the seal out of."""
    record = json.loads(sealed.read_text())
    del record["seal"]
    sealed.write_text(json.dumps(record | {"verdict": "clean"}))
    assert main(["report", "verify", str(sealed)]) == 3
    said = capsys.readouterr().out
    assert "has no seal" in said and "not all of it was compared (json, model, pack)" in said
    digest = hashlib.sha256(sealed.read_bytes()).hexdigest()
    assert states(verify_report(sealed, digest=digest))["json"] == HOLDS


def test_the_seal_is_of_the_content_and_can_be_repeated_by_hand(sealed: Path) -> None:
    record = json.loads(sealed.read_text())
    sealed.write_text(json.dumps(dict(sorted(record.items(), reverse=True)), indent=7))
    assert states(verify_report(sealed))["json"] == HOLDS
    seal_ = record.pop("seal")
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == seal_


def test_a_name_that_stands_twice_is_an_error(sealed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of two verdicts, one program reads the first and another the last."""
    text = sealed.read_text()
    sealed.write_text(
        text.replace('"verdict": "backdoored"', '"verdict": "clean", "verdict": "backdoored"', 1)
    )
    assert sealed.read_text() != text
    assert main(["report", "verify", str(sealed)]) == 2
    error = capsys.readouterr().err
    assert "the name 'verdict' stands twice in one group" in error and error.count("\n") == 1


def test_one_check_of_a_name_does_not_hide_another(path: Path, page: str) -> None:
    """The page shows another digest than that of its JSON, and the digest that is given is the JSON's."""
    own = hashlib.sha256(unescape(re.findall(r'<pre id="report-json">([^<]*)</pre>', page)[0]).encode())
    path.write_text(page.replace(own.hexdigest(), "0" * 64), encoding="utf-8")
    found = verify_report(path, digest=own.hexdigest())
    assert [c.state for c in found.checks if c.name == "json"] == [DIFFERS, HOLDS] and found.state == DIFFERS


def bundled(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    """Bundle the packs in a folder in place of the real ones."""
    from ti_core.reference import pack as packs

    monkeypatch.setattr(packs, "named_pack", lambda name: root / name)
    monkeypatch.setattr(packs.pack_names, "__defaults__", (root,))


def test_a_bundled_pack_is_compared_without_being_asked_for(
    sealed: Path, tiny_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled(monkeypatch, tiny_pack.folder.parent)
    assert states(verify_report(sealed))["pack"] == HOLDS
    other_pack = tmp_path / tiny_pack.name
    shutil.copytree(tiny_pack.folder, other_pack)
    (other_pack / "pack.json").write_text(json.dumps(dict(tiny_pack.record)))
    bundled(monkeypatch, tmp_path)
    assert states(verify_report(sealed))["pack"] == NOT_COMPARED
    assert states(verify_report(sealed, pack=str(other_pack)))["pack"] == DIFFERS


def test_a_new_inspection_shows_a_verdict_that_was_sealed_anew(
    sealed: Path, tiny_models: dict[str, Path], tiny_pack: Pack, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["report", "verify", str(sealed), "--model", str(tiny_models["patch"])]
    arguments += ["--pack", str(tiny_pack.folder)]
    assert main([*arguments, "--again"]) == 0
    assert "holds         verdict" in capsys.readouterr().out
    report = read_report(sealed).report
    forged = replace(report, verdict="clean", trigger_kind=None, target_class=None, target_class_name=None)
    sealed.write_text(forged.as_json())
    assert main(arguments) == 0, "a seal without a key shows no forger who makes it anew"
    assert "--again" in capsys.readouterr().out
    assert main([*arguments, "--again"]) == 1
    said = capsys.readouterr().out
    assert "the report states another verdict, trigger kind, target class, target class name" in said
    assert main(["report", "verify", str(sealed), "--again"]) == 2
    assert "give its file with --model" in capsys.readouterr().err


def test_verdicts_are_compared_in_all_they_state(tiny_cases: dict[str, Case]) -> None:
    report = tiny_cases["patch"].report
    assert compare_verdicts(report, report).state == HOLDS
    near = replace(report, probability=report.probability - 0.01)
    assert compare_verdicts(report, near).state == HOLDS
    far = compare_verdicts(report, replace(report, probability=report.probability - 0.03))
    assert far.state == DIFFERS and far.sentence.endswith("another probability.")
    assert compare_verdicts(report, replace(report, reasons=("None.",))).state == NOT_COMPARED
    assert report.mapping is not None
    led = compare_verdicts(report, replace(report, mapping=report.mapping | {"kind": "one source"}))
    assert led.state == DIFFERS and led.sentence.endswith("another mapping.")
    pairs = [{"source": k, "target": 1 - k, "moved": 0.9} for k in range(2)]
    one, two, three = (
        replace(report, mapping=report.mapping | {"assignment": [pairs[0] | {"moved": moved}, pairs[1]]})
        for moved in (0.9, 0.91, 0.1)
    )
    assert compare_verdicts(one, two).state == HOLDS, "rounding changes a share"
    assert compare_verdicts(one, three).state == DIFFERS, "a class is led away or it is not"
    covered = compare_verdicts(report, replace(report, coverage=report.coverage[1:]))
    assert covered.state == DIFFERS and covered.sentence.endswith("another coverage.")
    assert compare_verdicts(report, replace(report, streams={})).state == NOT_COMPARED
