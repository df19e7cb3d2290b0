"""A model that no pack fits: images of the visitor's own reach the worker; their verdict is shown as the weaker one."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from app.charts.classes import class_bars
from app.charts.theme import LIGHT
from app.store import clean_images
from app.store.cases import CaseStore
from tests.app.conftest import Worker
from tests.app.test_pages import opened, page, settled, texts
from tests.inspection.test_without_pack import hidden_pixel, model, own
from ti_core.errors import DataError, NoPackFitsError
from ti_core.inspection.case_without_pack import case_alone
from ti_core.inspection.without_pack import inspect_alone
from ti_core.reference.own_images import WEAKER
from ti_core.results.case import Case
from ti_core.settings import Settings

File = tuple[str, bytes, str]
MODEL: File = ("stranger.pt", b"weights", "application/octet-stream")
UNFIT = (
    "No reference pack fits this model (43 classes, input (3, 32, 32)); bundled are: bars. For a weaker verdict, give"
    " 50 or more clean images of your own with --images."
)


def pictures(count: int) -> list[File]:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(buffer, "PNG")
    return [(f"{i}.png", buffer.getvalue(), "image/png") for i in range(count)]


def archive() -> File:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data, _ in pictures(60):
            file.writestr(name, data)
    return ("mine.zip", buffer.getvalue(), "application/zip")


def uploader(app: AppTest, key: str) -> Any:
    return next(e for e in app.get("file_uploader") if e.key == key)


@pytest.fixture(scope="module", params=["labelled", "unlabelled"])
def alone(request: pytest.FixtureRequest) -> Case:
    images = own(labelled=request.param == "labelled")
    return case_alone(inspect_alone(model(hidden_pixel(), 6), images, Settings(normalisation="none")), images)


@pytest.fixture
def answering(dashboard: Worker, alone: Case) -> Worker:
    """The fake worker, which answers with that case where it is given images."""
    dashboard.alone = alone
    return dashboard


def asked(images: list[File]) -> AppTest:
    """The first page with a model and images handed in, and the button pressed."""
    app = page().run()
    uploader(app, "upload").set_value([MODEL]).run()
    app.segmented_control(key="ground").set_value("alone").run()
    assert app.button(key="inspect").disabled
    uploader(app, "images").set_value(images).run()
    return app.button(key="inspect").click().run()


@pytest.mark.parametrize("images", [[archive()], pictures(60)], ids=["archive", "pictures"])
def test_images_reach_the_worker_and_go_when_it_has_ended(answering: Worker, images: list[File]) -> None:
    app = settled(asked(images), answering)
    assert not app.exception, app.exception
    (request,) = answering.requests
    assert request.get("pack") is None and Path(request["model"]).name == "stranger.pt"
    seen = answering.seen_images[0]
    assert seen == (["mine.zip"] if len(images) == 1 else [f"{i:04d}-{i}.png" for i in range(60)])
    assert not Path(request["images"]).exists() and not Path(request["images"]).parent.exists()


def test_the_verdict_says_aloud_that_it_is_the_weaker_one(answering: Worker, alone: Case) -> None:
    app = settled(asked([archive()]), answering)
    said = texts(app)
    assert '<div class="word"' in said and "Backdoored" in said
    (notice,) = [e.value for e in app.info if e.value == WEAKER]
    assert said.count(notice) == 1, "said once, and not again among the reasons"
    assert "its own classes only, on 80 images of yours" in said and "reference pack None" not in said
    headings = [s.value for s in app.header]
    assert headings[1:] == ["Recovered trigger", "Class by class", "Model file"]
    # Gauge, the four streams that compare classes, and the warps.
    assert len(app.get("plotly_chart")) == 6
    labelled = alone.report.pack["images"]["labelled"]
    said = texts(app.button(key="show-model-file").click().run())
    assert ("not known without labels" in said) is not labelled


def test_what_is_taken_away_names_the_images_and_no_pack(alone: Case) -> None:
    from app.sections import download

    written = download.page(alone, "case")
    assert "--images mine" in written and WEAKER in unescape(written)
    with zipfile.ZipFile(io.BytesIO(download.figures(alone, "case"))) as file:
        assert "classes-windowed.svg" in file.namelist()


def test_its_case_is_found_again_listed_and_told_apart_in_a_comparison(
    dashboard: Worker, home: Path, alone: Case, tiny_cases: dict[str, Case]
) -> None:
    store = CaseStore(home)
    one, two = store.keep(alone), store.keep(tiny_cases["clean"])
    app = opened(one)
    assert not app.exception and WEAKER in texts(app) and not dashboard.requests
    listed = page("cases").run()
    assert "none: own images" in set(listed.dataframe[0].value["Pack"])
    compare = page("compare").run()
    compare.selectbox(key="compare.left").set_value(f"case:{one}").run()
    compare.selectbox(key="compare.right").set_value(f"case:{two}").run()
    assert not compare.exception and "Without reference models there are no saliency pictures" in texts(
        compare
    )


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (pictures(12), "12 pictures were handed in; at least 50"),
        ([archive(), *pictures(1)], "one .npz or .zip by itself"),
    ],
)
def test_images_that_cannot_do_are_refused_in_a_sentence(
    answering: Worker, images: list[File], says: str
) -> None:
    app = asked(images)
    assert not app.exception and says in texts(app).replace("\\", "") and not answering.requests
    from app import state

    assert not list(state.desk().work.iterdir())


class Bytes:
    def __init__(self, name: str, data: bytes = b"x") -> None:
        self.name, self.data = name, data

    def getbuffer(self) -> memoryview:
        return memoryview(self.data)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ([], "No images were handed in"),
        (["a.png"], "One picture was handed in"),
        (["movie.mp4"], "movie.mp4 is neither a picture nor"),
        (["a.zip", "b.npz"], "by itself"),
        ([f"{i}.png" for i in range(clean_images.MOST_PICTURES + 1)], "5,001 pictures"),
    ],
)
def test_every_refusal_of_files_is_a_sentence(tmp_path: Path, names: list[str], says: str) -> None:
    with pytest.raises(DataError, match=says):
        clean_images.put([Bytes(name) for name in names], tmp_path)
    assert not list(tmp_path.iterdir())


def test_too_many_bytes_are_refused_and_names_cannot_leave_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [Bytes("../../same.png") for _ in range(60)]
    path = clean_images.put(files, tmp_path)
    assert sorted(p.name for p in path.iterdir()) == [f"{i:04d}-same.png" for i in range(60)]
    assert clean_images.put([Bytes("../up.zip")], tmp_path) == tmp_path / "up.zip"
    monkeypatch.setattr(clean_images, "MOST_BYTES", 10)
    with pytest.raises(DataError, match="60 bytes, more than the 10 bytes"):
        clean_images.put(files, tmp_path)


def test_where_no_pack_fits_images_are_asked_for_and_the_model_need_not_be_handed_in_again(
    answering: Worker,
) -> None:
    answering.fails, answering.fault = UNFIT, NoPackFitsError.__name__
    app = page().run()
    uploader(app, "upload").set_value([MODEL]).run()
    app = settled(app.button(key="inspect").click().run(), answering)
    said = texts(app).replace("\\", "")
    assert "hand in 50 or more clean images" in said and "--images" not in said
    answering.fails, answering.fault = None, ""
    key = next(e.key for e in app.get("file_uploader") if e.key.startswith("ended."))
    uploader(app, key).set_value([archive()]).run()
    button = next(b for b in app.button if b.key.endswith(".alone"))
    app = settled(button.click().run(), answering)
    assert WEAKER in texts(app) and not app.exception
    first, second = answering.requests
    assert first["model"] == second["model"] and second["images"] and "images" not in first


def test_images_that_the_worker_refuses_can_be_replaced(answering: Worker) -> None:
    answering.fails = "mine.zip holds 12 images; at least 50 clean ones are needed without a reference pack."
    app = settled(asked([archive()]), answering)
    assert "holds 12 images" in texts(app).replace("\\", "")
    answering.fails = None
    key = next(e.key for e in app.get("file_uploader") if e.key.startswith("ended."))
    uploader(app, key).set_value(pictures(60)).run()
    button = next(b for b in app.button if b.key.endswith(".alone"))
    assert WEAKER in texts(settled(button.click().run(), answering))


def test_another_failure_asks_for_no_images(answering: Worker) -> None:
    answering.fails = "The file is nested too deeply to be read."
    app = page().run()
    app.button(key="sample.bars.patch").click().run()
    app = settled(app, answering)
    assert not [e for e in app.get("file_uploader") if e.key.startswith("ended.")]


def test_a_model_of_other_images_than_the_packs_can_be_seen_on_ones_own(
    answering: Worker, home: Path, tiny_cases: dict[str, Case]
) -> None:
    case = tiny_cases["clean"]
    blind = replace(
        case, decisions={}, arrays={}, report=replace(case.report, verdict="inconclusive", probability=0.5)
    )
    app = opened(CaseStore(home).keep(blind))
    assert not app.exception and "without reference models, on clean images" in texts(app)
    key = next(e.key for e in app.get("file_uploader") if e.key.endswith(".images"))
    uploader(app, key).set_value(pictures(12)).run()
    next(b for b in app.button if b.key.endswith(".alone")).click().run()
    assert "12 pictures were handed in" in texts(app), "the case stays, and the files can be replaced"
    uploader(app, key).set_value([archive()]).run()
    button = next(b for b in app.button if b.key.endswith(".alone"))
    app = settled(button.click().run(), answering)
    assert WEAKER in texts(app) and answering.requests[0]["images"]


def test_a_worker_that_was_asked_for_a_pack_cannot_do_without(answering: Worker) -> None:
    """A model that takes over its process could otherwise choose the weaker ground for itself."""
    answering.cases = {**answering.cases, "patch": answering.alone}
    app = page().run()
    app.button(key="sample.bars.patch").click().run()
    assert "left no valid result" in texts(settled(app, answering))


def test_bars_without_a_band_stand_against_a_line_at_one() -> None:
    values = np.array([0.2, 2.5, 0.4])
    figure = class_bars(["a", "b", "c"], values, (), "times the usual", 1, None, LIGHT)
    assert [t.name for t in figure.data] == ["this model"]
    (line,) = figure.layout.shapes
    assert line.y0 == line.y1 == 1.0
