"""Model folders of any library: which files are read, what is refused, and how images are prepared."""

from __future__ import annotations

import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.damage import MANY
from tests.loading.hub.folders import HALF, other_library, outcomes, put, resnet
from tests.loading.payloads import called, checkpoint, program, shell
from ti_core.classifier.normalisation import NORMALISATIONS
from ti_core.errors import ModelFileError, RefusedFileError, SketchError
from ti_core.loading import describe_file, load_model
from ti_core.loading.digest import digest_of, sha256_of
from ti_core.loading.hub.configuration import class_names, settings_in
from ti_core.loading.hub.files import choose, looks_like_hub
from ti_core.loading.hub.opening import UNPLACED
from ti_core.loading.hub.preparation import USUAL, preparation_of
from ti_core.loading.model_file import read_model_file
from ti_core.loading.opening import layers_in
from ti_core.scan.scan import model_files

X = torch.rand(2, 3, 48, 48)


def same(model: Any) -> bool:
    state, other = model.module.state_dict(), resnet().state_dict()
    return state.keys() == other.keys() and tuple(model.module(X).shape) == (2, 4)


def zipped(folder: Path, top: str = "") -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as out:
        for file in sorted(folder.iterdir()):
            out.write(file, top + file.name)
    return path


def test_a_folder_of_another_library_opens_by_its_tensors(tmp_path: Path) -> None:
    folder = other_library(tmp_path / "r18", label_names=["a", "b", "c", "d"])
    model = load_model(folder)
    assert (model.file, model.format, model.architecture) == ("r18", "model folder", "resnet")
    assert (model.classes, model.input_shape, model.declared) == (4, (3, 48, 48), "imagenet")
    assert model.class_names == ("a", "b", "c", "d")
    assert same(model) and "stem=stride" in model.variants
    assert any("0.485, 0.456, 0.406" in remark for remark in model.remarks)


@pytest.mark.parametrize("top", ["", "folder/"])
def test_a_zip_archive_of_a_folder_opens(tmp_path: Path, top: str) -> None:
    folder = other_library(tmp_path / "m")
    model = load_model(zipped(folder, top))
    assert same(model) and model.file == "m.zip"
    assert describe_file(tmp_path / "m.zip").opens


def test_the_digest_covers_what_is_read(tmp_path: Path) -> None:
    folder = other_library(tmp_path / "m")
    before = sha256_of(folder)
    assert before == digest_of(folder) == load_model(folder).sha256 == describe_file(folder).sha256
    (folder / "README.md").write_text("x")
    assert sha256_of(folder) == before
    put(folder, preprocessor_config=HALF)
    assert sha256_of(folder) != before


def test_files_of_code_are_never_opened(tmp_path: Path) -> None:
    folder = other_library(tmp_path / "m")
    (folder / "modeling_own.py").symlink_to(tmp_path / "missing")
    model = load_model(folder)
    assert any("modeling_own.py" in remark and "not read" in remark for remark in model.remarks)


