"""A pack's clean networks as bases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ti_core.architectures import build
from ti_core.classifier.normalisation import behind
from ti_core.errors import PackError
from ti_core.reference.pack import Pack
from ti_core.zoo.packs.bases import write_bases
from ti_core.zoo.training.members import adopt_bases, bases_in, finished


def test_a_base_is_the_members_network_with_its_group_and_side(tiny_pack: Pack, tmp_path: Path) -> None:
    written = write_bases(tiny_pack, tmp_path / "bases")
    assert {b.group for b in written} <= {m.group for m in tiny_pack.members if m.label == "clean"}
    assert len({b.group for b in written}) == len(written)
    read = bases_in(tmp_path / "bases")
    assert {b.id for b in read} == {b.id for b in written}
    member = next(m for m in tiny_pack.members if f"base-{m.id}" == written[0].id)
    network = build(written[0].architecture, **written[0].options)
    state = load_file(tmp_path / "bases" / f"{written[0].id}.safetensors")
    network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    x = tiny_pack.images[:8]
    with torch.no_grad():
        own = behind(written[0].normalisation, network)(x)
        assert torch.allclose(own - own.mean(1, keepdim=True), tiny_pack.scores(member)(x), atol=1e-4)
    assert (written[0].group, written[0].held_out) == (member.group, member.held_out)
    adopt_bases(read, tmp_path / "bases", tmp_path / "zoo")
    assert all(finished(base, tmp_path / "zoo") is not None for base in read)


def test_a_pack_without_clean_networks_or_recipes_has_no_bases(tiny_pack: Pack, tmp_path: Path) -> None:
    def with_members(members: list[dict[str, object]]) -> Pack:
        kept = {member["id"] for member in members}
        own = tuple(m for m in tiny_pack.members if m.id in kept)
        return replace(tiny_pack, record={**tiny_pack.record, "members": members}, members=own)

    members = tiny_pack.record["members"]
    with pytest.raises(PackError, match="no ordinary clean members"):
        write_bases(with_members([m for m in members if m["label"] != "clean"]), tmp_path)
    with pytest.raises(PackError, match="does not say how"):
        write_bases(with_members([{k: v for k, v in m.items() if k != "recipe"} for m in members]), tmp_path)
