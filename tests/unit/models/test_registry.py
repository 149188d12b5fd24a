"""The directory of models: immutable, atomic, found by name, version or hash."""

from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from engine.errors import Refused
from models.card import card_json, card_markdown
from models.manifest import pack, unpack
from models.registry import Registry


def _version(artefact: bytes, version: str, created_at: int = 1, name: str = "order") -> bytes:
    read = unpack(artefact)
    manifest = msgspec.structs.replace(
        read.manifest, version=version, created_at=created_at, name=name
    )
    return pack(manifest, read.model)


def test_a_saved_model_is_loaded_byte_for_byte(tmp_path: Path, artefact: bytes) -> None:
    kept = Registry(tmp_path / "models").save(artefact)
    again = Registry(tmp_path / "models")
    assert again.load("order/v1") == again.load("order") == again.load(kept.sha256) == artefact
    assert kept.sha256 == sha256(artefact).hexdigest()
    assert {path.name for path in kept.path.iterdir()} == {
        "artefact.json",
        "card.json",
        "card.md",
        "manifest.json",
        "model.txt",
    }
    read = unpack(artefact)
    assert (kept.path / "model.txt").read_text() == read.model
    assert (kept.path / "card.json").read_bytes() == card_json(read.manifest)
    assert (kept.path / "card.md").read_text() == card_markdown(read.manifest)


def test_the_newest_version_speaks_for_a_name(tmp_path: Path, artefact: bytes) -> None:
    registry = Registry(tmp_path)
    for version, created_at in (("v2", 20), ("v10", 30), ("v1", 10)):
        registry.save(_version(artefact, version, created_at))
    registry.save(_version(artefact, "v1", name="another"))
    assert registry.find("order").manifest.version == "v10"
    assert [(e.manifest.name, e.manifest.version) for e in registry.list()] == [
        ("another", "v1"),
        ("order", "v10"),
        ("order", "v2"),
        ("order", "v1"),
    ]


def test_a_version_never_changes(tmp_path: Path, artefact: bytes) -> None:
    registry = Registry(tmp_path)
    registry.save(artefact)
    assert registry.save(artefact).manifest.version == "v1"
    with pytest.raises(Refused, match="another version"):
        registry.save(_version(artefact, "v1", created_at=99))
    assert registry.load("order/v1") == artefact


def test_a_crash_while_saving_leaves_nothing_to_be_found(
    tmp_path: Path, artefact: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def power_cut(self: Path, target: Path) -> Path:
        raise OSError(5, "power cut")

    registry = Registry(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", power_cut)
        with pytest.raises(OSError, match="power cut"):
            registry.save(artefact)
    assert registry.list() == []
    # what a kill -9 leaves behind is not taken for a model either
    (tmp_path / "order" / ".unfinished-x").mkdir()
    (tmp_path / "order" / ".unfinished-x" / "artefact.json").write_bytes(artefact)
    assert registry.list() == []
    registry.save(artefact)
    assert registry.load("order") == artefact


@pytest.mark.parametrize("name", ["../order", "Order", "", "a" * 65, "f" * 64, ".hidden"])
def test_a_name_that_could_leave_the_directory_is_refused(
    tmp_path: Path, artefact: bytes, name: str
) -> None:
    with pytest.raises(Refused, match="cannot name"):
        Registry(tmp_path).save(_version(artefact, "v1", name=name))
    assert not any(tmp_path.iterdir())


def test_a_model_that_is_not_there_is_one_sentence(tmp_path: Path, artefact: bytes) -> None:
    registry = Registry(tmp_path)
    with pytest.raises(Refused, match="kept: none"):
        registry.load("order")
    registry.save(artefact)
    with pytest.raises(Refused, match="kept: order/v1"):
        registry.load("order/v9")
