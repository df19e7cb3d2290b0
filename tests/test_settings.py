from __future__ import annotations

import pytest

from ti_core.errors import SettingsError
from ti_core.settings import Settings


def test_texts_become_numbers_and_lists() -> None:
    settings = Settings.parse(
        {"images": "12", "quantiles": "0.5, .9", "streams": "saliency", "actmax_step": "1"}
    )
    assert (settings.images, settings.quantiles, settings.streams) == (12, (0.5, 0.9), ("saliency",))
    assert settings.actmax_step == 1.0


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ({"quantile": "0.5"}, ["quantile", "unknown", "quantiles"]),
        ({"quantiles": "1.5"}, ["quantiles", "1.5", "between"]),
        ({"quantiles": ""}, ["quantiles", "empty"]),
        ({"quantiles": "0.5,0.5"}, ["quantiles", "twice"]),
        ({"images": "0"}, ["images", "0", "between 1 and"]),
        ({"images": "many"}, ["images", "many", "int"]),
        ({"images": "nan"}, ["images"]),
        ({"actmax_lambda": "nan"}, ["actmax_lambda", "between"]),
        ({"trigger_kinds": "sticker"}, ["trigger_kinds", "sticker", "patch"]),
        ({"streams": "saliency,magic"}, ["streams", "magic"]),
        ({"histogram_form": "round"}, ["histogram_form", "pooled"]),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_right(pairs: dict[str, str], words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.parse(pairs)
    for word in words:
        assert word in str(caught.value)


def test_bool_is_no_number() -> None:
    with pytest.raises(SettingsError):
        Settings(images=True)


def test_the_digest_of_a_stage_follows_its_own_settings_only() -> None:
    base = Settings()
    assert base.digest("probes") == Settings(bins=9).digest("probes")
    assert base.digest("profile") != Settings(bins=9).digest("profile")
    assert base.digest("probes") != Settings(images=31).digest("probes")


def test_every_setting_says_what_it_does_and_survives_a_round_trip() -> None:
    import dataclasses
    import json

    for f in dataclasses.fields(Settings):
        assert f.metadata["says"].endswith(".") and f.metadata["stage"] in {
            "probes",
            "profile",
            "evidence",
            "view",
        }
    settings = Settings(bins=9, quantiles=(0.25, 0.75))
    assert Settings.parse(json.loads(json.dumps(settings.as_dict()))) == settings


def test_what_differs_is_what_was_turned() -> None:
    turned = Settings(images=9, quantiles=(0.5, 0.9))
    assert turned.differing(Settings()) == {"images": 9, "quantiles": (0.5, 0.9)}
    assert Settings().with_(**turned.differing(Settings())) == turned
    assert not turned.differing(turned)
