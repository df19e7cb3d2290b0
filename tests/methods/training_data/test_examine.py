from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.methods.training_data.planted import SOURCE, TARGET, files, images, network
from ti_core.classifier.scores import Scores
from ti_core.errors import DataError, ModelBehaviourError
from ti_core.loading import load_model
from ti_core.methods.training_data.examine import examine
from ti_core.methods.training_data.hidden import hidden_activations
from ti_core.methods.training_data.record import Found, class_sentence
from ti_core.methods.training_data.task import examine_data
from ti_core.reference.own_images import OwnImages, load_own_images
from ti_core.system.progress import silent_share, silent_stage


def own(**changes: object) -> OwnImages:
    x, y, _ = images()
    return OwnImages("training", **({"pixels": x[:, None], "labels": y} | changes))  # type: ignore[arg-type]


def test_the_hidden_activations_are_what_the_last_layer_is_given() -> None:
    net = network()
    x, _, _ = images(100)
    found = hidden_activations(Scores(net, "none"), x[:, None], "m", silent_share)
    first = next(m for m in net.modules() if isinstance(m, nn.Linear))
    expected = torch.relu(first(torch.from_numpy(x).flatten(1).float() / 255))
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_feature_maps_are_averaged_and_attention_is_no_layer() -> None:
    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.head = nn.Conv2d(1, 3, 3), nn.Conv2d(3, 2, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            maps = torch.relu(self.stem(x))
            scores: torch.Tensor = self.head(maps).flatten(1)
            tokens = scores[:, :, None]
            return scores + (tokens @ tokens.transpose(1, 2)).sum(2) * 0

    x = np.zeros((3, 1, 6, 6), dtype=np.uint8)
    net = Head()
    found = hidden_activations(Scores(net, "none"), x, "m", silent_share)
    np.testing.assert_allclose(found, np.tile(torch.relu(net.stem.bias).detach().numpy(), (3, 1)), rtol=1e-5)


def test_planted_poison_is_found_to_the_image(tmp_path: Path) -> None:
    model, _ = files(tmp_path)
    found = examine(load_model(model), own(), rate=0.1)
    assert [one.suspicious for one in found.classes] == [c == TARGET for c in range(4)]
    one = found.classes[TARGET]
    poisoned = images()[2]
    assert sorted(one.images[one.clustered]) == poisoned.nonzero()[0].tolist()
    assert one.reclassified is not None and one.reclassified.other == SOURCE
    # A class of 120 images and a rate of a tenth: 18 are removed, and the trigger makes all of them stand out.
    assert one.removed.sum() == 18 and poisoned[one.images[one.removed]].all()
    assert found.count == 400 and found.width == 8 and found.accuracy == 1.0


def test_clean_training_data_is_not_suspicious(tmp_path: Path) -> None:
    model, data = files(tmp_path, poisoned=0)
    assert not any(one.suspicious for one in examine(load_model(model), load_own_images(data), 0.05).classes)


def test_the_task_leaves_a_valid_record_with_pictures(tmp_path: Path) -> None:
    x, y, poisoned = images()
    model, data = files(tmp_path, labels=np.where(y == 1, np.arange(400) % 20 // 19 + 1, y))
    request = {"model": str(model), "images": str(data), "rate": 0.1}
    examine_data(request, tmp_path, silent_stage, None)  # type: ignore[arg-type]
    record = json.loads((tmp_path / "training.json").read_text())
    pictures = (tmp_path / "training.safetensors").read_bytes()
    found = Found.of(record, pictures)
    (one,) = found.suspicious
    assert record["classes"][0] == one and one["name"] == str(TARGET) and one["clustered"] == 20
    assert {image["place"] for image in one["images"] if image["clustered"]} == set(
        map(str, poisoned.nonzero()[0])
    )
    shown = [image for image in one["images"] if image["picture"] is not None]
    assert len(shown) == 20 and one["both"] == 18
    first = shown[0]
    assert np.array_equal(found.pictures[first["picture"], 0], x[int(first["place"])])
    assert "finds poison in 1 of" in found.sentence() and "this is poison" in class_sentence(one)
    for wrong, what in (
        ({"rate": 0.9}, "rate"),
        ({"classes": [one | {"clustered": -1}]}, "clustered"),
        ({"extra": 1}, "extra"),
    ):
        with pytest.raises(DataError, match=f"no valid result.*{what}"):
            Found.of(record | wrong, pictures)
    with pytest.raises(DataError, match="fewer pictures"):
        Found.of(record | {"classes": [one | {"images": [first | {"picture": 4000}]}]}, pictures)
    with pytest.raises(DataError, match="no valid pictures"):
        Found.of(record, b"nonsense")


def test_a_class_with_too_few_images_is_said_to_be_so() -> None:
    told = class_sentence({"examined": False, "count": 3})
    assert told.startswith("3 images are too few")
    alike = class_sentence({"examined": True, "silhouette": None})
    assert "same values" in alike


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labels": None}, "training has no labels"),
        ({"labels": np.zeros(400, dtype=np.int64)}, "are of one class"),
        ({"labels": np.arange(400)}, "at most 1 images of a class"),
        ({"labels": np.arange(400) % 5}, "tells 4 classes apart"),
    ],
)
def test_what_the_images_lack_is_said(tmp_path: Path, changes: dict[str, object], says: str) -> None:
    model, _ = files(tmp_path)
    with pytest.raises((DataError, ModelBehaviourError), match=says):
        examine(load_model(model), own(**changes), 0.05)


def test_labels_that_the_model_does_not_give_are_refused(tmp_path: Path) -> None:
    model, _ = files(tmp_path)
    labels = (images()[1] + 1) % 4
    with pytest.raises(ModelBehaviourError, match="trained on other images or labels"):
        examine(load_model(model), own(labels=labels), 0.05)


def test_a_network_without_a_hidden_layer_is_refused() -> None:
    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(144, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.fc(x.flatten(1))
            return scores

    x = images(60)[0][:, None]
    with pytest.raises(ModelBehaviourError, match=r"flat\.pt has no hidden layer"):
        hidden_activations(Scores(Flat(), "none"), x, "flat.pt", silent_share)

    class Joined(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = nn.functional.linear(x.flatten(1), torch.ones(4, 144))
            return nn.functional.linear(x.reshape(1, -1), torch.ones(60 * 4, 60 * 4)).reshape(60, 4)

    with pytest.raises(ModelBehaviourError, match="does not hold one row an image"):
        hidden_activations(Scores(Joined(), "none"), x, "m", silent_share)


def test_too_few_images_name_the_purpose(tmp_path: Path) -> None:
    np.savez(tmp_path / "few.npz", images=np.zeros((9, 12, 12), np.uint8), labels=np.zeros(9, np.int64))
    model, _ = files(tmp_path)
    request = {"model": str(model), "images": str(tmp_path / "few.npz"), "rate": 0.1}
    with pytest.raises(DataError, match="holds 9 images; at least 50 are needed to examine training data"):
        examine_data(request, tmp_path, silent_stage, None)  # type: ignore[arg-type]
