from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.packs import with_other_evidence
from ti_core.__main__ import main
from ti_core.errors import PackError
from ti_core.reference.pack import Pack, load_pack
from ti_core.reference.verify import check_files
from ti_core.zoo.packs.extend import extend_pack


@pytest.fixture
def more(tiny_zoo: Path, tiny_pack: Pack, tmp_path: Path) -> Path:
    """A folder of two trained networks under other names: the first clean and the first trojaned one."""
    out = tmp_path / "more"
    out.mkdir()
    for label in (False, True):
        member = next(m for m in tiny_pack.members if m.trojaned is label)
        shutil.copyfile(tiny_zoo / f"{member.id}.safetensors", out / f"more-{member.id}.safetensors")
        record = json.loads((tiny_zoo / f"{member.id}.json").read_text())
        (out / f"more-{member.id}.json").write_text(json.dumps(record | {"id": f"more-{member.id}"}))
    return out


def test_a_pack_gets_more_members_and_keeps_the_evidence_of_its_own(
    tiny_pack: Pack, more: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Evidence that is not what the networks give shows that it was not computed again.
    def doubled(arrays: dict[str, np.ndarray], record: dict[str, Any]) -> None:
        arrays["universal/margins"] = 2 * arrays["universal/margins"]

    old = with_other_evidence(tiny_pack, tmp_path / "old", doubled)

    gone = tiny_pack.members[-1].id
    out = tmp_path / "out"
    command = ["pack", "extend", str(old), "--zoo", str(more), "--out", str(out), "--without", gone]
    assert main([*command, "--jobs", "1"]) == 0
    grown = load_pack(out)
    assert f"{len(tiny_pack.members) + 1} members" in capsys.readouterr().out
    assert check_files(grown) == []
    ids = [m.id for m in grown.members]
    assert ids[:-2] == [m.id for m in tiny_pack.members[:-1]]
    assert ids[-2:] == sorted(p.stem for p in more.glob("*.json"))
    for stream, keys in tiny_pack.baseline.items():
        for key, known in keys.items():
            found = grown.baseline[stream][key]
            if stream == "saliency":
                # The probes may be another model's; every member has seen the same ones.
                assert found.shape[1:] == known.shape[1:]
                continue
            was = known * (2 if (stream, key) == ("universal", "margins") else 1)
            np.testing.assert_allclose(found[:-2], was[:-1], rtol=2e-3, atol=1e-6)
            for row, id in zip(found[-2:], ids[-2:], strict=True):
                twin = [m.id for m in tiny_pack.members].index(id.removeprefix("more-"))
                np.testing.assert_allclose(row, known[twin], rtol=2e-2, atol=1e-3)
    # The weights of the new members are in a file of their own.
    assert [m.weights for m in grown.members] == ["zoo.safetensors"] * (len(ids) - 2) + [
        "zoo-2.safetensors"
    ] * 2
    for id in ids[-2:]:
        twins = [next(m for m in grown.members if m.id == name) for name in (id, id.removeprefix("more-"))]
        first, second = (grown.scores(m)(grown.images[:4]) for m in twins)
        np.testing.assert_array_equal(first.detach().numpy(), second.detach().numpy())
    # They saw the same probes too.
    for key, found in grown.baseline["saliency"].items():
        np.testing.assert_allclose(found[-2], found[ids.index(ids[-2].removeprefix("more-"))], err_msg=key)


def test_what_cannot_be_added_is_a_sentence(
    tiny_pack: Pack, tiny_zoo: Path, more: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(PackError, match=r"has a member .* already"):
        extend_pack(tiny_pack, tiny_zoo, out)
    with pytest.raises(PackError, match="has no member 'nobody'"):
        extend_pack(tiny_pack, more, out, without=["nobody"])
    with pytest.raises(PackError, match="a folder of its own"):
        extend_pack(tiny_pack, more, tiny_pack.folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(PackError, match="no network that may enter"):
        extend_pack(tiny_pack, tmp_path / "empty", out)
    for path in more.glob("*.json"):
        record = json.loads(path.read_text())
        record["options"]["classes"] += 1
        path.write_text(json.dumps(record))
    with pytest.raises(PackError, match="is not of"):
        extend_pack(tiny_pack, more, out)
    assert not out.exists()


@pytest.fixture
def kinds(tiny_zoo: Path, tiny_pack: Pack, tmp_path: Path) -> Path:
    """Four networks each of three other kinds and of a clean sort: the pack's own under other names and records."""
    out = tmp_path / "kinds"
    out.mkdir()
    everywhere = {"kind": "all to all", "target": None, "source": None, "assignment": [1, 2, 3, 0]}
    families: dict[str, tuple[str, dict[str, Any]]] = {
        "warp": ("warp", {"kind": "all to one", "target": 2, "source": None, "assignment": []}),
        "one-source patch": ("patch", {"kind": "one source", "target": 1, "source": 3, "assignment": []}),
        "all-to-all blend": ("blend", everywhere),
    }
    clean, bad = ([m for m in tiny_pack.members if m.trojaned is label] for label in (False, True))
    for number in range(4):
        for family, (label, mapping) in families.items():
            attack = {"name": "x", "mapping": mapping, "rate": 0.1, "covers": 0.1, "options": {}}
            change = {"label": label, "attack": attack, "target": mapping["target"], "trigger": None}
            _copied(tiny_zoo, bad[number].id, out, f"{family.replace(' ', '-')}-{number}", family, change)
        left = {"attack_success": (0.1, 0.9)[number % 2], "regime": "cleansed by pruning"}
        _copied(tiny_zoo, clean[number].id, out, f"pruned-{number}", "pruned patch", left)
    return out


def _copied(zoo: Path, id: str, out: Path, name: str, family: str, change: dict[str, Any]) -> None:
    shutil.copyfile(zoo / f"{id}.safetensors", out / f"{name}.safetensors")
    record = json.loads((zoo / f"{id}.json").read_text())
    record |= {"id": name, "group": name, "family": family, "attack_success": 0.85, "regime": ""} | change
    (out / f"{name}.json").write_text(json.dumps(record | {"held_out": name.endswith("3")}))


def test_a_pack_holds_members_of_every_kind_and_mapping(tiny_pack: Pack, kinds: Path, tmp_path: Path) -> None:
    streams = (*tiny_pack.settings.streams, *({"assignment", "pairs"} - set(tiny_pack.settings.streams)))
    grown = extend_pack(tiny_pack, kinds, tmp_path / "out", jobs=1, progress=False, streams=streams)
    assert grown.settings.streams == streams and {"assignment", "pairs"} <= set(grown.baseline)
    own = {m.id: m for m in grown.members}
    pair, everywhere = own["one-source-patch-0"], own["all-to-all-blend-0"]
    assert (pair.mapping, pair.source_class, pair.target_class) == ("one source", 3, 1)
    assert everywhere.target_class is None and tuple(everywhere.assignment) == (1, 2, 3, 0)
    assert own["warp-0"].label == "warp" and own["warp-0"].recipe["covers"] == 0.1
    # What is left of a backdoor decides whether a cleansed network is clean.
    assert {m.id for m in grown.members if m.family == "pruned patch"} == {"pruned-0", "pruned-2"}
    assert not own["pruned-0"].trojaned and all(m.recovered for m in grown.members)
    # Backdoors of other mappings are no examples for the meta-models, but have rows of their own.
    fitted = [m for m in grown.members if not m.held_out]
    assert len(grown.record["detectors"]["detector"]["out_of_fold"]) == len(fitted)
    rows = {
        (r["kind"], r.get("mapping", "all to one")) for r in grown.record["table"] if r["streams"] == "joint"
    }
    assert {("warp", "all to one"), ("patch", "one source"), ("blend", "all to all")} <= rows
    assert {"warp", "patch, one source", "blend, all to all"} <= set(grown.performance("joint"))


def test_added_weights_fill_files_up_to_the_limit(
    tiny_pack: Pack, more: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that stays whole is copied byte by byte. A limit that one network reaches gives each network a file."""
    monkeypatch.setattr("ti_core.zoo.packs.extend.LARGEST_FILE", 1)
    monkeypatch.setattr("ti_core.zoo.packs.extend.fit_pack", lambda *_: None)
    out, seen = tmp_path / "out", {}

    def record_of(folder: Path, record: dict[str, Any], *_: Any) -> None:
        seen.update(record)

    monkeypatch.setattr("ti_core.zoo.packs.extend.write_evidence", record_of)
    monkeypatch.setattr("ti_core.zoo.packs.extend.load_pack", lambda _: tiny_pack)
    extend_pack(tiny_pack, more, out)
    assert (out / "zoo.safetensors").read_bytes() == (tiny_pack.folder / "zoo.safetensors").read_bytes()
    assert [m.get("weights", "zoo.safetensors") for m in seen["members"]][-3:] == [
        "zoo.safetensors",
        "zoo-2.safetensors",
        "zoo-3.safetensors",
    ]
    assert {"zoo.safetensors", "zoo-2.safetensors", "zoo-3.safetensors"} <= set(seen["files"])