@pytest.mark.parametrize(
    "config",
    [
        {"auto_map": {"AutoModel": "own.Net"}},
        {"custom_pipelines": {"x": {"impl": "own.Pipe"}}},
        {"vision_config": {"trust_remote_code": True}},
    ],
)
def test_a_folder_that_asks_for_its_own_code_is_refused_by_name(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    folder = other_library(tmp_path / "m", **config)
    name = next(iter(config)) if "vision_config" not in config else "trust_remote_code"
    with pytest.raises(RefusedFileError, match=name):
        load_model(folder)
    report = describe_file(folder)
    assert not report.opens and name in str(report)


def test_weights_of_several_kinds(tmp_path: Path) -> None:
    folder = other_library(tmp_path / "m")
    torch.save(resnet().state_dict(), folder / "pytorch_model.bin")
    (folder / "tf_model.h5").write_bytes(b"x")
    model = load_model(folder)
    assert any("pytorch_model.bin, tf_model.h5" in remark for remark in model.remarks)
    (folder / "model.safetensors").unlink()
    assert same(load_model(folder))
    (folder / "pytorch_model.bin").rename(folder / "one.bin")
    assert same(load_model(folder))
    (folder / "two.safetensors").write_bytes(b"x")
    with pytest.raises(ModelFileError, match=r"several weight files \(one.bin, two.safetensors\)"):
        load_model(folder)


def sharded(folder: Path) -> Path:
    state = resnet().state_dict()
    names = sorted(state)
    put(folder, config={"architecture": "resnet"})
    places = {}
    for number in (1, 2):
        file = f"model-0000{number}-of-00002.safetensors"
        part = {name: state[name] for name in names[number - 1 :: 2]}
        save_file(part, folder / file)
        places |= dict.fromkeys(part, file)
    put(folder, **{"model.safetensors.index": {"weight_map": places}})
    return folder


def test_weights_in_several_files(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "m")
    assert same(load_model(folder))
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    put(folder, **{"model.safetensors.index": {"weight_map": {**index, "more": "model-3.safetensors"}}})
    with pytest.raises(ModelFileError, match=r"lacks the weight file model-3\.safetensors"):
        load_model(folder)
    first = sorted(index)[0]
    put(folder, **{"model.safetensors.index": {"weight_map": {k: v for k, v in index.items() if k != first}}})
    with pytest.raises(ModelFileError, match="disagree on the tensor"):
        load_model(folder)
    put(folder, **{"model.safetensors.index": "[]"})
    with pytest.raises(ModelFileError, match="does not say where the weights are"):
        load_model(folder)
    put(folder, **{"model.safetensors.index": {"weight_map": index}})
    (folder / index[first]).write_bytes((folder / "model-00002-of-00002.safetensors").read_bytes())
    with pytest.raises(ModelFileError, match="Two weight files of the folder hold the tensor"):
        load_model(folder)
    save_file(resnet().state_dict(), folder / "model.safetensors")
    with pytest.raises(ModelFileError, match="weights twice"):
        load_model(folder)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    folder = put(tmp_path / "m", config={})
    with pytest.raises(ModelFileError, match="no weights: there is no model"):
        load_model(folder)
    (folder / "tf_model.h5").write_bytes(b"x")
    with pytest.raises(ModelFileError, match=r"tf_model\.h5 cannot be read here"):
        load_model(folder)
    with pytest.raises(ModelFileError, match=r"cannot be read as a model: it holds no config\.json"):
        load_model(tmp_path)
    (folder / "model.safetensors").mkdir()
    with pytest.raises(ModelFileError, match="no weights"):
        sha256_of(folder)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "no valid JSON"),
        ("[]", "not a group of settings"),
        ('{"a": 1, "a": 2}', "stands twice"),
        ('{"hidden_size": 1000000000}', "the limit is 1,000,000"),
        ('{"hidden_size": Infinity}', "no valid JSON"),
        ('{"a": ' + '{"a": ' * 12 + "1" + "}" * 13, "nested more than"),
        ('{"id2label": {"0": "a", "2": "b"}}', "each of the classes"),
        ('{"id2label": {"0": 1}}', "does not name the classes"),
        ('{"id2label": {"0": "a", "1": "b"}}', "names 2 classes, and the network tells 4 apart"),
    ],
)
def test_a_damaged_configuration_is_one_sentence(tmp_path: Path, text: str, told: str) -> None:
    folder = other_library(tmp_path / "m")
    put(folder, config=text)
    with pytest.raises(ModelFileError, match=told):
        load_model(folder)


