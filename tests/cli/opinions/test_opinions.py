"""``opinions`` and ``pack learn`` from the command line, in the worker."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.cli.quick import QUICK
from ti_core.cli.main import main
from ti_core.cli.options import CODES
from ti_core.methods import method_class
from ti_core.methods.base import Subject
from ti_core.methods.learnt import read_learnt, root
from ti_core.methods.opinion import Opinions
from ti_core.methods.published.ulp import LitmusTraining
from ti_core.reference.pack import Pack
from ti_core.rendering.verify import HOLDS, verify_report
from ti_core.results.report import Report


def test_opinions_with_a_pack(
    tiny_models: dict[str, Path], tiny_pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, page = tmp_path / "opinions.json", tmp_path / "opinions.html"
    asked = ["--methods", "linear_weights,neural_cleanse", "--json", str(out), "--html", str(page)]
    assert main(["opinions", str(tiny_models["patch"]), "--pack", str(tiny_pack.folder), *asked]) == 0
    found = Opinions.from_dict(json.loads(out.read_text()))
    assert [one.method for one in found.given] == ["linear_weights", "neural_cleanse"]
    assert found.pack_sha256 == tiny_pack.sha256 and not found.unmet
    assert "Neural Cleanse" in page.read_text(encoding="utf-8")
    printed = capsys.readouterr()
    assert "linear_weights: " in printed.out and "above 0.5 is backdoored" in printed.out
    assert found.given[1].sentence in printed.out and printed.err == ""


def test_opinions_with_images_say_what_needs_a_pack(
    tiny_models: dict[str, Path], tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "own.npz"
    with np.load(tiny_data) as data:
        np.savez(images, images=data["x_test"][:80], labels=data["y_test"][:80])
    arguments = ["opinions", str(tiny_models["clean"]), "--images", str(images), "--methods"]
    assert main([*arguments, "linear_weights,neural_cleanse", "--json", "-"]) == 0
    found = Opinions.from_dict(json.loads(capsys.readouterr().out))
    assert [one.method for one in found.given] == ["neural_cleanse"]
    assert "choose a reference pack" in found.unmet["linear_weights"]
    assert main([*arguments, "linear_weights"]) == 2
    assert "None of the methods can judge this network." in capsys.readouterr().err


def test_a_report_holds_opinions_that_were_asked_for(
    tiny_models: dict[str, Path], tiny_pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, page = tmp_path / "report.json", tmp_path / "report.html"
    asked = ["--opinions", "linear_weights,mntd", "--json", str(out), "--html", str(page), *QUICK]
    main(["inspect", str(tiny_models["clean"]), "--pack", str(tiny_pack.folder), *asked])
    told = capsys.readouterr()
    report = Report.from_dict(json.loads(out.read_text()))
    said = {one["method"]: one for one in report.opinions}
    assert said["linear_weights"]["threshold"] == 0.5 and 0 < said["linear_weights"]["statistic"] < 1
    assert said["mntd"]["statistic"] is None and "pack learn" in said["mntd"]["sentence"]
    assert said["linear_weights"]["sentence"] in told.out and "take no part in the verdict" in told.out
    assert "<h2>Second opinions</h2>" in page.read_text(encoding="utf-8")
    for path in (out, page):
        found = verify_report(path, [tiny_models["clean"]], str(tiny_pack.folder))
        assert found.state == HOLDS, found.checks


def test_a_verdict_stands_where_no_method_could_answer(
    tiny_models: dict[str, Path], tiny_pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.json"
    asked = ["--opinions", "mntd", "--json", str(out), *QUICK]
    code = main(["inspect", str(tiny_models["clean"]), "--pack", str(tiny_pack.folder), *asked])
    assert code in CODES.values()
    (one,) = Report.from_dict(json.loads(out.read_text())).opinions
    assert one["statistic"] is None and "None of the methods can judge this network." in one["sentence"]
    assert "No second opinions: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--methods", "no_such"], "There is no method 'no_such'"),
        (["--images", "x", "--pack", "mnist"], "Give either --pack or --images"),
    ],
)
def test_wrong_arguments_are_one_sentence(
    arguments: list[str], words: str, tiny_models: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["opinions", str(tiny_models["clean"]), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_method_that_is_not_learnt_cannot_be_learnt(
    tiny_pack: Pack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pack", "learn", str(tiny_pack.folder), "--methods", "strip"]) == 2
    assert "STRIP is not learnt ahead" in capsys.readouterr().err


def test_pack_learn_says_where_it_keeps_what_was_learnt(
    tiny_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ti_core.methods.published.ulp.LitmusTraining", partial(LitmusTraining, epochs=1))
    assert main(["pack", "learn", str(tiny_pack.folder), "--methods", "ulp"]) == 0
    said = capsys.readouterr().out
    known = read_learnt(root(), tiny_pack, ["ulp", "mntd"])
    assert set(known) == {"ulp"} and said.startswith(f"ulp: learnt on pack bars, kept as {root()}")
    fitted = [m for m in tiny_pack.members if not m.held_out]
    figures = {
        m.id: method_class("ulp")().opinion(Subject.of_member(tiny_pack, m, known)).statistic for m in fitted
    }
    pairs = [
        (figures[b.id] > figures[a.id]) + (figures[b.id] == figures[a.id]) / 2
        for a in fitted
        for b in fitted
        if b.trojaned and not a.trojaned
    ]
    assert f"AUC {sum(pairs) / len(pairs):.3f} on the networks that it learnt from." in said
    elsewhere = tmp_path / "learnt"
    assert main(["pack", "learn", str(tiny_pack.folder), "--methods", "ulp", "--out", str(elsewhere)]) == 0
    (file,) = elsewhere.iterdir()
    assert file.read_bytes() == (root() / file.name).read_bytes()
