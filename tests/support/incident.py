"""The fault of the incident drill: ``python -m tests.support.incident``.

Somebody else writes to ``actions.push``: a second message to whoever just got the one allowed.
"""

import asyncio
import time
from uuid import uuid4

import msgspec

from engine.actions import Action, decode, encode
from engine.times import iso
from streams.log.producer import Producer, Record
from streams.log.reader import Reader
from streams.settings import Deployment

_TOPIC = "actions.push"


async def inject(deployment: Deployment, partitions: int) -> Action:
    """Repeat the last message on push under ids of its own, and return it.

    Without ``x-pos``, as a foreign writer would: the worker's own place in the topic stays true.
    Raises ValueError where nothing was written to the topic yet.
    """
    topic, reader = deployment.topic_prefix + _TOPIC, Reader(deployment.kafka)
    producer = Producer(deployment.kafka)
    try:
        for partition in range(partitions):
            bounds = await reader.bounds(topic, partition)
            if bounds.end == bounds.begin:
                continue
            last = await reader.record(topic, partition, bounds.end - 1)
            own = {"action_id": str(uuid4()), "decision_id": str(uuid4())}
            action = msgspec.structs.replace(decode(last.value), **own)
            await producer.run(topic, partition, [Record(last.key, encode(action))])
            return action
    finally:
        await producer.stop()
        await reader.stop()
    message = f"nothing was written to {topic} yet: wait until push messages flow"
    raise ValueError(message)


def main() -> None:
    """Inject it into the deployment of the environment, and say when: the drill's 0:00."""
    deployment = Deployment.from_process()
    action = asyncio.run(inject(deployment, 4))
    print(f"{iso(int(time.time() * 1000))} injected {action.action_id} for {action.user_id}")


if __name__ == "__main__":
    main()