def test_a_malicious_weight_file_is_refused(tmp_path: Path) -> None:
    folder = other_library(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    canary = tmp_path / "canary"
    (folder / "pytorch_model.bin").write_bytes(checkpoint(program(called("posix", "system", shell(canary)))))
    with pytest.raises(RefusedFileError):
        load_model(folder)
    assert not describe_file(folder).is_safe and not canary.exists()


def test_an_archive_that_would_swell_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("config.json", "{}")
        out.writestr("model.safetensors", bytes(40 << 20))
    with pytest.raises(RefusedFileError, match="swell"):
        load_model(path)


def test_a_file_of_settings_has_a_limit(tmp_path: Path) -> None:
    folder = other_library(tmp_path / "m")
    put(folder, config='{"a": "' + "x" * (9 << 20) + '"}')
    with pytest.raises(RefusedFileError, match="limit for such a file"):
        load_model(folder)


def test_damaged_folders_open_as_equal_models_or_not_at_all(tmp_path: Path) -> None:
    folder = other_library(tmp_path / "m")
    data = zipped(folder).read_bytes()
    rng = random.Random("hub")
    for number in range(MANY or 60):
        changed = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path = tmp_path / f"{number % 4}.zip"
        path.write_bytes(bytes(changed))
        try:
            assert same(load_model(path))
        except ModelFileError as error:
            assert str(error)
        else:
            assert describe_file(path).opens


@pytest.mark.parametrize("which", ["config", "preprocessor_config"])
def test_mutated_settings_of_another_library_open_or_are_refused(tmp_path: Path, which: str) -> None:
    folder = other_library(tmp_path / "m")
    if which == "preprocessor_config":
        put(folder, preprocessor_config=HALF)
    found = outcomes(folder, tmp_path / "changed", MANY or 80, which)
    assert found[True] and found[False]


def test_the_names_of_usual_scalings_are_the_classifiers() -> None:
    for name, (mean, std) in USUAL.items():
        assert NORMALISATIONS[name].mean == mean and NORMALISATIONS[name].std == std


def test_preparations() -> None:
    assert preparation_of(None, 3).name is None and "by trial" in preparation_of(None, 3).remark()
    assert preparation_of(HALF, 3).name == "half"
    assert preparation_of({**HALF, "do_normalize": False}, 3).name == "none"
    plain = preparation_of({"do_rescale": False, "do_normalize": False}, 3)
    assert plain.std == (pytest.approx(1 / 255),)
    # Scaled to -1 to 1 first, and then nothing more.
    offset = {"rescale_factor": 2 / 255, "rescale_offset": True, "do_normalize": False}
    assert preparation_of(offset, 3).name == "half"
    twice = preparation_of({**HALF, "include_top": True}, 3)
    assert twice.std == pytest.approx((0.25,) * 3) and twice.mean == (0.5,) * 3
    assert preparation_of({**HALF, "image_mean": [0.4], "image_std": 0.2}, 1).mean == (0.4,)
    assert (
        preparation_of({"size": {"shortest_edge": 256}, "crop_size": 224, "do_center_crop": True}, 3).side
        == 224
    )
    one_mean = preparation_of({**HALF, "image_mean": 0.5}, 3)
    assert one_mean.name == "half" and preparation_of({**HALF, "image_std": [0.5, 0.5, 0.4]}, 3).name is None
    four = preparation_of({**HALF, "image_mean": [0.5] * 4, "image_std": [0.5] * 4}, 4)
    assert (
        four.name == "half"
        and preparation_of({**HALF, "image_mean": [0.4] * 4, "image_std": 1}, 4).name is None
    )
    for odd in ({"height": {"width": 3}}, [{"a": 1}], {"shortest_edge": []}, [], "32", 1.5, -1):
        with pytest.raises(ModelFileError, match="no whole number"):
            preparation_of({"size": odd}, 3)
    assert preparation_of({"size": 96}, 3).side == preparation_of({"size": [96, 96]}, 3).side == 96


def test_a_scaling_without_a_name_stands_in_front_of_the_network(tmp_path: Path) -> None:
    folder = other_library(tmp_path / "m")
    plain = load_model(folder).module
    told = {
        **HALF,
        "image_mean": [0.1, 0.2, 0.3],
        "image_std": [0.4, 0.5, 0.6],
        "do_flip_channel_order": True,
    }
    put(folder, preprocessor_config=told)
    model = load_model(folder)
    assert model.declared == "none" and any("blue channel first" in remark for remark in model.remarks)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6]))
    torch.testing.assert_close(model.module(X), plain(((X - mean) / std).flip(1)))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"size": {"height": 32, "width": 64}}, "images of 32 x 64; only square"),
        ({"image_std": [0.0, 1.0, 1.0]}, "more than 0"),
        ({"image_mean": [1, 2]}, "2 numbers for image_mean"),
        ({"image_mean": "x"}, "is no number"),
        ({"rescale_factor": True}, "is no number"),
        ({"do_normalize": 3}, "neither true nor false"),
        ({"size": "big"}, "no whole number"),
        ({"size": {"height": -1}}, "no whole number"),
    ],
)
def test_a_damaged_preparation_is_one_sentence(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    folder = put(other_library(tmp_path / "m"), preprocessor_config={**HALF, **changes})
    with pytest.raises(ModelFileError, match=told):
        load_model(folder)


def test_a_scan_takes_a_model_folder_as_one_model(tmp_path: Path) -> None:
    folder = other_library(tmp_path / "models" / "hub")
    torch.save(resnet().state_dict(), folder / "pytorch_model.bin")
    torch.save(resnet().state_dict(), tmp_path / "models" / "single.pt")
    assert model_files([tmp_path / "models"]) == [folder, tmp_path / "models" / "single.pt"]
    assert model_files([folder]) == [folder]


def test_names_decide_what_is_a_model_folder() -> None:
    assert looks_like_hub(["config.json", "model.safetensors.index.json"])
    assert not looks_like_hub(["config.json", "model.onnx"]) and not looks_like_hub(["model.safetensors"])
    assert choose(["config.json", "model.safetensors", "model.fp16.safetensors"]).other_weights == (
        "model.fp16.safetensors",
    )
    assert class_names({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}) == ()
    assert settings_in(b'{"auto_map": null}', "config.json") == {"auto_map": None}


def test_a_zip_without_weights_is_another_kind_of_archive(tmp_path: Path) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as out:
        out.writestr("a/b/config.json", "{}")
        out.writestr("a/b/model.safetensors", b"x")
    (tmp_path / "deep.zip").write_bytes(held.getvalue())
    with pytest.raises(ModelFileError, match="zip archive"):
        load_model(tmp_path / "deep.zip")


def own_network(folder: Path, **config: Any) -> nn.Module:
    """A folder as a hub's library writes it of anybody's network: the configuration holds its own options."""
    net = nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(6 * 144, 12), nn.ReLU()
    )
    net.append(nn.Linear(12, 4))
    put(folder, config={"hidden": 12, **config})
    names = {"0": "conv1", "4": "fc1", "6": "fc2"}
    state = {
        f"{names[key.partition('.')[0]]}.{key.partition('.')[2]}": t for key, t in net.state_dict().items()
    }
    save_file(state, folder / "model.safetensors")
    return net.eval()


