"""Tells every new decision as one sentence, for whoever watches a terminal."""

from collections.abc import Callable
from contextlib import suppress

import faust
import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from engine import decisions
from streams.log.topics import DECISIONS
from streams.sentence import line
from streams.settings import Deployment


class Telling(faust.Service):
    """Follows ``decisions`` from now on."""

    def __init__(self, deployment: Deployment, say: Callable[[str], None]) -> None:
        """``say`` takes one line at a time."""
        super().__init__()
        self._deployment = deployment
        self._say = say

    @faust.Service.task
    async def _follow(self) -> None:
        deployment = self._deployment
        consumer = AIOKafkaConsumer(
            deployment.topic_prefix + DECISIONS,
            bootstrap_servers=deployment.kafka,
            auto_offset_reset="earliest" if deployment.embedded else "latest",
            fetch_max_wait_ms=deployment.fetch_wait,
        )
        try:
            await consumer.start()
            while not self.should_stop:
                found = await consumer.getmany(timeout_ms=200)
                for records in found.values():
                    for record in records:
                        self._tell(record.value)
        except (KafkaError, OSError) as error:
            self.log.warning("decisions are not told any more: %s", error)
        finally:
            with suppress(Exception):
                await consumer.stop()

    def _tell(self, value: bytes) -> None:
        try:
            decision = decisions.decode(value)
        except msgspec.MsgspecError:
            return
        self._say(f"{decision.user_id}: {line(decision)}")
