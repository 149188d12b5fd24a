"""A process that sends what shoppers do to Kafka, and writes down what was acknowledged.

It speaks to the broker itself, whatever becomes of the workers, with all replicas asked to
acknowledge. What is not acknowledged is sent again, as an SDK does, until it is: so a message may
stand in the topic more than once, and none that is written down may be missing.
"""

import asyncio
import random
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.faults.world.shoppers import Message, Shoppers

# How often what has come together is sent, s; and how many batches a partition may have waiting.
_PACE: Final = 0.05
_PATIENCE: Final = 10_000
_SOON: Final = 0.2


class Load:
    """Sends ``rate`` messages per second for ``seconds``, then until all are acknowledged."""

    def __init__(self, order: dict[str, Any]) -> None:
        """``order``: see :func:`start`."""
        self._order = order
        self._shoppers = Shoppers(order["seed"], order["users"])
        self._partition = random.Random(order["seed"] + 1)
        self._waiting: list[deque[tuple[Message, int]]] = [
            deque() for _ in range(order["partitions"])
        ]
        self._journal = Path(order["journal"]).open("ab")  # noqa: SIM115 - closed by run
        self._producer: AIOKafkaProducer | None = None
        self._over = False

    async def run(self) -> None:
        """Send everything."""
        with self._journal:
            lanes = [asyncio.create_task(self._lane(p)) for p in range(len(self._waiting))]
            await self._make()
            self._over = True
            await asyncio.gather(*lanes)
            await self._away()

    async def _make(self) -> None:
        began = time.monotonic()
        made = 0
        while (gone := time.monotonic() - began) < self._order["seconds"]:
            now = int(time.time() * 1000)
            while made < gone * self._order["rate"]:
                for message in self._shoppers.next(now):
                    self._waiting[self._at(message.key)].append((message, 1))
                    made += 1
            await asyncio.sleep(_PACE)

    def _at(self, key: str) -> int:
        from aiokafka.partitioner import murmur2  # noqa: PLC0415 - Kafka's own, as SDKs hash

        hashed: int = murmur2(key.encode())
        return (hashed & 0x7FFFFFFF) % len(self._waiting)

    async def _lane(self, partition: int) -> None:
        """Send one partition's messages in order, one batch in flight, again until it is there."""
        waiting = self._waiting[partition]
        while waiting or not self._over:
            if not waiting:
                await asyncio.sleep(_PACE)
                continue
            try:
                await self._send(partition, waiting)
            except (KafkaError, OSError, TimeoutError) as error:
                sys.stderr.write(f"{partition}: {error!r}\n")
                await self._away()
                await asyncio.sleep(_SOON)

    async def _send(self, partition: int, waiting: deque[tuple[Message, int]]) -> None:
        producer = await self._started()
        batch = producer.create_batch()
        taken: list[tuple[Message, int]] = []
        while waiting:
            message, tries = waiting[0]
            put = batch.append(key=message.key.encode(), value=message.value, timestamp=None)
            if put is None:
                break
            taken.append((message, tries))
            waiting.popleft()
        try:
            sent = await producer.send_batch(batch, self._order["topic"], partition=partition)
            async with asyncio.timeout(_PATIENCE / 1000 * 2):
                first = (await sent).offset
        except BaseException:
            waiting.extendleft((message, tries + 1) for message, tries in reversed(taken))
            raise
        now = int(time.time() * 1000)
        self._journal.write(
            b"".join(
                msgspec.json.encode(
                    [now, partition, first + n, m.key, m.value.decode("latin-1"), tries]
                )
                + b"\n"
                for n, (m, tries) in enumerate(taken)
            )
        )

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._order["bootstrap"],
                acks="all",
                request_timeout_ms=_PATIENCE,
                max_batch_size=128 * 1024,
            )
            self._producer = producer
            self._starting = asyncio.create_task(producer.start())
        await asyncio.shield(self._starting)
        assert self._producer is not None
        return self._producer

    async def _away(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(Exception):
                await asyncio.wait_for(producer.stop(), 5)


def start(order: dict[str, Any], log: Path) -> "subprocess.Popen[bytes]":
    """Start the generator.

    ``order``: bootstrap, topic, partitions, seed, users, rate, seconds, journal (a path).
    """
    with log.open("ab") as err:
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.faults.world.load",
                msgspec.json.encode(order).decode(),
            ],
            stdin=subprocess.DEVNULL,
            stdout=err,
            stderr=err,
            start_new_session=True,
        )


if __name__ == "__main__":
    asyncio.run(Load(msgspec.json.decode(sys.argv[1])).run())
