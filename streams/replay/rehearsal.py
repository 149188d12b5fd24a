"""One campaigns file over a log: the world, and what takes the place of the log's own settings."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256

import msgspec

from engine.events import SettingsRecord
from engine.memory import MemoryArtefacts
from engine.pipeline import CHUNK
from engine.policy import Mode, Policy, Settings
from engine.ports import InForce
from streams import in_force
from streams.replay.placed import Placed
from streams.replay.world import Out, World


class Rehearsal:
    """Feeds a log to a world of its own."""

    def __init__(
        self,
        files: Mapping[str, bytes],
        out: Out,
        *,
        campaigns: bytes | None = None,
        mode: Mode | None = None,
        chunk: int = CHUNK,
    ) -> None:
        """``files``: artefacts by hash; ``campaigns`` replaces every campaigns file of the log.

        ``mode`` None = as the campaigns file says; ``out`` is called for each outgoing record.
        """
        self._replaced = None if campaigns is None else sha256(campaigns).hexdigest()
        artefacts = MemoryArtefacts(_as_if(mode))
        for sha, content in files.items():
            artefacts.put(sha, content)
        if campaigns is not None and self._replaced is not None:
            artefacts.put(self._replaced, campaigns)
        self.world = World(artefacts, out, chunk)

    async def feed(self, placed: Placed) -> None:
        """Take the next record; raises Refused when an artefact it needs is not there."""
        record = placed.record
        if isinstance(record, SettingsRecord) and record.campaigns and self._replaced:
            record = msgspec.structs.replace(record, campaigns=self._replaced)
        await self.world.feed(placed.partition, placed.offset, record)


def _as_if(mode: Mode | None) -> Callable[[Settings, Mapping[str, bytes]], InForce]:
    """Return the compiler of what is in force, with ``mode`` in the place of the file's own."""

    def build(settings: Settings, files: Mapping[str, bytes]) -> InForce:
        force = in_force.build(settings, files)
        policy: Policy | None = force.policy
        if mode is None or policy is None or policy.mode == mode:
            return force
        return replace(force, policy=msgspec.structs.replace(policy, mode=mode))

    return build
