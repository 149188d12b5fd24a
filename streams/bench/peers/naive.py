"""The reduced job as a Faust agent of the tutorials: one event, one HGETALL, one HSET, one send.

A program of its own: `python -m streams.bench.peers.naive KAFKA REDIS SOURCE TARGET COUNT FOLDER`.
It says "begun" at the first event and "done" when COUNT are worked off and what it sent is flushed.
"""

import json
import sys
from collections import defaultdict
from typing import Any

import faust
from redis.asyncio import Redis

from streams.bench.peers import job

PREFIX = "naive:"


def app(kafka: str, redis_url: str, source: str, target: str, count: int, folder: str) -> faust.App:
    """Make the app; keys in Redis begin with ``naive:``, Faust's own files go to ``folder``."""
    redis: Any = Redis.from_url(redis_url, decode_responses=True)
    made = faust.App(
        f"{source}.naive",
        broker=f"kafka://{kafka}",
        store="memory://",
        datadir=folder,
        web_enabled=False,
        topic_disable_leader=True,
        topic_partitions=8,
        worker_redirect_stdouts=False,
        autodiscover=False,
    )
    read, write = made.topic(source, key_type=bytes), made.topic(target, key_type=str)
    clocks: dict[int, int] = defaultdict(int)
    taken = 0

    @made.agent(read)
    async def remind(stream: Any) -> None:
        nonlocal taken
        async for event in stream.events():
            if not taken:
                print("begun", flush=True)  # noqa: T201 - said to the bench
            message, partition = event.value, event.message.partition
            at = job.time_of(message)
            if job.minute_of(at) > clocks[partition]:
                clocks[partition] = job.minute_of(at)
                await _due(redis, partition, clocks[partition], write)
            user = message["userId"]
            state = await _load(redis, user)
            before = state["due"]
            job.fold(state, message, at)
            await _save(redis, user, state)
            if state["due"] != before:
                await _wake(redis, partition, user, state["due"])
            taken += 1
            if taken == count:
                await made.producer.flush()
                print("done", flush=True)  # noqa: T201 - said to the bench

    return made


async def _due(redis: Any, partition: int, now: int, write: Any) -> None:
    wakes = f"{PREFIX}wakes:{partition}"
    for user in await redis.zrangebyscore(wakes, 0, now):
        state = await _load(redis, user)
        action = job.decide(state, user, now)
        await _save(redis, user, state)
        await redis.zrem(wakes, user)
        if action is not None:
            await write.send(key=user, value=action)


async def _wake(redis: Any, partition: int, user: str, due: int) -> None:
    wakes = f"{PREFIX}wakes:{partition}"
    if due:
        await redis.zadd(wakes, {user: due})
    else:
        await redis.zrem(wakes, user)


async def _load(redis: Any, user: str) -> job.State:
    stored = await redis.hgetall(f"{PREFIX}user:{user}")
    return job.blank() | {name: json.loads(value) for name, value in stored.items()}


async def _save(redis: Any, user: str, state: job.State) -> None:
    fields = {name: json.dumps(value) for name, value in state.items()}
    await redis.hset(f"{PREFIX}user:{user}", mapping=fields)


if __name__ == "__main__":
    kafka, redis_url, source, target, count, folder = sys.argv[1:]
    made = app(kafka, redis_url, source, target, int(count), folder)
    faust.Worker(made, loglevel="ERROR").execute_from_commandline()
