from __future__ import annotations

import torch
from torch import nn

from ti_core.paper.probes import choose_images, make_probes
from ti_core.settings import Settings

IMAGES = torch.rand(20, 1, 12, 12, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(20) % 3
NETWORK = nn.Sequential(nn.Flatten(), nn.Linear(144, 3)).requires_grad_(False)
SETTINGS = Settings(images=5, actmax_iterations=3, patch_size=4, trigger_kinds=("none", "patch", "blend"))


def test_the_stack_is_clean_then_maximised_then_minimised() -> None:
    images, _ = choose_images(IMAGES, LABELS, SETTINGS)
    probes = make_probes(NETWORK, images, SETTINGS)
    assert probes.stack.shape == (15, 1, 12, 12) and probes.images.shape == (3, 15, 1, 12, 12)
    clean, maximised, minimised = (probes.stack[i : i + 5] for i in (0, 5, 10))
    assert torch.equal(clean, images)
    classes = NETWORK(images).argmax(1, keepdim=True)

    def log_p(x: torch.Tensor) -> torch.Tensor:
        return NETWORK(x).log_softmax(1).gather(1, classes)[:, 0]

    assert bool((log_p(maximised) > log_p(clean)).all()) and bool((log_p(minimised) < log_p(clean)).all())


def test_every_group_shows_the_same_stack_under_its_own_triggers() -> None:
    images, _ = choose_images(IMAGES, LABELS, SETTINGS)
    probes = make_probes(NETWORK, images, SETTINGS)
    for group, triggers in zip(probes.images, probes.triggers, strict=True):
        for shown, plain, spec in zip(group, probes.stack, triggers, strict=True):
            expected = plain if spec is None else spec.render((1, 12, 12)).stamp(plain[None])[0]
            assert torch.equal(shown, expected)
    assert probes.triggers[0] == (None,) * 15
    assert len(set(probes.triggers[1])) == 15, "every image gets its own trigger"


def test_settings_and_seed_decide_everything() -> None:
    def make(**changes: object) -> torch.Tensor:
        settings = SETTINGS.with_(**changes)
        return make_probes(NETWORK, choose_images(IMAGES, LABELS, settings)[0], settings).images

    base = make()
    assert torch.equal(base, make())
    for change in (
        {"seed": 1},
        {"actmax_step": 0.2},
        {"patch_size": 2},
        {"blend_ratio": 0.5},
        {"actmax_lambda": 0.5},
    ):
        assert not torch.equal(base, make(**change)), change


def test_patch_size_bounds_the_patches() -> None:
    settings = SETTINGS.with_(patch_size=2, trigger_kinds=("patch",))
    probes = make_probes(NETWORK, IMAGES[:5], settings)
    assert all(t is not None and t.height <= 2 and t.width <= 2 for t in probes.triggers[0])


def test_fewer_images_than_asked_for_are_all_taken() -> None:
    images, labels = choose_images(IMAGES, LABELS, Settings(images=256))
    assert len(images) == len(labels) == 20