SKETCH = "conv 6 5; relu; maxpool 2; flatten; linear 12; relu; linear 4"


@pytest.mark.parametrize("archive", [False, True])
def test_a_network_that_is_not_registered_is_reconstructed(tmp_path: Path, archive: bool) -> None:
    net = own_network(tmp_path / "m", label_names=["a", "b", "c", "d"])
    path = zipped(tmp_path / "m") if archive else tmp_path / "m"
    model = load_model(path)
    assert (model.architecture, model.format, model.classes) == ("reconstructed", "model folder", 4)
    assert model.proposal is not None and model.class_names == ("a", "b", "c", "d")
    drawn = load_model(path, sketch=SKETCH)
    x = torch.rand(2, 1, 28, 28)
    torch.testing.assert_close(drawn.module(x), net(x))
    assert len(layers_in(read_model_file(path))) == 3


def test_scaling_with_a_name_is_tried_first_and_another_is_told_to_be_left_out(tmp_path: Path) -> None:
    own_network(tmp_path / "m")
    put(tmp_path / "m", preprocessor_config=HALF)
    assert load_model(tmp_path / "m").declared == "half"
    put(tmp_path / "m", preprocessor_config={**HALF, "image_mean": [0.1, 0.2, 0.3]})
    model = load_model(tmp_path / "m")
    assert model.declared is None and UNPLACED in model.remarks


def test_a_folder_with_more_names_than_classes_is_damaged_also_where_it_is_reconstructed(
    tmp_path: Path,
) -> None:
    own_network(tmp_path / "m", label_names=["a", "b"])
    with pytest.raises(ModelFileError, match=r"names 2 classes, and the network tells 4 apart"):
        load_model(tmp_path / "m")


def test_a_folder_that_says_what_its_network_is_takes_no_sketch(tmp_path: Path) -> None:
    own_network(tmp_path / "m", model_type="vit")
    with pytest.raises(SketchError, match="none"):
        layers_in(read_model_file(tmp_path / "m"))
    with pytest.raises(ModelFileError):
        load_model(tmp_path / "m", sketch=SKETCH)
