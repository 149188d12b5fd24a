"""The directory where trained models are kept: ``<name>/<version>/``, immutable once written.

Each holds ``artefact.json`` (what is applied), and for people ``card.md``, ``card.json``,
``manifest.json`` and ``model.txt``.
A half-written version is never seen: it is written aside and renamed.
"""

import os
import re
import shutil
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from engine.errors import Refused
from models.card import card_json, card_markdown
from models.manifest import Manifest, manifest_json, unpack

_ARTEFACT: Final = "artefact.json"
# Shorter than a sha256 in hex, so that a reference is never both.
_PART: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_UNFINISHED: Final = ".unfinished-"


@dataclass(frozen=True, slots=True)
class Entry:
    """One model as kept; ``sha256`` names its artefact."""

    sha256: str
    manifest: Manifest
    path: Path


@dataclass(frozen=True, slots=True)
class Registry:
    """The models under one directory, which need not exist yet."""

    root: Path

    def save(self, artefact: bytes) -> Entry:
        """Keep an artefact under its name and version, all files at once or none.

        Saving the same bytes again changes nothing; other bytes under a version that exists are
        Refused.
        """
        manifest = unpack(artefact).manifest
        folder = self._folder(manifest.name, manifest.version)
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            self._write(folder, artefact)
        entry = _read(folder)
        if entry.sha256 != sha256(artefact).hexdigest():
            raise Refused(
                f"Model {manifest.name}/{manifest.version} exists already with other content: "
                "give the new one another version."
            )
        return entry

    def list(self) -> list[Entry]:
        """Return every model kept, by name, the newest first."""
        found = [_read(path.parent) for path in sorted(self.root.glob(f"*/[!.]*/{_ARTEFACT}"))]
        found.sort(key=lambda kept: (-kept.manifest.created_at, kept.manifest.version))
        return sorted(found, key=lambda kept: kept.manifest.name)

    def find(self, reference: str) -> Entry:
        """Return the model of ``name/version``, of ``name`` (the newest), or of a sha256.

        Raises Refused when there is none.
        """
        if "/" in reference:
            folder = self._folder(*reference.split("/", 1))
            if (folder / _ARTEFACT).is_file():
                return _read(folder)
        for entry in self.list():
            if reference in (entry.manifest.name, entry.sha256):
                return entry
        kept = ", ".join(f"{e.manifest.name}/{e.manifest.version}" for e in self.list()) or "none"
        raise Refused(f"There is no model {reference} under {self.root} (kept: {kept}).")

    def load(self, reference: str) -> bytes:
        """Return the artefact of a reference, as :meth:`find` reads it. Raises Refused."""
        return (self.find(reference).path / _ARTEFACT).read_bytes()

    def _folder(self, name: str, version: str) -> Path:
        for part in (name, version):
            if not _PART.fullmatch(part):
                raise Refused(
                    f"{part!r} cannot name a model or a version: "
                    "use small letters, digits, '.', '_' and '-', at most 63."
                )
        return self.root / name / version

    @staticmethod
    def _write(folder: Path, artefact: bytes) -> None:
        read = unpack(artefact)
        aside = Path(mkdtemp(prefix=_UNFINISHED, dir=folder.parent))
        try:
            _durable(aside / _ARTEFACT, artefact)
            _durable(aside / "model.txt", read.model.encode())
            _durable(aside / "manifest.json", manifest_json(read.manifest))
            _durable(aside / "card.json", card_json(read.manifest))
            _durable(aside / "card.md", card_markdown(read.manifest).encode())
            aside.chmod(0o755)  # mkdtemp makes it private; other users of the machine may read
            _sync(aside)
            try:
                aside.rename(folder)
            except OSError:
                # Another process finished the same version first; the caller compares the bytes.
                if not folder.exists():
                    raise
            _sync(folder.parent)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _read(folder: Path) -> Entry:
    content = (folder / _ARTEFACT).read_bytes()
    return Entry(sha256(content).hexdigest(), unpack(content).manifest, folder)


def _durable(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
