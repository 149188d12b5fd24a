"""Campaigns files, template sets and models by their hash, read from the compacted topic."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Final

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from engine.policy import Settings
from engine.ports import InForce
from streams.log.topics import ARTEFACTS

log = logging.getLogger(__name__)

# Settings kept compiled: a brake may change them every five minutes, for months.
_KEPT: Final = 64

Build = Callable[[Settings, Mapping[str, bytes]], InForce]


def name_of(content: bytes) -> str:
    """Return the name of an artefact: the sha256 of its bytes, in hex."""
    return sha256(content).hexdigest()


class KafkaArtefacts(faust.Service):
    """The port Artefacts over Kafka: follows the topic from its beginning, keeps it in memory."""

    def __init__(self, bootstrap: str, prefix: str, build: Build, *, fetch_wait: int = 500) -> None:
        """``build`` compiles what settings name out of files by hash."""
        super().__init__()
        self._bootstrap = bootstrap
        self._topic = prefix + ARTEFACTS
        self._fetch_wait = fetch_wait
        self._build = build
        self._files: dict[str, bytes] = {}
        self._built: dict[str, InForce] = {}

    def resolve(self, settings: Settings) -> InForce | None:
        """Return what is in force; None while an artefact has not arrived; raises Refused."""
        digest = settings.digest()
        force = self._built.get(digest)
        if force is None:
            needed = (settings.campaigns, settings.templates, settings.model)
            if any(sha is not None and sha not in self._files for sha in needed):
                return None
            force = self._built[digest] = self._build(settings, self._files)
            if len(self._built) > _KEPT:
                del self._built[next(iter(self._built))]
        return force

    @faust.Service.task
    async def _follow(self) -> None:
        while not self.should_stop:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._bootstrap,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                fetch_max_wait_ms=self._fetch_wait,
            )
            try:
                await consumer.start()
                await self._read(consumer)
            except (KafkaError, OSError) as error:
                log.warning("artefacts: Kafka does not answer: %s", error)
                await self.sleep(1.0)
            finally:
                with suppress(Exception):
                    await consumer.stop()

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        at = TopicPartition(self._topic, 0)
        consumer.assign([at])
        await consumer.seek_to_beginning(at)
        while not self.should_stop:
            found = await consumer.getmany(at, timeout_ms=200)
            for record in found.get(at, ()):
                self._keep(record.key, record.value)
            await asyncio.sleep(0)

    def _keep(self, key: bytes | None, value: bytes | None) -> None:
        """Keep an artefact whose bytes have the hash it is named by."""
        if key is None or value is None:
            return
        if name_of(value) != key.decode():
            log.error("artefact %s is damaged and was not taken", key.decode())
            return
        self._files[key.decode()] = value
